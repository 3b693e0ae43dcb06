"""A route is data: what it needs, who may, which function answers.

A handler is a synchronous function over a transaction. A writing route's handler runs inside
`store.write`, so its reply commits with its effect; a reading route's handler runs in `store.read`.

    def create(tx: Tx, call: Call[NewAgent]) -> Reply: ...          writes
    def listed(rx: Rx, call: Call[None]) -> Reply: ...              reads

A `StreamRoute` is for bodies too large for memory: its handler is async and gets a `Stream`.

From the table of routes come dispatch, OpenAPI, the reference page and the test that walks all
surfaces (governance contract, 1).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from homarus.agents.live import Live
from homarus.agents.providers import Providers
from homarus.base.action import Estimate
from homarus.base.errors import Invalid
from homarus.base.ids import is_uuid
from homarus.flows.turn_inbound import DEFAULT_MODE
from homarus.kernel.tokens import Token
from homarus.outbox.worker import Outbox
from homarus.records.blobs import Blobs
from homarus.store.port import Reply, Rx, Store, Ts, Tx

B = TypeVar("B")
T = TypeVar("T")

MOUNTS: Final = ("/api/mcp", "/api/v1")
ROOT: Final = ("/api",)
"""Mounts of a route that the original has beside `/api/mcp`."""
MAX_BODY_BYTES: Final = 1_048_576
MAX_DEPTH: Final = 32
MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 100

_encode = msgspec.json.Encoder().encode


class Call(msgspec.Struct, Generic[B], frozen=True):
    """One parsed request.

    `company` id of the company it concerns; `token` the caller's access token (no secret);
    `path` values of the `{names}`; `query` the last value of each; `body` decoded as the route's
    body type (None where it has none); `raw` the body's bytes; `base_url` of this daemon as the
    caller reached it, without a trailing slash; `seen` what the route's `before` read; `key` the
    caller's idempotency key, empty where it gave none or the route honours none; `queue_mode` of a
    message whose session has none.
    """

    company: str
    token: Token
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: B
    raw: bytes = b""
    base_url: str = ""
    seen: Any = None
    key: str = ""
    queue_mode: str = DEFAULT_MODE

    def id(self, name: str = "id") -> str:
        """A path id that must be a UUID. Raises `request.bad_id`."""
        value = self.path[name]
        if not is_uuid(value.lower()):
            raise Invalid("request.bad_id", f"{value[:80]!r} is not an id", "Give the UUID.")
        return value.lower()

    def limit(self, default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT) -> int:
        """`limit` of the query: default 100, at most 500; nonsense counts as not given."""
        text = self.query.get("limit", "")
        if not (text.isascii() and text.isdecimal()) or len(text) > 9:
            return default
        return max(1, min(int(text), most))

    def cursor(self) -> int | None:
        """`cursor` of the query: the `nextCursor` of the page before. Raises `request.cursor`."""
        text = self.query.get("cursor")
        if text is None or text == "":
            return None
        if not (text.isascii() and text.isdecimal()) or len(text) > 18:
            raise Invalid("request.cursor", "unreadable cursor", "Repeat `nextCursor` as given.")
        return int(text)

    def cursor_at(self) -> tuple[int, str] | None:
        """The same, of a list by a time that rows may share: `<ms>-<id>` of the last row seen."""
        text = self.query.get("cursor")
        if text is None or text == "":
            return None
        ms, _, id_ = text.partition("-")
        if not (ms.isascii() and ms.isdecimal()) or len(ms) > 18 or not is_uuid(id_):
            raise Invalid("request.cursor", "unreadable cursor", "Repeat `nextCursor` as given.")
        return int(ms), id_

    def cursor_id(self) -> str | None:
        """The same, of a list whose cursor is the id of the last row seen."""
        text = self.query.get("cursor")
        if text is None or text == "":
            return None
        if not is_uuid(text):
            raise Invalid("request.cursor", "unreadable cursor", "Repeat `nextCursor` as given.")
        return text


class Sealer(Protocol):
    """What seals small secrets and opens them: `kernel.keys.MasterKey`."""

    def seal(self, clear: bytes, about: bytes) -> bytes: ...

    def unseal(self, sealed: bytes, about: bytes) -> bytes: ...

    def derive(self, about: bytes) -> bytes: ...


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the surface.

    `path`       below the mount, with `{names}`: `/tasks/{id}/notes`
    `capability` what a caller must be allowed; a read-only route has `read` (or `audit.read`)
    `handler`    see the module; for `kind` "write" it gets a Tx, for "read" an Rx
    `body`       msgspec type of the JSON body; None: none is read
    `keyed`      "required": 400 without `Idempotency-Key` (contract 3.2 K); "accepted": honoured
                 when given; "ignored": never replayed (contract 3.2, right-hand column)
    `strict`     the same key with another body is 409
    `replay`     see `Key.replay`
    `acting`     finds the agent reference that the caller speaks for, in the decoded call
    `prepare`    runs on the decoded call before the unit, with the daemon's `Sealer`: what a unit
                 must not see in clear is sealed here. Action and key are made of the call before
    `finish`     makes the reply of what the handler gave, after the commit, with the daemon's
                 `Sealer`: what is sealed is opened there and nowhere before. Nothing of such a
                 reply is stored, so the route is `keyed` "ignored"
    `looks`      looks at this machine, given the state directory, in a thread and before the unit;
                 the handler finds what it returns in `call.seen`, an error of it too
    `before`     for `kind` "write": reads what takes too long for a unit, in a read transaction of
                 its own before it; the handler finds it in `call.seen`
    `channels`   the handler finds the channels that the company has configured in `call.seen`
    `target`     URI-like target of the action, with path names: `task:{id}`
    `task`       finds the id of the task it concerns
    `note`       finds the routing note in the decoded call; the header `X-Homarus-Routing-Note`
                 stands in where there is none
    `callee`     finds the agent that a dispatch is for
    `aims`       finds the target in the decoded call, where the path does not name it
    `preflight`  finds the preflight in the decoded call; else the header `X-Homarus-Preflight`
    `names`      the registered capability that the call wants, judged instead of `capability`
    `digest`     32 bytes that stand for the arguments; by default the body's SHA-256
    `estimate`   what the call may cost at most
    `status`     of success, for OpenAPI; `reply` its msgspec type, where there is one
    `scope`      which company it acts on: "caller" the caller's (or the one that its header names);
                 "any" also the instance itself (`X-Homarus-Company: @instance`); "instance" always
                 the instance; "path" the company that `{id}` of the path names
    `also`       further statuses of success
    `mounts`     what `path` is below of: both, or `/api` itself (ROOT)
    `forks`      the routes that this one may turn out to be, where the body says which
    `pick`       finds it among `forks`, by the decoded call and rows; it is judged, keyed and run
                 in this one's place, and this one's own handler never is
    """

    method: str
    path: str
    capability: str
    handler: Callable[..., Any]
    kind: str
    summary: str
    body: Any = None
    keyed: str = "accepted"
    strict: bool = False
    replay: Callable[..., Reply | None] | None = None
    acting: Callable[[Call[Any]], str | None] | None = None
    prepare: Callable[[Call[Any], Sealer], Call[Any]] | None = None
    looks: Callable[[Call[Any], Path], Any] | None = None
    finish: Callable[[Any, Sealer], Reply] | None = None
    before: Callable[[Rx, Call[Any]], Any] | None = None
    channels: bool = False
    target: str = "company:"
    task: Callable[[Call[Any]], str | None] | None = None
    note: Callable[[Call[Any]], str | None] | None = None
    callee: Callable[[Call[Any]], str | None] | None = None
    aims: Callable[[Call[Any]], str] | None = None
    preflight: Callable[[Call[Any]], str | None] | None = None
    names: Callable[[Call[Any]], str] | None = None
    digest: Callable[[Call[Any]], bytes] | None = None
    estimate: Callable[[Call[Any]], Estimate | None] | None = None
    status: int = 200
    reply: Any = None
    query: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    scope: str = "caller"
    also: tuple[int, ...] = ()
    mounts: tuple[str, ...] = MOUNTS
    forks: tuple["Route", ...] = ()
    pick: Callable[[Rx, Call[Any]], "Route"] | None = None


