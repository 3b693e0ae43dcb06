"""A restart in place: the same process id, the same port, a new program.

keep(listener)      before the server closes it: who connects meanwhile waits
deaf()              when drained: signals of the daemon are ignored until the new program is up
again()             the drained process becomes the new one; does not return
kept(settings)      in the new one: the listener, where the settings still mean that address

"""

import asyncio
import os
import signal
import socket
import sys
from typing import Final

from homarus.config.schema import Settings

LISTENER: Final = "HOMARUS_KEPT_LISTENER"
"""In the environment of the new program: the descriptor of the listener, "-" for none."""
SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""Those that would end a process which does not handle them."""


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
