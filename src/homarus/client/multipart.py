"""A multipart form with one file, the same bytes at every repeat of a request.

The boundary comes from the idempotency key: a random one would make each repeat another body, and
so another request (control-plane contract, 3.1).
"""

import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from homarus.base.errors import Conflict

CHUNK_BYTES: Final = 256 * 1024


class Form:
    """`fields` as text, then `file` under its name. `size` is the whole body's, in bytes."""

    def __init__(self, fields: Mapping[str, str], file: Path, key: str) -> None:
        """Raises OSError where the file cannot be read."""
        boundary = "homarus-" + hashlib.sha256(key.encode()).hexdigest()[:40]
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        head = [
            f"--{boundary}\r\nContent-Disposition: form-data; "
            f'name="{_quoted(name)}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        head.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{_quoted(file.name)}"\r\nContent-Type: {kind}\r\n\r\n'
        )
        self._head = "".join(head).encode("utf-8", "surrogateescape")
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._file = file
        self._file_bytes = file.stat().st_size
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.size = len(self._head) + self._file_bytes + len(self._tail)

    def chunks(self) -> Iterator[bytes]:
        """The body, exactly `size` bytes. Raises `client.file_changed`."""
        yield self._head
        left = self._file_bytes
        with self._file.open("rb") as stream:
            while left:
                chunk = stream.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise Conflict(
                        "client.file_changed",
                        f"{self._file} became shorter while it was read",
                        "Send it again when nothing writes to it.",
                    )
                left -= len(chunk)
                yield chunk
        yield self._tail


def _quoted(text: str) -> str:
    """A quoted-string's inside; control characters and quotes escaped as browsers do."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
