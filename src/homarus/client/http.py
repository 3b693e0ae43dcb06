"""A small synchronous HTTP client for one daemon.

    client = Client("http://127.0.0.1:18789", token, company="harbour")
    task = client.post("/tasks", {...})["task"]
    for agent in client.pages("/agents", "agents"): ...

Paths are below `/api/v1`, unless they begin with `/api/`. Every write carries an idempotency key,
so it may be sent again after a lost connection and takes effect once. Not safe for use by two
threads at once.
"""

import json
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from homarus.base.errors import HomarusError, Invalid, TooLarge
from homarus.base.ids import new_id
from homarus.client import events
from homarus.client.errors import from_reply, timed_out, unreachable
from homarus.client.multipart import Form
from homarus.client.paths import below_api, with_query
from homarus.client.retry import BUSY_STATUSES, SAFE_METHODS, Attempts, Retry, retry_after_s

if TYPE_CHECKING:
    from homarus.client.request import Request

T = TypeVar("T")

TIMEOUT_S: Final = 60.0
"""Longer than the longest wait of the daemon: 30 s for a key in flight, 25 s of a long poll."""
MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
MAX_PAGES: Final = 100_000
CHUNK_BYTES: Final = 256 * 1024
PAGE_LIMIT: Final = 200
COMPANY_HEADER: Final = "X-Homarus-Company"


