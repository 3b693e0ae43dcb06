"""Set-up codes: a new device pairs by one, and nobody has to look (gateway contract, 9)."""

from typing import Any, Final

from homarus.base.errors import Invalid
from homarus.gateway.ws import frames, setup_text, shapes
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.method import Ask, Desk, read, work, write
from homarus.gateway.ws.setup_text import Offer
from homarus.kernel import setup_codes
from homarus.kernel.scopes import ADMIN
from homarus.store.port import Rx, Tx

Doc = dict[str, Any]
_CODE: Final = "device.pair.setupCode"


class NewCode(Params):
    """`public_url`: where the device finds the gateway; `bootstrap_profile`: what it becomes.
    Pictures of the code are for who shows them: `include_qr` brings none. `prefer_remote_url`:
    `gateway.publicUrl` is preferred in any case."""

    public_url: str | None = None
    prefer_remote_url: bool | None = None
    include_qr: bool | None = None
    bootstrap_profile: str = setup_codes.LIMITED


class OfCode(Params):
    setup_id: str


async def mint(desk: Desk, params: NewCode) -> Doc:
    if params.bootstrap_profile not in setup_codes.PROFILES:
        known = ", ".join(setup_codes.PROFILES)
        raise frames.bad_params(_CODE, f"at bootstrapProfile: must be one of {known}")
    url, source = _address(desk, params.public_url)
    row, secret = await desk.write(setup_codes.mint, params.bootstrap_profile)
    mode = desk.hub.settings().auth_mode
    return {
        "setupId": row.id, "expiresAtMs": row.expires_ms,
        "setupCode": setup_text.code_of(Offer(url, secret, row.expires_ms)),
        "gatewayUrl": url, "urlSource": source,
        "auth": "password" if mode == "password" else "token",
        "access": shapes.access(row.profile),
    }  # fmt: skip


def _address(desk: Desk, asked: str | None) -> tuple[str, str]:
    """Where devices find this gateway, and how that is known. Raises Fault, `device.address`."""
    if asked is not None:
        try:
            return setup_text.address(asked), "request.publicUrl"
        except Invalid as error:
            raise frames.bad_params(
                _CODE, f"at publicUrl: {error.message}. {error.remedy}"
            ) from None
    public = desk.hub.settings().public_url
    if public:
        return setup_text.address(public), "gateway.publicUrl"
    return setup_text.address(f"ws://{desk.peer.called}"), "connection"


def status(rx: Rx, ask: Ask) -> Doc:
    """Nothing of a code that is not known (any more)."""
    row = setup_codes.by_id(rx, ask.company, ask.params.setup_id)
    if row is None:
        return {}
    done = shapes.setup_completion(row)
    known = {"setupId": row.id, "state": row.state(rx.now_ms), "expiresAtMs": row.expires_ms}
    return known | ({} if done is None else {"completion": done})


def revoke(tx: Tx, ask: Ask) -> Doc:
    row = setup_codes.revoke(tx, ask.params.setup_id)
    return {"setupId": row.id, "state": row.state(tx.now_ms)}


_INVITE: Final = "device.invite"
METHODS: Final = (
    work(_CODE, ADMIN, NewCode, mint, "Mint a code by which one new device pairs by itself",
         "setupId, expiresAtMs, setupCode, gatewayUrl, urlSource, auth, access",
         capability=_INVITE, target="device:", advertised=False),
    read("device.pair.setupStatus", ADMIN, OfCode, status, "What became of a code",
         "state, expiresAtMs, completion of a used one", advertised=False),
    write("device.pair.setupRevoke", ADMIN, OfCode, _INVITE, revoke,
          "Take a code back that nobody has used", "setupId, state", target="device:",
          advertised=False),
)  # fmt: skip