def json_reply(body: Any, status: int = 200) -> Reply:
    """A reply whose body is any msgspec-encodable value."""
    return Reply(status=status, body=_encode(body))


class TextReply(Reply, frozen=True):
    """A reply of a reading route whose body is plain text in UTF-8."""


def read_route(path: str, handler: Callable[..., Reply], summary: str, **more: Any) -> Route:
    """GET, capability `read`."""
    return Route(
        method="GET",
        path=path,
        handler=handler,
        summary=summary,
        kind="read",
        **({"capability": "read"} | more),
    )


def write_route(
    method: str,
    path: str,
    capability: str,
    handler: Callable[..., Any],
    summary: str,
    **more: Any,
) -> Route:
    return Route(
        method=method,
        path=path,
        capability=capability,
        handler=handler,
        summary=summary,
        kind="write",
        **more,
    )


class FileReply(msgspec.Struct, frozen=True):
    """A file as the body: sent in chunks, with these headers and `Content-Length: size`.

    The surface sends `headers` as they are, opens `path` before the status line goes out (a
    missing file is 503 `artifact.blob_missing`), and sends exactly `size` bytes from `start` on.
    """

    path: Path
    size: int
    headers: tuple[tuple[str, str], ...]
    start: int = 0
    status: int = 200


class EventReply(msgspec.Struct, frozen=True):
    """A stream of server-sent events as the body of a 200, until it ends or the client leaves."""

    events: AsyncIterator[bytes]


