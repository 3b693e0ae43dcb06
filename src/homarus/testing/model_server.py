"""A scripted model on loopback: the three wires, with and without streaming, and all their faults.

    with ModelServer(Say("42")) as server:
        ...  # an `openai` client on server.base_url("openai"), an `anthropic` one on its own
        assert server.requests[0].last == "What is 6 x 7?"

    python -m homarus.testing.model_server [--port N] [SCRIPT.json]      until Ctrl-C

It listens on 127.0.0.1 only, answers at once, and waits for nothing but its client. `Stall` and
`Hold` end with the client, with `release`, or with the server. What a script says:
`testing/model_script.py`.
"""

import argparse
import select
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from homarus.testing.model_script import (
    ENDED,
    Answer,
    Call,
    Cut,
    Echo,
    Fail,
    Garbage,
    Hold,
    Item,
    Overflow,
    Refuse,
    Reply,
    Say,
    Script,
    Seen,
    Stall,
    Think,
    When,
    from_json,
    spoken,
    usage_of,
)
from homarus.testing.model_wires import CREATED, WIRES, Bad, Wire

__all__ = [
    "Answer", "Call", "Cut", "Echo", "Fail", "Garbage", "Hold", "ModelServer", "Overflow", "Refuse",
    "Reply", "Say", "Seen", "Stall", "Think", "When", "from_json",
]  # fmt: skip

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_REQUESTS: Final = 100_000
"""Kept in `requests`; older ones are forgotten."""
BACKLOG: Final = 512
WAIT_S: Final = 10.0
POLL_S: Final = 0.01
HELD_S: Final = 60.0
ANY_MODEL: Final = "scripted"

Done = tuple[Answer, tuple[int, int]]


