"""Files of the pages: named by their content, so that browsers keep them for ever.

/app/static/<first 12 hex of SHA-256>/app.css
"""

import gzip
import hashlib
from importlib import resources
from typing import Final

import msgspec

PATH: Final = "/app/static"
TYPES: Final = {
    "app.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
HTMX_SHA256: Final = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
"""htmx 4.0.1, dist/htmx.min.js (docs/adr/0010-htmx-vendored.md)."""
DIGITS: Final = 12


class File(msgspec.Struct, frozen=True):
    type: str
    plain: bytes
    packed: bytes


class Files:
    """All files, read and compressed once."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self._files: dict[str, File] = {}
        folder = resources.files(__package__).joinpath("static")
        for name, kind in TYPES.items():
            plain = folder.joinpath(name).read_bytes()
            version = hashlib.sha256(plain).hexdigest()[:DIGITS]
            self.urls[name] = f"{PATH}/{version}/{name}"
            self._files[self.urls[name]] = File(kind, plain, gzip.compress(plain, 9, mtime=0))

    def find(self, path: str) -> File | None:
        return self._files.get(path)
