"""The one door (governance contract, 1): no surface reaches an effect but by `store.write`.

The walk takes every route of the table as the daemon serves it, calls it over the real edge with a
recording store behind, and looks at what the store was asked. A side path planted in a copy of the
table must fail the walk, or the walk proves nothing.
"""

import ast
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.base.action import Action, Actor, ActorKind, Allow
from homarus.base.clock import SystemClock
from homarus.control_plane import table
from homarus.control_plane.auth import Door
from homarus.control_plane.edge import Edge
from homarus.control_plane.feed import Feed
from homarus.control_plane.match import AnyRoute
from homarus.control_plane.route import Route, StreamRoute, json_reply, write_route
from homarus.control_plane.stream import Means
from homarus.flows.facts import SqlFacts
from homarus.gateway.http.surface import Surface
from homarus.gateway.http.table import ENDPOINTS, Endpoint
from homarus.kernel.admit import INTERCEPTORS, judge
from homarus.kernel.capabilities import BUILTIN
from homarus.kernel.tokens import Token
from homarus.records.blobs import Blobs
from homarus.store.port import Reply
from tests.tiers import TIER, modules

SOURCE = Path(__file__).parents[1] / "src"
COMPANY = "01a1f978-acee-72aa-8763-e53ee771c702"
OWNER = Token(COMPANY, "", "operator", "owner", "mcp_full", None, "owner", 0, None, None)


class ShutRx:
    """Reads that find nothing, and writes that must not be: any statement but a select fails."""

    dialect = "sqlite"
    now_ms = 0

    def one(self, sql: str, params: Any = ()) -> None:
        assert sql.lstrip().lower().startswith("select"), sql

    def all(self, sql: str, params: Any = ()) -> list[Any]:
        assert sql.lstrip().lower().startswith("select"), sql
        return []


class RecordingStore:
    """A store that opens no door: it notes each unit it was asked for and runs none of them."""

    url = "recording"

    def __init__(self) -> None:
        self.units: list[Action] = []
        self.reads = 0

    def write(self, action: Action, fn: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        return self._noted(action)

    def write_once(
        self, action: Action, fn: Callable[..., Reply], *args: Any, key: Any
    ) -> Awaitable[Reply]:
        return self._noted(action)

    async def _noted(self, action: Action) -> Reply:
        self.units.append(action)
        return json_reply({})

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        self.reads += 1
        return fn(ShutRx(), *args)

    def listen(self, listener: Any) -> Callable[[], None]:
        return lambda: None


class OpenDoor(Door):
    """Everybody is the owner: the walk is about what happens after authentication."""

    async def token(self, headers: Any) -> Token:
        return OWNER

    async def of_secret(self, secret: str) -> Token:
        return OWNER

    async def company(self, ref: str) -> str:
        return COMPANY


class Sealer:
    def seal(self, clear: bytes, about: bytes) -> bytes:
        return b""

    def unseal(self, sealed: bytes, about: bytes) -> bytes:
        return b""

    def derive(self, about: bytes) -> bytes:
        return b""


def edge_over(store: RecordingStore, routes: tuple[AnyRoute, ...], home: Path) -> Edge:
    facts = SqlFacts()
    means = Means(
        store,  # type: ignore[arg-type]
        lambda rx, action: judge(rx, action, facts),
        Feed(store),  # type: ignore[arg-type]
        Blobs(home / "blobs"),
        Sealer(),
        home,
    )
    return Edge(means, OpenDoor(store, SystemClock(), COMPANY), routes)  # type: ignore[arg-type]


async def call(edge: Edge, route: AnyRoute) -> int:
    """One request as a client would send it; the status of the answer."""
    path = route.mounts[-1] + route.path
    for name in ("id", "sid", "aid", "pid", "rid", "cid", "iid"):
        path = path.replace("{" + name + "}", COMPANY)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body_of(route), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"idempotency-key", b"walk"), (b"host", b"127.0.0.1")]
    scope = {
        "type": "http",
        "method": route.method,
        "path": path.replace("{", "").replace("}", ""),
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "server": ("127.0.0.1", 1),
    }
    await edge(scope, receive, send)
    return int(sent[0]["status"])


def body_of(route: AnyRoute) -> bytes:
    """The least body that the route's type accepts."""
    kind = getattr(route, "body", None)
    return b"{}" if kind is None else msgspec.json.encode(least(kind))


