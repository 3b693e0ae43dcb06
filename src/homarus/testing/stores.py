"""Stores for tests: a real engine in a scratch home or database, a real kernel, one company.

    async with opened(sqlite_store, tmp_path) as s: ...
    async with opened(postgres_store(url), tmp_path) as s:
        await s.store.write(s.action(), fn)

The home holds the master key; two stores on one database share it by sharing the home.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from homarus.base.action import Action
from homarus.base.clock import Clock, SystemClock
from homarus.flows import consequences
from homarus.flows.mirroring import Mirroring
from homarus.kernel.facts import AgentFacts, Facts, TaskFacts
from homarus.kernel.kernel import Kernel
from homarus.kernel.keys import MasterKey
from homarus.kernel.tokens import mint
from homarus.store.port import Governor, Rx, Store, Tx
from homarus.store.sqlite.engine import SqliteStore
from homarus.testing import blank

MASTER_KEY: Final = "run/master.key"
WORKER: Final = "tests"

Opener = Callable[[Path, Governor, Clock], Store]


class NoFacts:
    """`kernel.facts.Facts` of a world without agents and tasks."""

    def agent(self, rx: Rx, company: str, ref: str) -> AgentFacts | None:
        return None

    def task(self, rx: Rx, company: str, task: str) -> TaskFacts | None:
        return None

    def held(self, rx: Rx, company: str, agent: str, task: str | None) -> TaskFacts | None:
        return None

    def document(self, rx: Rx, company: str, path: str) -> str | None:
        return None


def sqlite_store(home: Path, governor: Governor, clock: Clock) -> Store:
    """An `Opener`: the store file of the home, a blank one where there was none. The class
    `SqliteStore` is an opener too, that makes its file itself."""
    blank.lay(home)
    return SqliteStore(home, governor, clock)


def postgres_store(url: str) -> Opener:
    """An `Opener` for one database. Raises `store.extra_missing` without the driver."""
    from homarus.store.postgres.engine import PostgresStore

    def opener(home: Path, governor: Governor, clock: Clock) -> Store:
        return PostgresStore(url, governor, clock)

    return opener


@dataclass
class OpenStore:
    """A store in use. `company` is the id of the company that was founded first."""

    store: Store
    kernel: Kernel
    clock: Clock
    company: str = ""
    viewers: dict[str, str] = field(default_factory=dict)

    def action(self, capability: str = "incident.open", **more: Any) -> Action:
        """An act of the daemon itself, in `company` unless told otherwise."""
        known = {"company": self.company, "target": "company:", "system": WORKER} | more
        return Action(capability=capability, **known)

    async def found(self, slug: str) -> str:
        """A further company; its id."""
        action = self.action("company.create", company="", target=f"company:{slug}")
        return await self.store.write(action, found_company, slug)

    async def refused_action(self, company: str) -> Action:
        """An act that the kernel refuses to a known identity: a viewer creates a task."""
        if company not in self.viewers:
            action = self.action("token.create", company=company)
            self.viewers[company] = await self.store.write(action, _mint_viewer)
        return Action(company, "task.create", "company:", credential=self.viewers[company])


def found_company(tx: Tx, slug: str) -> str:
    """Rows of a new company and its head, numbered on; its id."""
    company = tx.new_id()
    no = (tx.one("select max(no) from company") or (0,))[0] + 1
    tx.run(
        "insert into company(no, id, slug, name, created_ms) values(?,?,?,?,?)",
        (no, company, slug, slug, tx.now_ms),
    )
    tx.run("insert into company_head(company_no) values(?)", (no,))
    tx.emit("company_created", company, {"slug": slug})
    return company


def _mint_viewer(tx: Tx) -> str:
    token, _ = mint(tx, company=tx.company, kind="operator", role="viewer", name="viewer")
    return token.id


def _first_company(rx: Rx) -> str:
    row = rx.one("select id from company where no=1")
    return "" if row is None else str(row[0])


@asynccontextmanager
async def opened(
    opener: Opener, home: Path, clock: Clock | None = None, facts: Facts | None = None
) -> AsyncIterator[OpenStore]:
    """Started, with a company; stopped when left. The same home again is a restart."""
    clock = clock or SystemClock()
    master = MasterKey.from_file(home / MASTER_KEY)
    kernel = Kernel(facts or NoFacts(), master, consequences.apply, Mirroring())
    made = OpenStore(opener(home, kernel, clock), kernel, clock)
    await made.store.start()
    try:
        found = await made.store.read(_first_company)
        made.company = found or await made.found("acme")
        yield made
    finally:
        await made.store.stop()
