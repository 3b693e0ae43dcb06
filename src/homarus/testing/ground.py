"""A real store with one company in a scratch home, for tests that need no daemon.

    async with ground(tmp_path) as g:
        await g.write("task.create", fn)

What only the daemon's workers may do is done by `system`, the rest by an owner's token, unless a
test names another. The clock stands still until a test moves it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from homarus.base.action import Action
from homarus.base.ids import new_id
from homarus.company import agents
from homarus.kernel import tokens
from homarus.kernel.capabilities import BUILTIN
from homarus.kernel.facts import AgentFacts, TaskFacts
from homarus.kernel.kernel import Kernel
from homarus.kernel.keys import MasterKey
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as task_sql
from homarus.testing.stores import Opener, sqlite_store

START_MS: Final = 1_767_322_800_000
OWNER: Final = "tests' owner"
MASTER_KEY: Final = "run/master.key"


class ManualClock:
    """Time that passes when told to."""

    def __init__(self, at_ms: int = START_MS) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms

    def advance(self, ms: int) -> None:
        self.at_ms += ms


class TableFacts:
    """`kernel.facts.Facts` over the real tables."""

    def agent(self, rx: Rx, company: str, ref: str) -> AgentFacts | None:
        row = agents.find(rx, company, ref)
        return None if row is None else AgentFacts(row.id, row.name, row.role, row.suspended)

    def task(self, rx: Rx, company: str, task: str) -> TaskFacts | None:
        row = task_sql.find(rx, company, task)
        return None if row is None else TaskFacts(row.id, row.project, row.agent, row.trace)


def found(tx: Tx, company: str, no: int, slug: str) -> str:
    """A company and its head, as rows."""
    tx.run(
        "insert into company(no, id, slug, name, created_ms) values(?,?,?,?,?)",
        (no, company, slug, slug, tx.now_ms),
    )
    tx.run("insert into company_head(company_no) values(?)", (no,))
    tx.emit("company_created", company, {"slug": slug})
    return company


def owner_token(tx: Tx) -> str:
    """The id of an owner's token of the instance."""
    return tokens.mint(tx, company="", kind="operator", role="owner", name=OWNER)[0].id


class Ground:
    """The store of one scratch home and the company in it (number 1, slug `acme`)."""

    def __init__(self, home: Path, clock: ManualClock, opener: Opener) -> None:
        self.home = home
        self.clock = clock
        self.kernel = Kernel(TableFacts(), MasterKey.from_file(home / MASTER_KEY))
        self.store = opener(home, self.kernel, clock)
        self.company = ""
        self.owner = ""

    async def start(self) -> None:
        await self.store.start()
        row = await self.store.read(
            lambda rx: rx.one("select c.id, t.id from company c, token t where c.no=1 and t.name=?",
                              (OWNER,))
        )  # fmt: skip
        if row is not None:
            self.company, self.owner = row
            return
        action = Action("", "company.create", "company:acme", system="tests")
        self.company = await self.store.write(action, found, new_id(), 1, "acme")
        action = Action("", "token.create", "token:", system="tests")
        self.owner = await self.store.write(action, owner_token)

    def action(self, capability: str, target: str = "company:", **more: Any) -> Action:
        builtin = BUILTIN.get(capability)
        by = {"system": "tests"} if builtin and not builtin.operator else {"credential": self.owner}
        return Action(self.company, **({"capability": capability, "target": target} | by | more))

    async def write(self, capability: str, fn: Callable[..., Any], *args: Any) -> Any:
        return await self.store.write(self.action(capability), fn, *args)

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await self.store.read(fn, *args)


@asynccontextmanager
async def ground(
    home: Path, clock: ManualClock | None = None, opener: Opener = sqlite_store
) -> AsyncIterator[Ground]:
    """Started when entered, stopped when left; enter again on the same home for a restart."""
    made = Ground(home, clock or ManualClock(), opener)
    await made.start()
    try:
        yield made
    finally:
        await made.store.stop()
