"""A restart in place: the same process id, the same port, a new program.

keep_settings(loaded)   when it may restart: what the next program starts with, if an edit made
                        meanwhile is wrong
keep(listener)          before the server closes it: who connects meanwhile waits
deaf()                  when drained: signals of the daemon are ignored until the new program is up
again()                 the drained process becomes the new one; does not return
settings(source)        in the new one: what to start with
kept(settings)          in the new one: the listener, where the settings still mean that address

What is handed on goes by descriptors that the new program inherits: nothing of it has a name on
disk, and the environment holds their numbers alone.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError
from homarus.config.problem import Rejected
from homarus.config.read import Loaded, Origin, Source, read
from homarus.config.schema import BY_FIELD, KEYS, Settings, converted
from homarus.service.listening import probe

LISTENER: Final = "HOMARUS_KEPT_LISTENER"
"""In the environment of the new program: the descriptor of the listener, "-" for none."""
SETTINGS: Final = "HOMARUS_KEPT_SETTINGS"
"""The same for the settings."""
MAX_KEPT_BYTES: Final = 4_194_304
SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""Those that would end a process which does not handle them."""


class _Kept(msgspec.Struct, frozen=True):
    """A `Loaded`, as it is handed on; `values` by field of Settings."""

    values: dict[str, Any]
    origins: dict[str, Origin]
    files: tuple[str, ...]
    digest: str


def keep_settings(loaded: Loaded) -> None:
    """Hand them on, secrets too: in memory, or where that cannot be in a file without a name.
    Raises OSError."""
    values = {key.field: getattr(loaded.settings, key.field) for key in KEYS}
    files = tuple(map(str, loaded.files))
    raw = msgspec.json.encode(_Kept(values, loaded.origins, files, loaded.digest))
    fd = _nameless(loaded.settings.home / "run")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(raw)
    except BaseException:
        os.close(fd)
        raise
    before = os.environ.get(SETTINGS, "")
    if before.isdigit():
        os.close(int(before))
    os.environ[SETTINGS] = str(fd)


def _nameless(folder: Path) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("settings", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


def settings(source: Source) -> Loaded:
    """As `read`. After a restart in place, what the program before had found good counts where the
    files are wrong now, are gone, or name an address that cannot be had. Raises Rejected."""
    before = _kept_settings(source)
    if before is None:
        return read(source)
    try:
        loaded = read(source)
    except Rejected:
        return before
    is_gone = before.digest and not loaded.digest
    return before if is_gone or not _can_be_had(before.settings, loaded.settings) else loaded


def _can_be_had(before: Settings, wanted: Settings) -> bool:
    if (wanted.host, wanted.port) == (before.host, before.port):
        return True
    try:
        probe(wanted)
    except HomarusError:
        return False
    return True


def _kept_settings(source: Source) -> Loaded | None:
    """None also where the program before, another version maybe, meant them otherwise."""
    given = os.environ.pop(SETTINGS, "-")
    if not given.isdigit():
        return None
    try:
        with os.fdopen(int(given), "rb") as file:
            file.seek(0)
            found = msgspec.json.decode(file.read(MAX_KEPT_BYTES), type=_Kept)
        values = {
            name: converted(BY_FIELD[name], value, strict=True)
            for name, value in found.values.items()
            if name in BY_FIELD
        }
    except (OSError, msgspec.DecodeError):
        return None
    return Loaded(
        Settings(home=source.home, **values), found.origins, (),
        tuple(map(Path, found.files)), found.digest, source, kept=True,
    )  # fmt: skip


def keep(listener: socket.socket) -> None:
    """Hand a second descriptor of the listener on to the next program."""
    second = listener.dup()
    second.set_inheritable(True)
    os.environ[LISTENER] = str(second.detach())


def deaf(loop: asyncio.AbstractEventLoop) -> None:
    """Ignored signals stay ignored in the new program until it takes them; handled ones would end
    it."""
    for number in SIGNALS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def again() -> None:
    """Start this program anew in this process, with the arguments that it was started with."""
    os.environ.setdefault(LISTENER, "-")
    kept = os.environ.get(SETTINGS, "")
    if kept.isdigit():
        os.set_inheritable(int(kept), True)  # not before: programs are still started in a drain
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  (our own)


def happened() -> bool:
    """Whether this program took over from one before it; asked before `kept`."""
    return LISTENER in os.environ


def kept(settings: Settings) -> socket.socket | None:
    """The listener of the program before, once. None where there was none, or the settings name
    another address: it is closed then."""
    given = os.environ.pop(LISTENER, "-")
    if not given.isdigit():
        return None
    try:
        found = socket.socket(fileno=int(given))
        host, port = found.getsockname()[:2]
    except OSError:
        return None
    found.set_inheritable(False)
    if settings.port not in (0, port) or not _same(settings.host, host):
        found.close()
        return None
    found.setblocking(False)
    return found


def _same(host: str, bound: str) -> bool:
    """Whether a configured host is the address that a socket is bound to."""
    return host == bound or bound in {str(at[4][0]) for at in socket.getaddrinfo(host, None)}
