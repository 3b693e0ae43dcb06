"""The inbound webhook (control-plane contract, 7), and the secret that signs it.

A company token lets a program pass on what people say elsewhere. Once an owner has set a secret,
the token alone does not: what comes in is signed, recent, and taken once.
"""

import hashlib
import os
import re
from typing import Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid, TooLarge
from homarus.base.redact import redact_token_bytes
from homarus.control_plane.parse import BodyParser
from homarus.control_plane.route import (
    MAX_BODY_BYTES,
    ROOT,
    Call,
    Route,
    Sealer,
    Stream,
    StreamRoute,
    json_reply,
    read_route,
    write_route,
)
from homarus.conversations import inbound
from homarus.conversations.inbound import EVENT, SECRET_CHARS, Delivery, Inbound
from homarus.flows import hearing
from homarus.store.port import Reply, Rx, Tx

_TAGS: Final = ("talk",)
PREFIX: Final = "whs_"
SECRET_BYTES: Final = 24
_SECRET: Final = re.compile(f"[!-~]{{{SECRET_CHARS[0]},{SECRET_CHARS[1]}}}")
_parse = BodyParser(Delivery).parse


async def receive(stream: Stream, call: Call[None]) -> Reply:
    """Signature before sense: of an unsigned body not even its errors are told."""
    raw = await _body(stream)
    now_ms, kept = await stream.read(_secret, call.company)
    if kept is not None:
        secret = stream.sealer.unseal(kept, inbound.purpose(call.company))
        inbound.check(secret, stream.headers.get(inbound.HEADER), raw, now_ms)
    raw = redact_token_bytes(raw)
    delivery: Delivery = _parse(raw)
    if delivery.event != EVENT:
        raise Invalid("webhook.event", f"unknown event {delivery.event[:80]!r}", f"Send {EVENT}.")
    return await stream.write(
        _take, delivery.message, call.queue_mode, digest=hashlib.sha256(raw).digest()
    )


async def _body(stream: Stream) -> bytes:
    """Raises `request.body_too_large`."""
    raw = b""
    async for chunk in stream.chunks():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise TooLarge(
                "request.body_too_large",
                f"the body is larger than {MAX_BODY_BYTES} bytes",
                "Send one message a request.",
            )
    return raw


def _secret(rx: Rx, company: str) -> tuple[int, bytes | None]:
    found = inbound.sealed(rx, company)
    return rx.now_ms, None if found is None else found[0]


def _take(tx: Tx, message: Inbound, mode: str) -> Reply:
    row, duplicate = hearing.relayed(tx, message, mode)
    reply: dict[str, str | bool] = {
        "ok": True,
        "message_id": row.id,
        "thread_id": row.conversation,
    }
    return json_reply(reply | {"deduplicated": True} if duplicate else reply)


# -- the secret ------------------------------------------------------------------------------


class SecretBody(msgspec.Struct):
    """`secret`: one of your own; without it the daemon makes one."""

    secret: str | None = None


class NewSecret(msgspec.Struct, frozen=True):
    """A `SecretBody` after `seal`. `clear` is for the reply alone."""

    clear: str
    sealed: bytes


def seal(call: Call[SecretBody], sealer: Sealer) -> Call[NewSecret]:
    """Raises `webhook.secret`."""
    clear = call.body.secret
    if clear is None:
        clear = PREFIX + os.urandom(SECRET_BYTES).hex()
    elif not _SECRET.fullmatch(clear):
        least, most = SECRET_CHARS
        raise Invalid(
            "webhook.secret", "unusable secret", f"{least} to {most} printable ASCII characters."
        )
    body = NewSecret(clear, sealer.seal(clear.encode(), inbound.purpose(call.company)))
    return Call(call.company, call.token, call.path, call.query, body, b"", call.base_url)


def show(rx: Rx, call: Call[None]) -> Reply:
    found = inbound.sealed(rx, call.company)
    return json_reply(
        {"configured": found is not None, "updatedAt": None if found is None else iso_ms(found[1])}
    )


def set_secret(tx: Tx, call: Call[NewSecret]) -> Reply:
    inbound.set_secret(tx, call.body.sealed)
    return json_reply({"configured": True, "secret": call.body.clear}, 201)


def remove(tx: Tx, call: Call[None]) -> Reply:
    inbound.remove_secret(tx)
    return json_reply({"message": "Messages need no signature any more", "configured": False})


ROUTES: Final[tuple[Route | StreamRoute, ...]] = (
    StreamRoute(
        method="POST", path="/webhook/inbound", capability="message.receive", handler=receive,
        kind="write", summary="Take in what a person said elsewhere (below `/api`)",
        target="thread:", mounts=ROOT, tags=_TAGS,
    ),
    read_route(
        "/settings/webhook", show, "Whether inbound messages must be signed (below `/api`)",
        mounts=ROOT, tags=_TAGS,
    ),
    write_route(
        "POST", "/settings/webhook", "webhook.secret", set_secret,
        "Have inbound messages signed; shows the secret once (below `/api`)",
        body=SecretBody, prepare=seal, status=201, keyed="ignored", mounts=ROOT, tags=_TAGS,
    ),
    write_route(
        "DELETE", "/settings/webhook", "webhook.secret", remove,
        "Take unsigned messages again (below `/api`)", mounts=ROOT, tags=_TAGS,
    ),
)  # fmt: skip