class ModelServer:
    """`key`: what clients have to send, None: anything; `models`: what it offers, empty: any name;
    `default`: the reply when the script has ended. `requests` oldest first; `left`: how many
    clients went away before their answer was whole."""

    def __init__(
        self, *script: Item, key: str | None = None, models: tuple[str, ...] = (),
        default: Reply = ENDED, port: int = 0,
    ) -> None:  # fmt: skip
        self.key = key
        self.models = models
        self.requests: list[Seen] = []
        self.left = 0
        self._default = default
        self._script = Script(script, default)
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._open: set[socket.socket] = set()
        self._numbers = 0
        self._http = _Server(("127.0.0.1", port), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": POLL_S}, name="model-server",
            daemon=True,
        )  # fmt: skip

    def __enter__(self) -> "ModelServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every connection. Once."""
        self._http.shutdown()
        self._released.set()
        with self._changed:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its client was quicker
        self._thread.join()
        self._http.server_close()

    def base_url(self, dialect: str) -> str:
        """As a client of this dialect is told it."""
        return self.url if dialect == "anthropic" else f"{self.url}/v1"

    def add(self, *items: Item) -> None:
        """More of the script."""
        self._script.add(items)

    def reset(self, *script: Item) -> None:
        """Another script, and nothing asked yet."""
        with self._changed:
            self._script = Script(script, self._default)
            self.requests.clear()
            self.left = 0
            self._released.clear()

    def release(self) -> None:
        """Let the held replies go on, those to come too."""
        self._released.set()

    def wait(self, until: Callable[["ModelServer"], bool], timeout_s: float = WAIT_S) -> None:
        """Until that holds of the server; looked at whenever something happened here.

        Raises TimeoutError.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: until(self), timeout_s):
                raise TimeoutError(
                    f"not within {timeout_s} s: {len(self.requests)} requests, {self.left} left"
                )

    # -- for its handlers ------------------------------------------------------------------

    def opened(self, connection: socket.socket) -> None:
        with self._changed:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._changed:
            self._open.discard(connection)

    def gone(self) -> None:
        """A client went away before its answer was whole."""
        with self._changed:
            self.left += 1
            self._changed.notify_all()

    def take(self, seen: Seen) -> tuple[Reply, int]:
        """What to say to it, and the number of the request."""
        with self._changed:
            self.requests.append(seen)
            del self.requests[:-MAX_REQUESTS]
            self._numbers += 1
            number = self._numbers
            self._changed.notify_all()
        return self._script.take(seen), number

    def held(self) -> None:
        self._released.wait(HELD_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = BACKLOG
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is what some scripts are about; anything else is a fault."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        model = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    model: ModelServer

    def setup(self) -> None:
        super().setup()
        self.model.opened(self.connection)

    def finish(self) -> None:
        self.model.closed(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    # -- requests --------------------------------------------------------------------------

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        names = self.model.models or (ANY_MODEL,)
        if path == "/v1/models" and self.headers.get("anthropic-version"):
            rows = [{"type": "model", "id": n, "display_name": n, "created_at": ""} for n in names]
            self._json(200, {"data": rows, "has_more": False})
        elif path == "/v1/models":
            owned = {"object": "model", "created": CREATED, "owned_by": "script"}
            self._json(200, {"object": "list", "data": [{"id": name, **owned} for name in names]})
        elif path == "/api/tags":  # how an Ollama says what it has
            self._json(200, {"models": [{"name": name, "model": name} for name in names]})
        else:
            self._json(404, {"error": {"message": f"no {path}"}})

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            self._json(413, {"error": {"message": f"at most {MAX_BODY_BYTES} bytes"}})
            return
        raw = self.rfile.read(length)
        wire = next((wire for wire in WIRES if wire.path == path), None)
        if wire is None:
            self._json(404, {"error": {"message": f"no {path}"}})
            return
        try:
            seen = self._seen(wire, raw)
        except (Bad, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
            self._json(400, wire.error(400, str(error), None))
            return
        refused = self._refused(wire, seen)
        if refused is not None:
            self._json(refused[0], wire.error(*refused))
            return
        try:
            self._reply(wire, seen, *self.model.take(seen))
        except OSError:
            self.model.gone()
            raise

    def _seen(self, wire: Wire, raw: bytes) -> Seen:
        body = msgspec.json.decode(raw, type=dict[str, Any])
        system, last, tools = wire.read(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Seen(
            dialect=wire.name, model=str(body["model"]), stream=bool(body.get("stream")),
            system=system, last=last, tools=tools, body=body, headers=headers,
        )  # fmt: skip

    def _refused(self, wire: Wire, seen: Seen) -> tuple[int, str, str | None] | None:
        key = self.model.key
        sent = seen.headers.get("x-api-key") or seen.headers.get("authorization", "")[7:]
        if key is not None and sent != key:
            code = None if wire.name == "anthropic" else "invalid_api_key"
            return 401, f"Incorrect API key provided: {sent}.", code
        if self.model.models and seen.model not in self.model.models:
            code = None if wire.name == "anthropic" else "model_not_found"
            return 404, f"model: {seen.model}", code
        return None

    # -- replies ---------------------------------------------------------------------------

    def _reply(self, wire: Wire, seen: Seen, reply: Reply, n: int) -> None:
        if isinstance(reply, Hold):
            self.model.held()
            reply = reply.reply
        match reply:
            case Fail() if reply.after is None or not seen.stream:
                headers = {}
                if reply.retry_after_s is not None:
                    headers["Retry-After"] = f"{reply.retry_after_s:g}"
                error = wire.error(reply.status, reply.message, reply.code)
                self._json(reply.status, error, headers)
            case Fail():
                self._open_stream()
                self._say(wire, seen, n, reply.after or "")
                self._chunk(wire.error_frame(reply.status, reply.message, reply.code))
                self._chunk(b"")
            case Overflow():
                message, code = wire.overflow()
                self._json(400, wire.error(400, message, code))
            case Stall():
                if reply.after is not None and seen.stream:
                    self._open_stream()
                    self._say(wire, seen, n, reply.after)
                self._until_gone()
            case Cut() if not seen.stream:
                self.close_connection = True
            case Cut():
                self._open_stream()
                self._say(wire, seen, n, reply.after)
                if reply.clean:
                    self._chunk(b"")
                self.close_connection = True
            case Garbage():
                self._garbage(reply, stream=seen.stream)
            case _:
                self._answer(wire, seen, spoken(reply, seen), n)

    def _answer(self, wire: Wire, seen: Seen, answer: Answer, n: int) -> None:
        answer = _with_offered_names(answer, seen)
        usage = usage_of(answer, seen)
        if not seen.stream:
            self._json(200, wire.whole(answer, usage, seen, n))
            return
        self._open_stream()
        for frame in wire.frames(answer, usage, seen, n):
            self._chunk(frame)
        self._chunk(b"")

    def _say(self, wire: Wire, seen: Seen, n: int, text: str) -> None:
        """The beginning of a text, without its end."""
        for frame in wire.frames(Answer((Say(text),)), (8, 1), seen, n, open_end=True):
            self._chunk(frame)

    def _until_gone(self) -> None:
        """Say nothing until the client has closed the connection, or the server ends."""
        self.close_connection = True
        select.select([self.connection], [], [])
        self.model.gone()

    def _garbage(self, reply: Garbage, *, stream: bool) -> None:
        shape = {"object": "list", "choices": [{"delta": 5}], "content_block": [], "type": 7}
        if reply.kind == "html":
            self._body(200, b"<html><body>Welcome</body></html>", "text/html", {})
        elif not stream:
            raw = msgspec.json.encode(shape) if reply.kind == "shape" else b'{"choices": [{'
            self._body(200, b"" if reply.kind == "empty" else raw, "application/json", {})
        else:
            self._open_stream()
            if reply.kind == "json":
                self._chunk(b'event: message_start\ndata: {"choices": [{"delta": {"conte\n\n')
            elif reply.kind == "shape":
                for name in ("message_start", "response.completed"):
                    event = msgspec.json.encode({**shape, "type": name})
                    self._chunk(f"event: {name}\ndata: ".encode() + event + b"\n\n")
            self._chunk(b"")

    # -- HTTP ------------------------------------------------------------------------------

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._body(status, msgspec.json.encode(body), "application/json", headers or {})

    def _body(self, status: int, raw: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status, "scripted")
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _open_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, raw: bytes) -> None:
        self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")


def _with_offered_names(answer: Answer, seen: Seen) -> Answer:
    """A script names tools as we do (`fs.read`); a model names them as they were offered."""

    def offered(name: str) -> str:
        plain = name.replace(".", "_")
        return plain if name not in seen.tools and plain in seen.tools else name

    return Answer(
        tuple(
            msgspec.structs.replace(part, name=offered(part.name))
            if isinstance(part, Call)
            else part
            for part in answer.parts
        ),
        answer.usage,
        answer.cached,
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="model_server", description="A scripted model.")
    parser.add_argument("script", nargs="?", help="JSON list of replies; without: it echoes")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(arguments)
    items = from_json(Path(given.script).read_bytes()) if given.script else []
    with ModelServer(*items, default=Echo("You said: "), port=given.port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
