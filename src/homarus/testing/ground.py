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
from homarus.flows import consequences
from homarus.flows.facts import SqlFacts
from homarus.flows.mirroring import Mirroring
from homarus.kernel import tokens
from homarus.kernel.capabilities import BUILTIN
from homarus.kernel.kernel import Kernel
from homarus.kernel.keys import MasterKey
from homarus.store.port import Row, Rx, T, Ts, Tx
from homarus.testing.stores import Opener, found_company, sqlite_store

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


def _last_company(rx: Rx) -> Row | None:
    return rx.one("select no, id from company where no>0 order by no desc limit 1")


def _owner(rx: Rx) -> Row | None:
    return rx.one("select id from token where name=?", (OWNER,))


def owner_token(tx: Tx) -> str:
    """The id of an owner's token of the instance."""
    return tokens.mint(tx, company="", kind="operator", role="owner", name=OWNER)[0].id


class Ground:
    """The store of one scratch home and a company in it (number 1, slug `acme`, unless `fresh`)."""

    def __init__(self, home: Path, clock: ManualClock, opener: Opener) -> None:
        self.home = home
        self.clock = clock
        self.kernel = Kernel(
            SqlFacts(),
            MasterKey.from_file(home / MASTER_KEY),
            consequences.apply,
            Mirroring(),
        )
        self.store = opener(home, self.kernel, clock)
        self.company = ""
        self.company_no = 1
        self.owner = ""

    async def start(self, *, fresh: bool = False) -> None:
        """`fresh`: found a further company instead of going on with the newest one."""
        await self.store.start()
        row = await self.store.read(_last_company)
        if row is None or fresh:
            slug = "acme" if row is None else f"acme-{row[0] + 1}"
            action = Action("", "company.create", f"company:{slug}", system="tests")
            await self.store.write(action, found_company, slug)
            row = await self.store.read(_last_company)
        if row is None:
            raise AssertionError("the company that was founded is not there")
        self.company_no, self.company = row
        owner = await self.store.read(_owner)
        if owner is None:
            self.owner = await self.store.write(
                Action("", "token.create", "token:", system="tests"), owner_token
            )
        else:
            self.owner = owner[0]

    def action(self, capability: str, target: str = "company:", **more: Any) -> Action:
        builtin = BUILTIN.get(capability)
        by = {"system": "tests"} if builtin and not builtin.operator else {"credential": self.owner}
        return Action(self.company, **({"capability": capability, "target": target} | by | more))

    async def write(self, capability: str, fn: Callable[[Tx, *Ts], T], *args: *Ts) -> T:
        return await self.store.write(self.action(capability), fn, *args)

    async def read(self, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> T:
        return await self.store.read(fn, *args)


@asynccontextmanager
async def ground(
    home: Path,
    clock: ManualClock | None = None,
    opener: Opener = sqlite_store,
    *,
    fresh: bool = False,
) -> AsyncIterator[Ground]:
    """Started when entered, stopped when left; enter again on the same home for a restart."""
    made = Ground(home, clock or ManualClock(), opener)
    await made.start(fresh=fresh)
    try:
        yield made
    finally:
        await made.store.stop()
