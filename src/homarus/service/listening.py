"""The address that a daemon listens on."""

import socket

from homarus.base.errors import Unavailable
from homarus.config.schema import Settings


def listen(settings: Settings) -> socket.socket:
    """Bound, not listening yet. Raises `serve.address`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only for sockets that say they are TCP; with it on, the
    # second packet of each reply waits 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Unavailable(
            "serve.address",
            f"{settings.host}:{settings.port} cannot be had: {error.strerror}",
            "Stop what uses it, or choose another with --port (0: a free one).",
        ) from error
    return listener


def probe(settings: Settings) -> None:
    """Whether the address can be had. Raises `serve.address`."""
    listen(settings).close()
