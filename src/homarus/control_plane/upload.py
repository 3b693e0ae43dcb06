"""A multipart body on its way to disk: one file part, a few short fields, everything bounded.

The body is parsed as it arrives and never held whole. Whatever is wrong with it, the draft is
discarded and nothing is left (control-plane contract, 10).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from homarus.base.errors import HomarusError, Invalid, TooLarge
from homarus.base.redact import redact_tokens
from homarus.records.blobs import MAX_FILE_BYTES, Draft

FILE_FIELD: Final = "file"
MAX_FIELDS: Final = 40
MAX_FIELD_BYTES: Final = 65_536
MAX_FORM_BYTES: Final = 1_048_576
"""All that is not the file: fields, headers of parts, boundaries."""
MAX_BOUNDARY: Final = 70
BUFFER_BYTES: Final = 262_144
MAX_DRAIN_BYTES: Final = 2 * MAX_FILE_BYTES
"""What of a refused body is read and thrown away."""
DRAIN_S: Final = 5.0

_REMEDY: Final = "Send multipart/form-data with one part `file` and the fields beside it."


def _bad(what: str) -> Invalid:
    return Invalid("upload.malformed", what, _REMEDY)


class Form:
    """The parts of one body. `fields` by name; the file's bytes go to `draft`."""

    def __init__(self, content_type: str, draft: Draft) -> None:
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self.file_type = ""
        self._has_file = False
        self._draft = draft
        self._received = 0
        self._header = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._name: str | None = None
        self._data = bytearray()
        media, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if media != b"multipart/form-data" or not 0 < len(boundary) <= MAX_BOUNDARY:
            raise _bad("the body is not multipart/form-data with a boundary")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Blocks on the disk. Raises `upload.malformed`, `upload.too_large`, `artifact.*`."""
        self._received += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _bad(f"the multipart body cannot be parsed: {error}") from error
        if self._received - self._draft.size > MAX_FORM_BYTES:
            raise TooLarge(
                "upload.too_large",
                f"the fields beside the file have more than {MAX_FORM_BYTES} bytes",
                "Send the content as the part `file`.",
            )

    def close(self, declared: str | None) -> None:
        """The body has ended; `declared` is its Content-Length. Raises `upload.truncated`,
        `upload.malformed`."""
        cut = self._parser.state != MultipartState.END
        if cut or (declared is not None and declared != str(self._received)):
            raise Invalid(
                "upload.truncated",
                f"the body ended after {self._received} bytes, before its end; nothing was kept",
                "Send it again, whole.",
            )
        if not self._has_file:
            raise _bad("there is no part `file`")

    # -- the parser's callbacks ------------------------------------------------------------

    def _part_begin(self) -> None:
        self._headers = {}
        self._name = None
        self._data = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = self._header[0] + data[start:end], b""

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = self._header[0], self._header[1] + data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = _text(options.get(b"name", b""), "a part's name")
        if not name:
            raise _bad("a part has no name")
        self._name = name
        if name == FILE_FIELD:
            if self._has_file:
                raise _bad("there is more than one part `file`")
            self._has_file = True
            name = _text(options.get(b"filename", b""), "the file's name")
            self.file_name = redact_tokens(name)
            self.file_type = _text(self._headers.get(b"content-type", b""), "the file's type")
        elif b"filename" in options:
            raise _bad(f"the part {name[:40]!r} is a file too; only `file` may be one")
        elif name in self.fields or len(self.fields) >= MAX_FIELDS:
            raise _bad(f"the field {name[:40]!r} comes twice, or there are over {MAX_FIELDS}")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE_FIELD:
            self._draft.write(data[start:end])
            return
        self._data += data[start:end]
        if len(self._data) > MAX_FIELD_BYTES:
            raise TooLarge(
                "upload.too_large",
                f"the field {(self._name or '')[:40]!r} has more than {MAX_FIELD_BYTES} bytes",
                "Shorten it.",
            )

    def _part_end(self) -> None:
        if self._name is not None and self._name != FILE_FIELD:
            text = _text(bytes(self._data), f"the field {self._name[:40]!r}")
            if "\0" in text:
                raise _bad(f"the field {self._name[:40]!r} holds the character U+0000")
            self.fields[self._name] = redact_tokens(text)


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"{what} is not UTF-8") from error


def declared_least(headers: Mapping[str, str]) -> int:
    """The least size that the file can have, by Content-Length; 0 when none is declared.

    Refuses before a byte is read. Raises `artifact.too_large`, `upload.malformed`.
    """
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdecimal()) or len(declared) > 18:
        raise _bad("Content-Length is not a number")
    if int(declared) > MAX_FILE_BYTES + MAX_FORM_BYTES:
        raise TooLarge(
            "artifact.too_large",
            f"the file is larger than {MAX_FILE_BYTES} bytes",
            "Split it, or record a reference (POST /artifacts) to where it is kept.",
            max_bytes=MAX_FILE_BYTES,
        )
    return max(0, int(declared) - MAX_FORM_BYTES)


class Body:
    """The request's body, read once. `drain` it when it is refused: a client that is still sending
    hears an answer only when its body was taken."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                yield chunk
        except HomarusError:
            self._ended = True
            raise
        self._ended = True

    async def drain(self, headers: Mapping[str, str]) -> None:
        """Throw away the rest, within MAX_DRAIN_BYTES and DRAIN_S; nothing of a body that declares
        more: its sender is answered at once, and the connection closed."""
        declared = headers.get("content-length", "")
        if self._ended or (declared.isdecimal() and int(declared[:19]) > MAX_DRAIN_BYTES):
            return
        left = MAX_DRAIN_BYTES
        with contextlib.suppress(TimeoutError, HomarusError):
            async with asyncio.timeout(DRAIN_S):
                async for chunk in self.chunks():
                    left -= len(chunk)
                    if left <= 0:
                        return


async def receive(body: Body, headers: Mapping[str, str], draft: Draft) -> Form:
    """Read a whole body into a form and its draft; files are touched in threads only."""
    form = Form(headers.get("content-type", ""), draft)
    buffer = bytearray()
    async for chunk in body.chunks():
        buffer += chunk
        if len(buffer) >= BUFFER_BYTES:
            await asyncio.to_thread(form.feed, bytes(buffer))
            buffer.clear()
    if buffer:
        await asyncio.to_thread(form.feed, bytes(buffer))
    form.close(headers.get("content-length"))
    return form
