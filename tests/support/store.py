"""A real store with the real kernel in a folder of its own, and a short way to act on it.

    world.company(), world.agent(), world.token()      rows to stand on
    await world.run(fn, *args)                         a unit by the owner
    await world.call(ROUTES, "POST", "/messages/send", body, token=token)

`call` does for one route what the HTTP edge does: finds it, decodes, judges, runs, answers.
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
from homarus.company import agents
from homarus.control_plane.route import Call, Route
from homarus.kernel import tokens
from homarus.kernel.facts import AgentFacts, TaskFacts
from homarus.kernel.kernel import Kernel
from homarus.kernel.keys import MasterKey
from homarus.kernel.tokens import Token
from homarus.store.port import Event, Key, Reply, Rx, Tx
from homarus.store.sqlite.engine import SqliteStore

START_MS = 1_800_000_000_000


class StepClock:
    """Time that moves only when told."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms

    def move(self, ms: int) -> None:
        self.at_ms += ms


class AgentsOnly:
    """Facts of a world without tasks."""

    def agent(self, rx: Rx, company: str, ref: str) -> AgentFacts | None:
        row = agents.find(rx, company, ref)
        return None if row is None else AgentFacts(row.id, row.name, row.role, row.suspended)

    def task(self, rx: Rx, company: str, task: str) -> TaskFacts | None:
        return None


@dataclass(frozen=True)
class Answer:
    """Status and JSON of a call; of a refused one the stable code."""

    status: int
    body: Any
    raw: str
    replayed: bool = False


class World:
    """One store, its clock, an owner, and a first company `self.home`."""

    def __init__(self, store: SqliteStore, clock: StepClock, master: MasterKey) -> None:
        self.store = store
        self.clock = clock
        self.master = master
        self.owner: Token = None  # type: ignore[assignment]
        self.home = ""

    async def company(self, name: str = "acme") -> str:
        def found(tx: Tx) -> str:
            company, no = tx.new_id(), tx.number("company")
            tx.run(
                "insert into company(no, id, slug, name, created_ms) values(?,?,?,?,?)",
                (no, company, name, name, tx.now_ms),
            )
            tx.run("insert into company_head(company_no) values(?)", (no,))
            return company

        return await self.store.write(
            Action("", "company.create", "company:", system="founder"), found
        )

    async def run(
        self, fn: Callable[..., Any], *args: Any, company: str = "", capability: str = "task.create"
    ) -> Any:
        """`fn(tx, *args)` as the owner, in the first company unless told otherwise."""
        action = Action(company or self.home, capability, "company:", credential=self.owner.id)
        return await self.store.write(action, fn, *args)

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await self.store.read(fn, *args)

    async def agent(self, name: str, role: str | None = None, company: str = "") -> str:
        change = agents.AgentChange(name=name, role=role)
        row = await self.run(agents.create, change, company=company)
        return str(row.id)

    async def token(
        self,
        kind: str = "runtime",
        *,
        company: str = "",
        acts_for: Sequence[str] = (),
        role: str | None = None,
        agent: str | None = None,
        scope: str = "mcp_full",
    ) -> Token:
        company = company or self.home

        def mint(tx: Tx) -> Token:
            token, _ = tokens.mint(
                tx, company=company, kind=kind, name=kind, role=role, agent=agent, scope=scope
            )
            for ref in acts_for:
                tokens.grant(tx, token.id, ref, "granted")
            return token

        return await self.store.write(
            Action(company, "token.create", "token:", system="founder"), mint
        )

    async def call(
        self,
        routes: Sequence[Route],
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
        try:
            decoded = None if route.body is None else msgspec.json.decode(raw, type=route.body)
        except msgspec.ValidationError as error:
            return Answer(400, {"code": "request.body"}, str(error))
        call: Call[Any] = Call(company or self.home, token, values, query or {}, decoded, raw)
        if route.prepare is not None:
            call = route.prepare(call, self.master)
        try:
            reply = await self._run(route, call, key)
        except HomarusError as error:
            return Answer(error.status, {"code": error.code}, str(error))
        text = reply.body.decode()
        return Answer(reply.status, json.loads(text) if text else None, text, reply.replayed)

    async def _run(self, route: Route, call: Call[Any], key: str | None) -> Reply:
        if route.kind == "read":
            return await self.store.read(route.handler, call)
        action = Action(
            call.company,
            route.capability,
            route.target.format(**call.path),
            credential=call.token.id,
            acting=route.acting(call) if route.acting else None,
        )
        if key is None or route.keyed == "ignored":
            return await self.store.write(action, route.handler, call)
        digest = sha256(f"{route.method} {route.path} {key}".encode()).digest()[:16]
        once = Key(digest, sha256(call.raw).digest()[:8], strict=route.strict, replay=route.replay)
        return await self.store.write_once(action, route.handler, call, key=once)

    async def events(self, kind: str | None = None, company: str = "") -> list[Event]:
        """The feed of a company, oldest first."""
        company = company or self.home

        def read(rx: Rx) -> list[Event]:
            rows = rx.all(
                "select e.seq, e.at_ms, e.kind, lower(hex(e.subject)), e.actor, e.data "
                "from event e join company c on c.no=e.company_no where c.id=? order by e.seq",
                (company,),
            )
            return [
                Event(
                    seq=seq, at_ms=at, kind=word, subject=_uuid(subject), actor=actor,
                    data=json.loads(data) if data else {}, id="",
                )
                for seq, at, word, subject, actor, data in rows
            ]  # fmt: skip

        found = await self.store.read(read)
        return [event for event in found if kind in (None, event.kind)]

    async def receipts(self, capability: str) -> int:
        row = await self.store.read(
            lambda rx: rx.one("select count(*) from receipt where capability=?", (capability,))
        )
        return int(row[0])


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def match(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request path, and the values of its `{names}`."""
    parts = path.split("/")
    for route in routes:
        pattern = route.path.split("/")
        if route.method != method or len(pattern) != len(parts):
            continue
        pairs = list(zip(pattern, parts, strict=True))
        if all(p == v or p.startswith("{") for p, v in pairs):
            return route, {p[1:-1]: v for p, v in pairs if p.startswith("{")}
    raise LookupError(f"{method} {path}")


@asynccontextmanager
async def world(home: Path) -> AsyncIterator[World]:
    """A started world in `home`; stopped afterwards."""
    clock = StepClock()
    master = MasterKey(b"\x07" * 32)
    store = SqliteStore(home, Kernel(AgentsOnly(), master), clock)
    await store.start()
    try:
        made = World(store, clock, master)
        made.owner = await store.write(
            Action("", "token.create", "token:", system="founder"),
            lambda tx: tokens.mint(tx, company="", kind="operator", name="Olivia", role="owner")[0],
        )
        made.home = await made.company()
        yield made
    finally:
        await store.stop()