class Client:
    """One connection to one daemon, as one identity. `company` is a slug, for an owner's token."""

    def __init__(
        self,
        url: str,
        token: str,
        company: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retry: Retry = Retry(),  # noqa: B008
    ) -> None:
        """Raises `client.url`. Does not connect yet."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(
                "client.url", f"{url!r} is no address of a daemon", "Give http://HOST:PORT."
            )
        self.url = url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        try:
            self._port = parts.port or (443 if self._secure else 80)
        except ValueError as error:
            raise Invalid("client.url", f"{url!r}: {error}", "Give http://HOST:PORT.") from error
        self._prefix = parts.path.rstrip("/")
        self._token = token
        self._company = company
        self._timeout_s = timeout_s
        self._retry = retry
        self._connection: HTTPConnection | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- what callers use -------------------------------------------------------------------

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Parsed JSON. `query` values of None are left out, as everywhere here."""
        return self._json("GET", with_query(path, query), None, None)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> dict[str, Any]:
        """`key` None: a fresh idempotency key, kept for the repeats of this call."""
        return self._json("POST", path, body, key or new_id())

    def post_once(self, path: str, body: Any = None) -> dict[str, Any]:
        """For a route that honours no key (it answers with a secret): never sent twice."""
        return self._json("POST", path, body, None)

    def put(self, path: str, body: Any, *, key: str | None = None) -> dict[str, Any]:
        return self._json("PUT", path, body, key or new_id())

    def patch(self, path: str, body: Any, *, key: str | None = None) -> dict[str, Any]:
        return self._json("PATCH", path, body, key or new_id())

    def delete(self, path: str, *, key: str | None = None, **query: Any) -> dict[str, Any]:
        return self._json("DELETE", with_query(path, query), None, key or new_id())

    def upload(
        self,
        path: str,
        fields: Mapping[str, str],
        file: Path,
        *,
        key: str | None = None,
        method: str = "POST",
    ) -> dict[str, Any]:
        """Send a file as multipart field `file`, read in chunks.

        Raises OSError when the file cannot be opened, `client.file_changed` when it shrinks.
        """
        key = key or new_id()
        form = Form(fields, file, key)
        return _parsed(*self._exchange(method, path, form, form.content_type, key))

    def pages(
        self, path: str, noun: str, *, limit: int | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """All rows of a list, page after page; at most `limit` of them."""
        cursor: str | None = None
        left = limit if limit is not None else MAX_PAGES * PAGE_LIMIT
        for _ in range(MAX_PAGES):
            page = self.get(path, **query, limit=min(PAGE_LIMIT, left), cursor=cursor)
            rows = page.get(noun, [])[:left]
            yield from rows
            left -= len(rows)
            following = page.get("nextCursor")
            if following is None or not rows or left <= 0:
                return
            cursor = str(following)

    def download(self, path: str, into: IO[bytes], **query: Any) -> int:
        """Write the reply's bytes to `into`; their number. The caller removes a torn file."""
        total = 0
        response = self._open("GET", with_query(path, query))
        try:
            while chunk := response.read(CHUNK_BYTES):
                into.write(chunk)
                total += len(chunk)
        except (OSError, HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        return total

    def send(self, request: "Request[T]") -> T:
        """Send a described call; its value. Raises what the reply tells."""
        status, raw = self._exchange(
            request.method, request.target, request.content(), "application/json", request.key
        )
        return request.value(status, raw)

    def events(self, path: str, **query: Any) -> Iterator[tuple[str, Any]]:
        """Server-sent events `(event, data)` of a stream, until it ends. Raises
        `client.unreachable` when it is cut; whoever asks again gets what it still needs."""
        response = self._open("GET", with_query(path, query))
        try:
            yield from events.parse(response)
        except (OSError, HTTPException, ValueError) as error:
            raise unreachable(self.url, error) from error
        finally:
            self.close()

    # --- one exchange -----------------------------------------------------------------------

    def _json(self, method: str, path: str, body: Any, key: str | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        return _parsed(*self._exchange(method, path, data, "application/json", key))

    def _open(self, method: str, path: str) -> HTTPResponse:
        """A successful reply whose body the caller reads."""
        attempts = Attempts(self._retry)
        while True:
            try:
                response = self._send(method, path, None, {})
            except (OSError, HTTPException) as error:
                self.close()
                if not attempts.again():
                    raise self._unreachable(error) from error
                continue
            if response.status < 400:
                return response
            error_body = self._read(response)
            if response.status in BUSY_STATUSES and attempts.again(_asked_s(response)):
                continue
            raise from_reply(response.status, _decoded(error_body))

    def _exchange(
        self, method: str, path: str, body: bytes | Form | None, kind: str, key: str | None
    ) -> tuple[int, bytes]:
        """Status and body of the reply, after the repeats that are safe."""
        headers = {} if body is None else {"Content-Type": kind}
        if key is not None:
            headers["Idempotency-Key"] = key
        safe = method in SAFE_METHODS or key is not None
        attempts = Attempts(self._retry)
        while True:
            reused = self._connection is not None
            try:
                response = self._send(method, path, body, headers)
                reply = self._read(response)
            except (OSError, HTTPException) as error:
                self.close()
                if reused and safe and not isinstance(error, TimeoutError):
                    continue  # the daemon had closed the idle connection: no attempt was made
                refused = isinstance(error, ConnectionRefusedError)
                if not ((safe or refused) and attempts.again()):
                    raise self._unreachable(error) from error
                continue
            if response.status in BUSY_STATUSES and safe and attempts.again(_asked_s(response)):
                continue
            return response.status, reply

    def _send(
        self, method: str, path: str, body: bytes | Form | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        sent = {"Accept": "application/json", **headers}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        if self._company:
            sent[COMPANY_HEADER] = self._company
        if isinstance(body, Form):
            sent["Content-Length"] = str(body.size)
        data = body.chunks() if isinstance(body, Form) else body
        try:
            connection.request(method, self._prefix + below_api(path), data, sent)
        except HomarusError:
            self.close()
            raise
        return connection.getresponse()

    def _connect(self) -> HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=context)
        return HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _read(self, response: HTTPResponse) -> bytes:
        """The whole body, so that the connection can be used again. Raises `client.too_large`."""
        body = response.read(MAX_REPLY_BYTES + 1)
        if len(body) > MAX_REPLY_BYTES:
            self.close()
            raise TooLarge(
                "client.too_large",
                f"the answer passes {MAX_REPLY_BYTES} bytes",
                "Ask for less, with --limit.",
            )
        if not response.isclosed():
            response.read()
        return body

    def _unreachable(self, error: Exception) -> HomarusError:
        if isinstance(error, TimeoutError):
            return timed_out(self.url, self._timeout_s)
        return unreachable(self.url, error)


def _asked_s(response: HTTPResponse) -> float | None:
    return retry_after_s(response.headers.get("Retry-After"))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _parsed(status: int, body: bytes) -> dict[str, Any]:
    value = _decoded(body) if body else {}
    if status >= 300 or not isinstance(value, dict):
        raise from_reply(status if status >= 300 else 500, value)
    return value