def least(kind: Any) -> Any:
    if kind is Any:
        return {}
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.StructType):
        return {f.encode_name: sample(f.type) for f in info.fields if f.required}
    return sample(info)


def sample(info: Any) -> Any:
    inspect = msgspec.inspect
    if isinstance(info, inspect.UnionType):
        return sample(info.types[0])
    if isinstance(info, inspect.StrType):
        return "a"
    if isinstance(info, inspect.IntType | inspect.FloatType):
        return 1
    if isinstance(info, inspect.BoolType):
        return True
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        return [sample(info.item_type)] * (info.min_length or 0)
    if isinstance(info, inspect.LiteralType):
        return info.values[0]
    if isinstance(info, inspect.EnumType):
        return next(iter(info.cls)).value
    return {}


def writes(routes: tuple[AnyRoute, ...]) -> list[AnyRoute]:
    return [route for route in routes if route.kind == "write"]


def judged_as(route: Route) -> str:
    """A route that runs what its caller names is judged as that: here, what `sample` made up."""
    return route.capability if route.names is None else "a"


def variants(routes: tuple[AnyRoute, ...]) -> list[tuple[AnyRoute, AnyRoute]]:
    """`(what is called, what it must be judged as)`: a forking route once for each of its forks,
    pinned to that one whatever the body says."""
    found: list[tuple[AnyRoute, AnyRoute]] = []
    for route in routes:
        forks = getattr(route, "forks", ())
        found += [(pinned(route, fork), fork) for fork in forks] or [(route, route)]  # type: ignore[arg-type]
    return found


def pinned(route: Route, fork: Route) -> Route:
    return msgspec.structs.replace(route, pick=lambda rx, call: fork)


async def walk(routes: tuple[AnyRoute, ...], home: Path) -> list[str]:
    """One line per request that reached an effect otherwise than by one judged unit of its route.

    A JSON route of kind write is exactly that unit. A streaming one may do the daemon's own work
    after it (sweep a content), never before it; one that reads never asks for a unit at all.
    """
    found = []
    for served, route in variants(routes):
        store = RecordingStore()
        offered = routes if served is route else (served,)
        status = await call(edge_over(store, offered, home), served)
        asked = [action.capability for action in store.units]
        name = f"{route.method} {route.path}: {status}, units {asked}"
        if route.kind == "read":
            found += [name] if asked else []
        elif isinstance(route, StreamRoute):
            found += [name] if asked[:1] not in ([route.capability], []) else []
            found += [name] if not asked and status < 400 else []
        elif asked != [judged_as(route)] or status >= 400:
            found.append(name)
        first = store.units[:1]
        if any(action.system or action.credential != OWNER.id for action in first):
            found.append(f"{name}: acts without the caller's credential")
    return found


async def test_every_effect_of_a_route_is_one_unit_of_its_capability(tmp_path: Path) -> None:
    assert await walk(table.routes(), tmp_path) == []


async def bypass(stream: Any, call: Any) -> Reply:
    """A handler that goes round the caller's judgement by the daemon's own rights."""
    own = Action(call.company, "task.move", "task:1", system="side-path")
    await stream.store.write(own, lambda tx: None)
    return json_reply({"done": True})


async def pretend(stream: Any, call: Any) -> Reply:
    """A handler that says it wrote, and asked nobody."""
    return json_reply({"done": True})


def read_as_write(rx: Any, call: Any) -> Reply:
    rx.one("update task set state='done'")
    return json_reply({"done": True})


def stream_route(path: str, kind: str, handler: Any) -> StreamRoute:
    return StreamRoute(
        method="POST", path=path, capability="task.create", handler=handler, kind=kind,
        summary="Side path", keyed="ignored",
    )  # fmt: skip


@pytest.mark.parametrize(
    "planted",
    [
        stream_route("/side", "write", bypass),
        stream_route("/side", "read", bypass),
        stream_route("/side", "write", pretend),
        write_route("POST", "/side", "task.create", json_reply, "Fine", keyed="required"),
    ],
    ids=["bypass", "bypass in a read", "asks nobody", "honest"],
)
async def test_a_planted_side_path_fails_the_walk(planted: AnyRoute, tmp_path: Path) -> None:
    honest = isinstance(planted, Route)
    assert (await walk((*table.routes(), planted), tmp_path) == []) is honest


