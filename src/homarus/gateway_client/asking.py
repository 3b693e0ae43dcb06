"""One call, or a look, as an operator: what `homarus gateway`, `device` and `node` do.

    ask(caller, "status", {})      -> the payload
    look(caller)                   -> the hello

On its own machine a command line is known by the secret alone. Elsewhere the gateway clears the
scopes of whoever proves no key (gateway contract, 2.5): the caller then connects once more with the
key of this home, which an operator there lets in.
"""

import platform
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus import __version__
from homarus.base.errors import (
    Conflict,
    HomarusError,
    Incomplete,
    Invalid,
    NotFound,
    Refused,
    Unavailable,
)
from homarus.gateway.ws.frames import (
    FORBIDDEN,
    INVALID_REQUEST,
    NOT_PAIRED,
    OLDEST_PROTOCOL,
    PROTOCOL,
)
from homarus.gateway_client import identity, wire
from homarus.gateway_client.wire import NONE, REPLY_S, Doc, Refusal, Wire
from homarus.kernel.scopes import ALL

CLI: Final = ("cli", "cli")
PROBE: Final = ("openclaw-probe", "probe")
"""Client id and mode (gateway contract, 2.2)."""
_SAID: Final = ("code", "remedy", "rule", "httpStatus")
"""Of an error's details: what the error itself says."""
_BY_STATUS: Final[dict[int, type[HomarusError]]] = {
    kind.status: kind for kind in (Invalid, NotFound, Conflict, Incomplete)
}
"""What our own gateways say of an error; others do not."""
_METHODS: Final = (
    "`homarus gateway status --json` lists those of that gateway (hello.features.methods); "
    "docs/reference/gateway.md says what ours do."
)
_UNKNOWN: Final = ("UNKNOWN_AGENT_ID",)
"""Codes of the original that say that there is no such thing (gateway contract, 3)."""


class Caller(msgspec.Struct, frozen=True):
    """`token`: a person's, or the gateway's; "": none. `folder`: where this home's own key is kept,
    made when it is first needed. `headers`: of the upgrade."""

    url: str
    token: str
    folder: Path
    headers: Mapping[str, str] = NONE


async def ask(
    caller: Caller, method: str, params: Doc, wait_s: float = REPLY_S, *, final: bool = False
) -> Any:
    """The payload; `final` as in `Wire.call`. Raises HomarusError of the kind that the gateway's
    error is of, `gateway.*`."""
    return (await told(caller, method, params, wait_s, final=final))[1]


async def told(
    caller: Caller, method: str, params: Doc, wait_s: float = REPLY_S, *, final: bool = False
) -> tuple[Doc, Any]:
    """The hello too. Raises as `ask`."""
    try:
        async with connected(caller) as link:
            return link.hello, await link.call(method, params, wait_s, final=final)
    except Refusal as error:
        raise plain(error) from None


async def look(caller: Caller, client: tuple[str, str] = PROBE) -> Doc:
    """The hello; no device is made for it. Raises as `ask`."""
    try:
        async with greeted(caller, client, None) as link:
            return link.hello
    except Refusal as error:
        raise plain(error) from None


@asynccontextmanager
async def connected(caller: Caller) -> AsyncIterator[Wire]:
    """As an operator with all scopes that the token may have. Raises Refusal, `gateway.*`."""
    async with greeted(caller, CLI, None) as link:
        if (link.hello.get("auth") or {}).get("scopes"):
            yield link
            return
    async with greeted(caller, CLI, identity.load(caller.folder)) as link:
        yield link


@asynccontextmanager
async def greeted(
    caller: Caller, client: tuple[str, str], device: identity.Identity | None
) -> AsyncIterator[Wire]:
    """Connected as this client. Raises Refusal, `gateway.*`."""
    id_, mode = client
    connect: Doc = {
        "minProtocol": OLDEST_PROTOCOL if mode == "probe" else PROTOCOL, "maxProtocol": PROTOCOL,
        "role": "operator", "scopes": list(ALL),
        "client": {
            "id": id_, "mode": mode, "version": __version__,
            "platform": platform.system().lower(), "displayName": platform.node() or "homarus",
        },
        "auth": {"token": caller.token} if caller.token else {},
    }  # fmt: skip

    def hello(nonce: str, at_ms: int) -> Doc:
        return connect if device is None else (
            connect | {"device": device.proof(connect, nonce, at_ms)}
        )  # fmt: skip

    async with wire.connected(caller.url, hello, lambda name, payload: None, caller.headers) as (
        link,
        _,
    ):
        yield link


def plain(error: Refusal) -> HomarusError:
    """The same as one of our errors: its own code and remedy where the gateway gave them."""
    about = error.details
    code = str(about.get("code") or error.code)
    message, remedy = error.message, str(about.get("remedy") or error.remedy)
    if remedy and message.endswith(remedy):
        message = message.removesuffix(remedy).rstrip().removesuffix(".")
    message = message.removeprefix(f"{code}: ")
    if message.startswith("unknown method") and not remedy:
        remedy = _METHODS
    if code == "PAIRING_REQUIRED":
        remedy = f"There: `homarus device approve {about.get('requestId')}`. Then try again."
    kept = {name: value for name, value in about.items() if name not in _SAID}
    found: HomarusError
    status = about.get("httpStatus")
    kind = _BY_STATUS.get(status) if isinstance(status, int) else None
    if error.code in (FORBIDDEN, NOT_PAIRED) or "authReason" in about:
        found = Refused(code, message, remedy or "Use another token.", rule="identity")
    elif kind is not None:
        found = kind(code, message, remedy)
    elif error.code != INVALID_REQUEST:
        found = Unavailable(code, message, remedy)
    elif code.endswith((".unknown", *_UNKNOWN)) or message.startswith("unknown method"):
        found = NotFound(code, message, remedy)
    else:
        found = Invalid(code, message, remedy)
    found.details.update(kept)
    return found
