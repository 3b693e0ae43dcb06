"""A receiver of the webhook mirror, on loopback: keeps entities by marker, checks signatures.

    with Receiver(b"key") as receiver:
        ... {"url": receiver.url, "secret": "secret://board-hook"} ...
        assert receiver.held["homarus:task:T-1"]["fields"]["title"] == "t"

`answers` holds statuses for the next pushes, before they are written; `afterwards` for after.
"""

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Receiver:
    def __init__(self, key: bytes) -> None:
        self.key = key
        self.held: dict[str, dict[str, Any]] = {}
        self.posts: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.afterwards: list[int] = []
        self.changed = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body = receiver.answer(
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(int(self.headers.get("content-length", "0"))),
                )
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.send_header("retry-after", "1")
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/board"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.leave()

    def leave(self) -> None:
        """Nobody listens any longer."""
        self._server.shutdown()
        self._server.server_close()

    def signed(self, headers: dict[str, str], body: bytes) -> bool:
        """As a receiver has to check it."""
        text = headers.get("x-homarus-timestamp", "").encode() + b"." + body
        wanted = "sha256=" + hmac.digest(self.key, text, hashlib.sha256).hex()
        return hmac.compare_digest(wanted, headers.get("x-homarus-signature", ""))

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        if not self.signed(headers, body):
            return 401, {}
        told = json.loads(body)
        if told["type"] == "ping":
            return 200, {}
        if told["type"] == "lookup":
            row = self.held.get(told["marker"])
            if row is None:
                return 200, {"held": False}
            return 200, {"held": True, "id": row["marker"], "digest": row["digest"]}
        self.posts.append(told)
        if self.answers and (status := self.answers.pop(0)) != 200:
            return status, {}
        if told["act"] == "delete":
            self.held.pop(told["marker"], None)
        else:
            self.held[told["marker"]] = told
        self.changed.set()
        status = self.afterwards.pop(0) if self.afterwards else 200
        return status, {"id": told["marker"]} if status == 200 else {}

    def until(self, marker: str, within_s: float = 60.0, **fields: Any) -> bool:
        """Block until it holds the entity with these fields; call it in a thread beside a loop."""
        while True:
            self.changed.clear()
            row = self.held.get(marker)
            if row is not None and fields.items() <= row["fields"].items():
                return True
            if not self.changed.wait(within_s):
                return False
