"""Routes without a socket: what the HTTP edge does for one request, in a real store.

async with surface(tmp_path) as s:
    bridge = await s.token(acts_for=[await s.agent("ada")])
    answer = await s.call(talk.ROUTES, "POST", "/messages/send", {...}, token=bridge)
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from homarus.base.action import Action
from homarus.base.errors import HomarusError
from homarus.base.ids import from_blob
from homarus.company import agents, projects
from homarus.control_plane.route import Call, Route
from homarus.flows.facts import SqlFacts
from homarus.kernel import tokens
from homarus.kernel.keys import MasterKey
from homarus.kernel.tokens import Token
from homarus.store.port import Event, Key, Reply, Rx, Tx
from homarus.testing.ground import ManualClock
from homarus.testing.stores import Opener, OpenStore, found_company, opened, sqlite_store

OWNER = "Olivia"


@dataclass(frozen=True)
class Answer:
    """Status, JSON and text of a reply; of a failed call the stable code as `body["code"]`."""

    status: int
    body: Any
    text: str
    replayed: bool = False


class Surface:
    """An open store with an owner, and calls by any token. `company` is the first company's id."""

    def __init__(self, opened: OpenStore, home: Path, clock: ManualClock) -> None:
        self.home = home
        self.clock = clock
        self.store = opened.store
        self.company = opened.company
        self.sealer = MasterKey(b"\x07" * 32)
        self.owner: Token = None  # type: ignore[assignment]

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await self.store.read(fn, *args)

    async def mint(self, company: str, **fields: Any) -> Token:
        def unit(tx: Tx) -> Token:
            return tokens.mint(tx, company=company, **fields)[0]

        action = Action(company, "token.create", "token:", system="tests")
        return await self.store.write(action, unit)

    async def run(self, fn: Callable[..., Any], *args: Any, company: str = "") -> Any:
        """`fn(tx, *args)` by the owner."""
        action = Action(
            company or self.company, "task.create", "company:", credential=self.owner.id
        )
        return await self.store.write(action, fn, *args)

    async def work(self, capability: str, fn: Callable[..., Any], *args: Any) -> Any:
        """`fn(tx, *args)` by the daemon itself."""
        action = Action(self.company, capability, "company:", system="worker")
        return await self.store.write(action, fn, *args)

    async def other_company(self, slug: str = "umbrella") -> str:
        action = Action("", "company.create", "company:", system="tests")
        return await self.store.write(action, found_company, slug)

    async def agent(self, name: str, role: str | None = None, company: str = "") -> str:
        row = await self.run(
            agents.create, agents.AgentChange(name=name, role=role), company=company
        )
        return str(row.id)

    async def project(self, goal: str = "a goal", company: str = "") -> str:
        row = await self.run(projects.create, {"goal": goal}, company=company)
        return str(row.id)

    async def token(
        self, kind: str = "runtime", *, company: str = "", acts_for: Sequence[str] = (), **more: Any
    ) -> Token:
        token = await self.mint(company or self.company, kind=kind, name=kind, **more)
        for agent in acts_for:
            await self.run(tokens.grant, token.id, agent, "granted")
        return token

    async def call(
        self,
        routes: Sequence[Any],
        method: str,
        path: str,
        body: Any = None,
        *,
        token: Token | None = None,
        company: str = "",
        query: dict[str, str] | None = None,
        key: str | None = None,
    ) -> Answer:
        route, values = match(routes, method, path)
        raw = b"" if body is None else json.dumps(body).encode()
        token = token or self.owner
        company = company or token.company or self.company
        try:
            decoded = None if route.body is None else msgspec.json.decode(raw, type=route.body)
            call: Call[Any] = Call(company, token, values, query or {}, decoded, raw)
            if route.pick is not None:
                route = await self.store.read(route.pick, call)
            reply = await self._reply(route, call, key)
        except msgspec.ValidationError as error:
            return Answer(400, {"code": "request.schema"}, str(error))
        except HomarusError as error:
            return Answer(error.status, {"code": error.code}, str(error))
        text = reply.body.decode()
        return Answer(reply.status, json.loads(text) if text else None, text, reply.replayed)

    async def _reply(self, route: Route, call: Call[Any], key: str | None) -> Reply:
        if route.kind == "read":
            return await self.store.read(route.handler, call)
        action = Action(
            call.company,
            route.capability,
            route.target.format(**call.path),
            credential=call.token.id,
            acting=route.acting(call) if route.acting else None,
            task=route.task(call) if route.task else None,
            callee=route.callee(call) if route.callee else None,
        )
        body = sha256(call.raw).digest()[:8]
        if route.prepare is not None:
            call = route.prepare(call, self.sealer)
        if route.before is not None:
            seen = await self.store.read(route.before, call)
            call = msgspec.structs.replace(call, seen=seen)
        if key is None or route.keyed == "ignored":
            given = await self.store.write(action, route.handler, call)
            return given if route.finish is None else route.finish(given, self.sealer)
        name = sha256(f"{route.method} {route.path} {key}".encode()).digest()[:16]
        once = Key(name, body, strict=route.strict, replay=route.replay)
        return await self.store.write_once(action, route.handler, call, key=once)

    async def events(self, kind: str, company: str = "") -> list[Event]:
        """The feed's rows of a kind, oldest first."""

        def read(rx: Rx) -> list[Event]:
            rows = rx.all(
                "select e.seq, e.at_ms, e.kind, e.subject, e.actor, e.data from event e "
                "join company c on c.no=e.company_no where c.id=? and e.kind=? order by e.seq",
                (company or self.company, kind),
            )
            return [
                Event(seq, at, word, from_blob(subject) or "", actor, json.loads(data or "{}"), "")
                for seq, at, word, subject, actor, data in rows
            ]

        return await self.store.read(read)

    async def receipts(self, capability: str) -> int:
        row = await self.store.read(
            lambda rx: rx.one("select count(*) from receipt where capability=?", (capability,))
        )
        return int(row[0])


def match(routes: Sequence[Any], method: str, path: str) -> tuple[Any, dict[str, str]]:
    """The route of a request path, and the values of its `{names}`."""
    parts = path.split("/")
    for route in routes:
        pattern = route.path.split("/")
        if route.method != method or len(pattern) != len(parts):
            continue
        pairs = list(zip(pattern, parts, strict=True))
        if all(name == value or name.startswith("{") for name, value in pairs):
            return route, {name[1:-1]: v for name, v in pairs if name.startswith("{")}
    raise LookupError(f"{method} {path}")


@asynccontextmanager
async def surface(home: Path, opener: Opener = sqlite_store) -> AsyncIterator[Surface]:
    clock = ManualClock()
    async with opened(opener, home, clock, SqlFacts()) as open_store:
        made = Surface(open_store, home, clock)
        made.owner = await made.mint("", kind="operator", name=OWNER, role="owner")
        yield made
