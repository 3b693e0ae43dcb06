"""Frames of the gateway's WebSocket (gateway contract, 1, 3): text in, a request out, and back.

Schemas are closed: a property that is not known is an error.
"""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from homarus.base.errors import HomarusError
from homarus.base.redact import redact_token_bytes
from homarus.control_plane.answers import status_of
from homarus.control_plane.parse import too_deep

T = TypeVar("T")

PROTOCOL: Final = 4
OLDEST_PROTOCOL: Final = 3
"""Probes and nodes may know no newer one (gateway contract, 2.3)."""
HELLO_BYTES: Final = 65_536
"""What the server takes until `hello-ok` (`service/serve.py`)."""
MAX_PAYLOAD_BYTES: Final = 26_214_400
MAX_BUFFERED_BYTES: Final = 52_428_800
MAX_ID: Final = 256
MAX_METHOD: Final = 128
LARGE_BYTES: Final = 262_144
"""From here on a frame is parsed in a thread."""

INVALID_REQUEST: Final = "INVALID_REQUEST"
UNAVAILABLE: Final = "UNAVAILABLE"
FORBIDDEN: Final = "FORBIDDEN"
NOT_PAIRED: Final = "NOT_PAIRED"
RETRY_MS: Final = 1_000

GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
POLICY: Final = 1008
TOO_BIG: Final = 1009
RESTART: Final = 1012

_encode = msgspec.json.Encoder(enc_hook=str).encode
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Params(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Parameters of a method: closed, in camel case."""


class Request(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    type: str
    id: str
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    traceparent: str | None = None
    expected_profile_id: str | None = None


class NotAFrame(Exception):
    """Text that is no request. `malformed`: it is not even JSON."""

    def __init__(self, *, malformed: bool) -> None:
        super().__init__("invalid request frame")
        self.malformed = malformed


class Fault(HomarusError):
    """An error as the wire has it: `code` is the wire's word."""

    status = 400

    def __init__(
        self, code: str, message: str, details: dict[str, Any] | None = None, *,
        retry_ms: int | None = None, payload: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(code, message)
        self.details = details or {}
        self.retry_ms = retry_ms
        self.payload = payload

    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            found["details"] = self.details
        if self.retry_ms is not None:
            found |= {"retryable": True, "retryAfterMs": self.retry_ms}
        return found


_request = msgspec.json.Decoder(Request).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


def request_of(text: str) -> Request:
    """Raises NotAFrame."""
    raw = text.encode("utf-8", "surrogatepass")
    if too_deep(raw):
        raise NotAFrame(malformed=False)
    try:
        frame = _request(raw)
    except msgspec.ValidationError:
        raise NotAFrame(malformed=False) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAFrame(malformed=True) from None
    known = (
        frame.type == "req"
        and 0 < len(frame.id) <= MAX_ID
        and 0 < len(frame.method) <= MAX_METHOD
        and all(len(text or "") <= 128 for text in (frame.traceparent, frame.expected_profile_id))
    )
    if not known:
        raise NotAFrame(malformed=False)
    return frame


def params_of(frame: Request, decode: Callable[[bytes], T]) -> T:
    """The typed parameters; none at all are `{}`. Raises Fault."""
    raw = bytes(frame.params)
    if frame.method != "connect":  # its secret is what the frame is about
        raw = redact_token_bytes(raw)
    if b"\\u0000" in raw and _NUL.search(raw):
        raise bad_params(frame.method, "must not hold the character U+0000")
    try:
        return decode(b"{}" if raw == b"null" else raw)
    except msgspec.ValidationError as error:
        raise bad_params(frame.method, like_ajv(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_params(frame.method, str(error)[:300]) from None


def bad_params(method: str, why: str) -> Fault:
    return Fault(INVALID_REQUEST, f"invalid {method} params: {why}"[:500])


def missing_scope(scope: str) -> Fault:
    details = {"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope]}
    return Fault(FORBIDDEN, f"missing scope: {scope}", details)


_UNKNOWN: Final = re.compile(r"contains unknown field `([^`]*)`")
_MISSING: Final = re.compile(r"missing required field `([^`]*)`")
_EXPECTED: Final = re.compile(r"Expected `([^`]*)`")
_PATH: Final = re.compile(r" - at `(?:key in )?\$([^`]*)`")
_WORDS: Final = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean", "array": "array",
    "object": "object", "null": "null",
}  # fmt: skip


def like_ajv(text: str) -> str:
    """What clients know of the original's validator, for our decoder's words."""
    path = _PATH.search(text)
    place = "root" if path is None or not path[1] else path[1].replace("[", "/").replace("]", "")
    place = place.replace(".", "/")
    if (found := _UNKNOWN.search(text)) is not None:
        return f"at {place}: unexpected property '{found[1]}'"
    if (found := _MISSING.search(text)) is not None:
        return f"must have required property '{found[1]}'"
    if (found := _EXPECTED.search(text)) is not None:
        kinds = [_WORDS.get(word.strip(), word.strip()) for word in found[1].split("|")]
        return f"at {place}: must be {' or '.join(kinds)}"
    return f"at {place}: {text.split(' - at ')[0]}"


def fault_of(error: HomarusError) -> Fault:
    """An error of ours on this wire: its stable code, its remedy and the status that it has over
    HTTP are in `details`."""
    if isinstance(error, Fault):
        return error
    remedy = _remedy(error)
    details = {"code": error.code, "remedy": remedy, "httpStatus": status_of(error)} | {
        name: value for name, value in error.details.items() if value is not None
    }
    message = error.message if not remedy else f"{error.message}. {remedy}"
    if error.status in (401, 403):
        return Fault(FORBIDDEN, message, details)
    if error.status in (429, 503):
        return Fault(UNAVAILABLE, message, details, retry_ms=RETRY_MS)
    if error.status >= 500:
        return Fault(UNAVAILABLE, message, details)
    return Fault(INVALID_REQUEST, message, details)


def _remedy(error: HomarusError) -> str:
    """What to do, in the words of this wire."""
    names = error.details.get("agents")
    if error.code == "agent.choose" and names:
        return f"Name one as `agentId`: {', '.join(names)}."
    return error.remedy


def ok(id_: str, payload: Any) -> str:
    return _encode({"type": "res", "id": id_, "ok": True, "payload": payload}).decode()


def failed(id_: str, fault: Fault) -> str:
    body: dict[str, Any] = {"type": "res", "id": id_, "ok": False}
    if fault.payload is not None:
        body["payload"] = fault.payload
    return _encode(body | {"error": fault.body()}).decode()


def plain(params: Params) -> dict[str, Any]:
    """As this wire has it, without what was not given."""
    given = msgspec.to_builtins(params)
    return {name: value for name, value in given.items() if value is not None}


def encoded(payload: Any) -> bytes:
    """A payload that many connections are sent."""
    return _encode(payload)


def event(name: str, payload: bytes, seq: int | None = None, versions: bytes = b"") -> str:
    """An event frame around an encoded payload."""
    tail = b"" if seq is None else b',"seq":%d' % seq
    if versions:
        tail += b',"stateVersion":' + versions
    head = b'{"type":"event","event":"' + name.encode() + b'","payload":'
    return (head + payload + tail + b"}").decode()