class Stream(Protocol):
    """What an async handler gets beside the call; the edge implements it, authenticated already.

    `home` the state directory; `store` and `blobs` of this daemon (the store for its own work:
    what the caller wants goes through `read` and `write` below); `headers` of the request, names
    in lower case; `sealer` opens what was sealed; `models` the connections to configured models,
    `live` turns as they happen, `outbox` the worker of mirrors, where this daemon has any.
    """

    models: Providers | None
    live: Live | None
    outbox: Outbox | None
    home: Path
    store: Store
    blobs: Blobs
    headers: Mapping[str, str]
    sealer: Sealer

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `request.disconnected` when the client goes away.

        Not bounded: the handler counts, and stops reading when its own bound is passed.
        """
        ...

    async def read(self, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> T:
        """`fn(rx, *args)` in `store.read`, after the route's capability was judged."""
        ...

    async def write(
        self,
        fn: Callable[[Tx, *Ts], Reply],
        *args: *Ts,
        digest: bytes,
        acting: str | None = None,
        task: str | None = None,
        estimate: Estimate | None = None,
    ) -> Reply:
        """`fn(tx, *args)` through the one door, under the request's key when it has one.

        `digest`: 32 bytes that stand for the body: the receipt's `arguments`, and what tells the
        same key with another body apart (a multipart body's own bytes change with its boundary).
        `acting`, `task`: the agent and task named in the body, `estimate`: what it may cost, all
        as in `Route`.
        """
        ...

    async def wait(self, after_seq: int, timeout_s: float) -> int:
        """Wait until the company's feed has passed `after_seq`; returns where it stands.

        Wakes at once on a commit, and no later than `timeout_s`. For long polls.
        """
        ...


class StreamRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the surface whose handler streams. Fields as in `Route`.

    The edge authenticates, checks the key's presence (`keyed`), then awaits
    `handler(stream, call)`; `call.body` is None and `call.raw` empty. `multipart` names the form
    fields for OpenAPI (`file*`: required), empty for none.
    A bounded number of them runs at once; a `HomarusError` is answered as on any route.
    """

    method: str
    path: str
    capability: str
    handler: Callable[[Stream, Call[None]], Awaitable[Reply | FileReply | EventReply]]
    kind: str
    summary: str
    keyed: str = "accepted"
    strict: bool = False
    target: str = "company:"
    status: int = 200
    multipart: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    scope: str = "caller"
    mounts: tuple[str, ...] = MOUNTS
