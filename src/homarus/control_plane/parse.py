"""Parse before trust: bodies, queries and nesting, each within its named bound.

Malformed JSON answers with its position, a wrong type with the path of the field.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from homarus.base.errors import HomarusError, Invalid, TooLarge
from homarus.control_plane.answers import Receive
from homarus.control_plane.route import MAX_BODY_BYTES, MAX_DEPTH

MAX_QUERY_FIELDS: Final = 100
MAX_DRAIN_BYTES: Final = 16 * 1_048_576
"""What of a refused body is read and thrown away, so that its sender hears the answer."""
DRAIN_S: Final = 5.0

_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(b for b in range(256) if b not in b"[]{}")
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], most: int = MAX_BODY_BYTES
) -> bytes:
    """The whole body, of at most `most` bytes.

    Raises `request.body_too_large`, `request.disconnected`.
    """
    announced = headers.get(b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > most:
        await drain(receive, int(announced), max(MAX_DRAIN_BYTES, 2 * most))
        raise _too_large(most)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise disconnected()
    if not message.get("more_body") and len(body) <= most:
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        if size > most:
            await drain(receive, 0, max(MAX_DRAIN_BYTES, 2 * most))
            raise _too_large(most)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise disconnected()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > most:
        raise _too_large(most)
    return b"".join(parts)


async def drain(receive: Receive, announced: int, most: int = MAX_DRAIN_BYTES) -> None:
    """Throw away the rest of a body that is refused, within `most` bytes and DRAIN_S."""
    if announced > most:
        return
    seen = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            while seen <= most:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
                seen += len(message.get("body", b""))
    except TimeoutError:
        return


def disconnected() -> Invalid:
    """The client went away while its request was read: nobody hears the answer."""
    return Invalid("request.disconnected", "the client went away", "Send the request again.")


def _too_large(most: int) -> TooLarge:
    return TooLarge(
        "request.body_too_large",
        f"the body is larger than {most} bytes",
        "Send less; files go to `POST /artifacts/upload`.",
    )


def too_deep(raw: bytes) -> bool:
    """Whether JSON nests deeper than MAX_DEPTH, found without recursion.

    Brackets inside strings do not count. Malformed input may be called deep or not; the decoder
    says what is wrong with it.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    left = _STRINGS.sub(b"", raw).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):  # each pass takes away the innermost level, and no other
        if not left:
            return False
        left = left.replace(b"[]", b"")
    return bool(left)


class BodyParser:
    """Decodes one route's bodies. `optional`: an empty body stands for `{}`."""

    def __init__(self, kind: Any) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self.optional = _accepts_nothing(self._decode)

    def parse(self, raw: bytes) -> Any:
        """Raises `request.body_missing`, `request.too_deep`, `request.json`, `request.schema`."""
        if not raw:
            if self.optional:
                return self._decode(b"{}")
            raise Invalid(
                "request.body_missing", "this request needs a JSON body", "Send a JSON object."
            )
        if too_deep(raw):
            raise _deep_or_malformed(raw)
        if b"\\u0000" in raw and _NUL.search(raw):
            raise _nul("the body")
        try:
            return self._decode(raw)
        except msgspec.ValidationError as error:
            raise _schema(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _malformed(error) from None
        except RecursionError:
            raise _deep() from None


def _accepts_nothing(decode: Any) -> bool:
    try:
        decode(b"{}")
    except msgspec.ValidationError:
        return False
    return True


def _deep() -> Invalid:
    return Invalid(
        "request.too_deep", f"the JSON nests deeper than {MAX_DEPTH} levels", "Flatten it."
    )


def _deep_or_malformed(raw: bytes) -> HomarusError:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _malformed(error)
    except RecursionError:
        return _deep()
    return _deep()


def _malformed(error: Exception) -> Invalid:
    return Invalid("request.json", f"{error}"[:300], "Send valid JSON in UTF-8.")


def _schema(text: str) -> Invalid:
    missing = _MISSING.search(text)
    if missing is None:
        return Invalid("request.schema", text[:300], "See /api/docs for the body's shape.")
    return Invalid(
        "request.schema", text[:300], f"Give `{missing[1]}`.", missingFields=[missing[1]]
    )


def _nul(place: str) -> Invalid:
    return Invalid("request.nul", f"{place} holds the character U+0000", "Leave it out.")


def query(raw: bytes) -> dict[str, str]:
    """The last value of each name. Raises `request.query`."""
    if not raw:
        return {}
    try:
        values = dict(
            parse_qsl(
                raw.decode("latin-1"),
                keep_blank_values=True,
                max_num_fields=MAX_QUERY_FIELDS,
                errors="replace",
            )
        )
    except ValueError:
        raise Invalid(
            "request.query", f"more than {MAX_QUERY_FIELDS} query fields", "Send fewer."
        ) from None
    if any("\0" in value for value in values.values()):
        raise _nul("the query")
    return values


def path_values(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    """Raises `request.nul`: no id or name of ours holds one."""
    if any("\0" in value for value in values):
        raise _nul("the path")
    return dict(zip(names, values, strict=True))
