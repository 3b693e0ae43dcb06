"""The sandbox's end of the way out: a port on its own loopback that leads to the proxy's socket.

    python relay.py SOCKET PORT -- COMMAND ARGUMENT…

Standard library alone, and no import of ours: it runs inside the sandbox, with nothing but what it
is shown. The command takes the place of this process; the relay is a child of it and ends with the
sandbox. It knows no credentials and decides nothing.
"""

import contextlib
import os
import socket
import sys
import threading

BACKLOG = 64
PIECE_BYTES = 65_536


def pump(source: socket.socket, sink: socket.socket) -> None:
    """One way of a connection, to its end."""
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def serve(near: socket.socket, path: str) -> None:
    with near, socket.socket(socket.AF_UNIX) as far, contextlib.suppress(OSError):
        far.connect(path)
        back = threading.Thread(target=pump, args=(far, near), daemon=True)
        back.start()
        pump(near, far)
        back.join()


def main(argv: list[str]) -> None:
    path, port, command = argv[1], int(argv[2]), argv[4:]
    listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    if os.fork():
        listener.close()
        os.execvp(command[0], command)  # noqa: S606
    os.closerange(0, 3)
    while True:
        near, _ = listener.accept()
        threading.Thread(target=serve, args=(near, path), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv)
