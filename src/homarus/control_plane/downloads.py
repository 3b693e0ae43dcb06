"""What anybody may download: launchers and install scripts (control-plane contract, 12).

The files lie in `shipped/`. Line endings are made here, whatever a checkout did to
the files: a shell stops at a carriage return, and PowerShell's tools expect one (contract, 18, 31).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

JAVASCRIPT: Final = b"text/javascript; charset=utf-8"
TEXT: Final = b"text/plain; charset=utf-8"
FOLDER: Final = Path(__file__).parent / "shipped"

Maker = Callable[[], bytes]


def _lines(name: str) -> str:
    """The file with LF alone."""
    return (FOLDER / name).read_text("utf-8")


def launcher(file: str, command: str) -> bytes:
    """A Node program `file` that starts `homarus COMMAND`."""
    return _lines("launcher.js").replace("@FILE@", file).replace("@COMMAND@", command).encode()


def unix(name: str) -> bytes:
    return _lines(name).encode()


def windows(name: str) -> bytes:
    return _lines(name).replace("\n", "\r\n").encode()


FILES: Final[dict[str, tuple[bytes, Maker]]] = {
    "/downloads/control-plane.js": (
        JAVASCRIPT,
        partial(launcher, "control-plane.js", "companion"),
    ),
    "/downloads/bridge.js": (JAVASCRIPT, partial(launcher, "bridge.js", "bridge")),
    "/install.sh": (TEXT, partial(unix, "install.sh")),
    "/install.ps1": (TEXT, partial(windows, "install.ps1")),
}
"""Path -> content type, and what makes the bytes."""
