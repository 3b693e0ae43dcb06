"""Answers: replies and errors as HTTP (control-plane contract, 1).

An error is `{"error", "code", "remedy"?, "rule"?, "receipt"?, "missingFields"?, "existingFolder"?,
"details"?}` with the status of its class. An exception that nobody foresaw says nothing of itself.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import Busy, HomarusError, Internal, Refused, Unavailable
from homarus.base.redact import redact_tokens
from homarus.control_plane.route import TextReply
from homarus.store.port import Reply

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
Scope = Mapping[str, Any]

RETRY_AFTER_S: Final = 1
_REFUSED_STATUS: Final = {
    "identity.unknown": 401,
    "identity.revoked": 401,
    "identity.expired": 401,
    "agent.unknown": 404,
    "company.unknown": 404,
}
_encode = msgspec.json.Encoder(enc_hook=str).encode
_JSON: Final = (b"content-type", b"application/json")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_REPLAYED: Final = (b"idempotency-replayed", b"true")


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What every error answers. `error` is for people; programs read `code`."""

    error: str
    code: str
    remedy: str = ""
    rule: str | None = None
    receipt: str | None = None
    missing_fields: list[str] | None = msgspec.field(name="missingFields", default=None)
    existing_folder: dict[str, Any] | None = msgspec.field(name="existingFolder", default=None)
    details: dict[str, Any] | None = None


def status_of(error: HomarusError) -> int:
    if isinstance(error, Refused):
        return _REFUSED_STATUS.get(error.code, error.status)
    return error.status


def error_body(error: HomarusError) -> ErrorBody:
    details = dict(error.details)
    missing = details.pop("missingFields", None) or getattr(error, "missing", None)
    return ErrorBody(
        error=redact_tokens(error.message),
        code=error.code,
        remedy=redact_tokens(error.remedy),
        rule=details.pop("rule", None),
        receipt=details.pop("receipt", None),
        missing_fields=missing,
        existing_folder=details.pop("existingFolder", None),
        details=details or None,
    )


def error_reply(error: HomarusError) -> Reply:
    return Reply(status=status_of(error), body=_encode(error_body(error)))


def error_headers(error: HomarusError) -> list[tuple[bytes, bytes]]:
    status = status_of(error)
    if status == 401:
        return [(b"www-authenticate", b'Bearer realm="homarus"')]
    if isinstance(error, Busy | Unavailable):
        return [(b"retry-after", str(RETRY_AFTER_S).encode())]
    if status == 413:
        return [(b"connection", b"close")]
    return []


def unforeseen() -> Internal:
    """What a caller hears of a fault of ours: that it was one, and where its trace is."""
    return Internal(
        "internal.request",
        "the request failed inside the daemon",
        "See logs/homarus.log for the trace, and report it.",
    )


async def send_reply(
    send: Send, reply: Reply, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    """One reply, of JSON unless it is a text; a replayed one is marked (contract, 3.4)."""
    body = reply.body
    headers = [
        _TEXT if isinstance(reply, TextReply) else _JSON,
        (b"content-length", b"%d" % len(body)),
    ]
    if reply.replayed:
        headers.append(_REPLAYED)
    if more:
        headers += more
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(
    send: Send, error: HomarusError, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    given = dict(error_headers(error)) | dict(more or [])
    await send_reply(send, error_reply(error), list(given.items()))


async def send_text(send: Send, body: bytes, kind: bytes, status: int = 200) -> None:
    """A page or document of ours, that no browser may sniff or embed.

    It changes with the next version of the daemon, so a copy is asked about before it is used.
    """
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-cache"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_moved(send: Send, to: str) -> None:
    """`to`: a path of this daemon."""
    headers = [(b"location", to.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