def test_a_planted_fork_that_writes_is_found() -> None:
    fork = write_route("POST", "", "read", json_reply, "Side path")
    planted = write_route(
        "POST",
        "/side",
        "task.create",
        json_reply,
        "Forks",
        forks=(fork,),
        pick=lambda rx, call: fork,
    )
    assert side_paths((planted,))


def test_a_planted_read_that_writes_is_found() -> None:
    planted = Route(
        method="POST", path="/side", capability="task.create", summary="Side path",
        handler=read_as_write, kind="read",
    )  # fmt: skip
    assert side_paths((planted,))
    with pytest.raises(AssertionError):
        read_as_write(ShutRx(), None)


def test_a_planted_capability_is_found() -> None:
    assert unknown_capabilities((write_route("POST", "/x", "task.nothing", json_reply, "No"),))


def side_paths(routes: tuple[AnyRoute, ...]) -> list[str]:
    """Routes that do not write although their method or their capability's effect does."""
    found = []
    for _, route in variants(routes):
        builtin = BUILTIN.get(route.capability)
        effect = "" if builtin is None else builtin.effect.name
        reads = route.capability in ("read", "audit.read") or effect == "READ"
        if route.kind == "read" and not reads:
            found.append(f"{route.method} {route.path}: reads by a capability that writes")
        if route.kind not in ("read", "write"):
            found.append(f"{route.method} {route.path}: unknown kind {route.kind}")
        if route.kind == "write" and route.capability in ("read", "audit.read"):
            found.append(f"{route.method} {route.path}: writes by a capability that reads")
    return found


def unknown_capabilities(routes: tuple[AnyRoute, ...]) -> list[str]:
    return sorted({route.capability for _, route in variants(routes)} - BUILTIN.keys())


def test_reads_read_and_writes_write() -> None:
    assert side_paths(table.routes()) == []


def test_every_capability_of_a_route_exists() -> None:
    assert unknown_capabilities(table.routes()) == []


async def test_no_reading_route_writes_or_asks_for_a_unit(tmp_path: Path) -> None:
    """Each reading handler runs over a transaction that fails on anything but a select."""
    routes = table.routes()
    for route in routes:
        if route.kind != "read" or isinstance(route, StreamRoute):
            continue
        store = RecordingStore()
        await call(edge_over(store, routes, tmp_path), route)
        assert store.units == [], route.path


ENGINE_DRIVERS = ("apsw", "psycopg", "sqlite3", "psycopg_pool")


OTHER_PROCESSES = ("homarus.cli.",)
"""`homarus sql` and `doctor` look at the file, read-only, from a process of their own."""


def test_only_the_store_opens_the_database() -> None:
    """No module of the daemon outside `store/` imports a driver (design, 4)."""
    found = []
    for module, path in modules(SOURCE):
        if module.startswith(("homarus.store", *OTHER_PROCESSES)):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            found += [f"{module}: {n}" for n in names if n.split(".")[0] in ENGINE_DRIVERS]
    assert found == []


def test_surfaces_hold_no_sql_that_changes() -> None:
    """A surface parses, calls and answers; what changes rows lives below it (house style, 2)."""
    found = []
    for module, path in modules(SOURCE):
        if TIER.get(module.split(".")[1] if "." in module else "") != TIER["control_plane"]:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="tx" | "rx"), attr="run")):
                    found.append(f"{module}:{node.lineno}")
    assert found == []


def test_the_first_interceptors_are_never_moved() -> None:
    """The order is the contract: who, STOP, suspended, then permission before any redline."""
    names = [name for name, *_ in INTERCEPTORS]
    assert names[:3] == ["identity", "stop", "suspended"]
    assert names.index("permission") < names.index("R1")
    assert names.index("approval") < names.index("budget") < names.index("quota")


@pytest.mark.parametrize("route", writes(table.routes()), ids=lambda r: f"{r.method} {r.path}")
async def test_a_stranger_reaches_no_unit(route: AnyRoute, tmp_path: Path) -> None:
    """Without a token a writing route answers 401 before anything else happens."""
    store = RecordingStore()
    facts = SqlFacts()
    means = Means(
        store,  # type: ignore[arg-type]
        lambda rx, action: judge(rx, action, facts),
        Feed(store),  # type: ignore[arg-type]
        Blobs(tmp_path / "blobs"),
        Sealer(),
        tmp_path,
    )
    edge = Edge(means, Door(store, SystemClock(), COMPANY), (route,))  # type: ignore[arg-type]
    assert await call(edge, route) == 401
    assert store.units == []


