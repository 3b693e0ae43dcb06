"""A loopback front before a daemon that answers some paths itself and hands on the rest.

Socket upgrades do not pass it.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

MOUNT = "/api/v1"
WAIT_S = 40.0


class Front:
    """`asked`: path below the mount and body of each request that it answered itself. `passed`:
    method and path of all others."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, Any]] = []
        self.passed: list[tuple[str, str]] = []


@contextmanager
def front(
    daemon: str,
    answers: Mapping[str, tuple[int, Any]],
    heard: Callable[[str], None] = lambda path: None,
) -> Iterator[Front]:
    """`answers`: by path below `/api/v1`; `heard` is told the path of each, in a thread."""
    parts = urlsplit(daemon)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            below = self.path.removeprefix(MOUNT)
            if below in answers:
                made.asked.append((below, json.loads(body)))
                heard(below)
                status, value = answers[below]
                content = json.dumps(value).encode()
            else:
                made.passed.append((self.command, below))
                status, content = self.hand_on(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client has heard enough
                self.wfile.write(content)

        def hand_on(self, body: bytes) -> tuple[int, bytes]:
            onward = HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S)
            headers = {
                name: value for name, value in self.headers.items()
                if name.lower() not in ("host", "content-length", "connection", "upgrade",
                                        "accept-encoding")
            }  # fmt: skip
            onward.request(self.command, self.path, body or None, headers)
            reply = onward.getresponse()
            content = reply.read()
            onward.close()
            return reply.status, content

        do_GET = do_POST = do_PATCH = do_DELETE = answer

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    made = Front(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