# -- the gateway's HTTP: the same walk over routes of another form ---------------------------

ASKED = {
    "/v1/responses": {"model": "openclaw", "input": "a"},
    "/v1/chat/completions": {"model": "openclaw", "messages": [{"role": "user", "content": "a"}]},
    "/tools/invoke": {"tool": "a"},
}


def gateway_over(store: RecordingStore, endpoints: tuple[Endpoint, ...], door: Door) -> Surface:
    """Its reads are allowed, so that they run."""
    actor = Actor(ActorKind.OPERATOR, OWNER.id)
    means = Means(
        store,  # type: ignore[arg-type]
        lambda rx, action: Allow(actor),
        Feed(store),  # type: ignore[arg-type]
        Blobs(Path("blobs")),
        Sealer(),
        Path(),
    )
    return Surface(means, door, endpoints=endpoints)


async def call_gateway(surface: Surface, endpoint: Endpoint, key: bytes | None) -> int:
    sent: list[Any] = []
    body = msgspec.json.encode(ASKED.get(endpoint.path, {}))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    path = endpoint.path.replace("{id}", "openclaw")
    scope = {
        "type": "http", "method": endpoint.method, "path": path,
        "query_string": b"", "headers": [] if key is None else [(b"idempotency-key", key)],
        "scheme": "http", "server": ("127.0.0.1", 1),
    }  # fmt: skip
    await surface(scope, receive, send)
    return int(sent[0]["status"])


async def walk_gateway(endpoints: tuple[Endpoint, ...]) -> list[str]:
    """One line per request that reached an effect otherwise than by one judged unit of its route,
    or read otherwise than after the judgement. The units are recorded and not run, so no answer
    follows; that is the runner's, whose steps are units of their own."""
    found = []
    for endpoint in endpoints:
        for key in (None, b"walk"):
            store = RecordingStore()
            door = OpenDoor(store, SystemClock(), COMPANY)  # type: ignore[arg-type]
            try:
                status = await call_gateway(gateway_over(store, endpoints, door), endpoint, key)
            except AssertionError as error:
                found.append(f"{endpoint.method} {endpoint.path}: {error}")
                continue
            asked = [
                (action.capability, action.credential, action.system) for action in store.units
            ]
            due = [(endpoint.capability, OWNER.id, None)] if endpoint.kind == "write" else []
            if [(c, i, s or None) for c, i, s in asked] != due or status == 500:
                found.append(f"{endpoint.method} {endpoint.path}: {status}, units {asked}")
            reads = endpoint.capability in ("read", "audit.read")
            if endpoint.capability not in BUILTIN or reads is not (endpoint.kind == "read"):
                found.append(f"{endpoint.method} {endpoint.path}: as {endpoint.capability}")
    return found


async def test_the_gateway_is_behind_the_door() -> None:
    assert await walk_gateway(ENDPOINTS) == []


def _writes(rx: Any, company: str, id_: str) -> Any:
    return rx.one("update task set state='done'")


PLANTED = Endpoint(
    method="GET", path="/v1/side", capability="read", kind="read", summary="Side path",
    read=_writes,
)  # fmt: skip


@pytest.mark.parametrize(
    "planted",
    [
        PLANTED,
        msgspec.structs.replace(PLANTED, read=lambda rx, company, id_: {}, capability="turn.run"),
        msgspec.structs.replace(PLANTED, read=lambda rx, company, id_: {}, kind="write"),
        msgspec.structs.replace(PLANTED, read=lambda rx, company, id_: {}, capability="nothing"),
    ],
)
async def test_a_side_path_planted_in_the_gateway_fails_the_walk(planted: Endpoint) -> None:
    assert await walk_gateway((*ENDPOINTS, planted)) != []


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
async def test_a_stranger_reaches_nothing_of_the_gateway(endpoint: Endpoint) -> None:
    store = RecordingStore()
    door = Door(store, SystemClock(), COMPANY)  # type: ignore[arg-type]
    assert await call_gateway(gateway_over(store, ENDPOINTS, door), endpoint, None) == 401
    assert (store.units, store.reads) == ([], 0)
