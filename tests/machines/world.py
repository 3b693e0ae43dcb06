"""A store and the plain model side by side: each call goes to both, and what they say is compared.

The model knows tasks by number; `ids` and `traces` give the store's names for them.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from homarus.base.errors import HomarusError, Refused
from homarus.control_plane import task_claims
from homarus.flows import claiming, creating, reporting
from homarus.kernel import audit
from homarus.kernel.verify import Verifier
from homarus.store.port import Key, Reply, Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import Task
from homarus.testing.ground import Ground, ManualClock
from homarus.testing.model import PlainAgent, PlainModel, PlainProject, PlainTask, Refusal
from homarus.testing.recount import recount, verify
from homarus.testing.shop import OWNER, Shop, open_shop
from tests.support.engines import Engine

ROWS = (
    "select t.seq, t.state, a.name, t.member, r.name, t.token, t.lease_until_ms, t.retries, "
    "t.blocked, t.priority, t.reason from task t left join agent a on a.id=t.agent "
    "left join agent r on r.id=t.reviewer where t.company=? order by t.seq"
)
FAILED = (
    "select count(*) from receipt r join company c on c.no=r.company_no "
    "where c.id=? and r.outcome=1"
)


def keyed(tx: Tx, fn: Callable[..., Any], argument: Any) -> Reply:
    """A unit under a key: its reply is what the task was at the time."""
    got = fn(tx, argument)
    task: Task = got if isinstance(got, Task) else got.task
    return Reply(200, json.dumps([task.seq, task.state.value, task.token]).encode())


def _claim(tx: Tx, request: claiming.ClaimRequest) -> Reply:
    """As `POST /tasks/claim`: kept is the claim's id and fence, and never that nothing fitted."""
    claimed = claiming.claim(tx, request)
    if claimed is None:
        return Reply(200, b"null", keep=None)
    task = claimed.task
    return Reply(200, str(task.seq).encode(), keep=f"{task.id}:{task.token}".encode())


def _still(tx: Tx, kept: bytes) -> Reply | None:
    if task_claims.replay_claim(tx, kept) is None:
        return None
    task = sql.need(tx, tx.company, kept.decode().partition(":")[0])
    return Reply(200, str(task.seq).encode(), keep=kept, replayed=True)


def key_of(*parts: Any) -> Key:
    text = sha256(repr(parts).encode()).digest()
    return Key(text[:16], text[16:24], strict=True)


class World:
    """Both sides. `failures`: units that were let in and failed; each leaves an outcome receipt."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.on_file = engine.name == "sqlite"
        self.home = Path(tempfile.mkdtemp(dir=engine.home)) if self.on_file else engine.home
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.ids: dict[int, str] = {}
        self.traces: dict[int, str] = {}
        self.projects: dict[str, str] = {}
        self.stops: dict[str, str] = {}
        self.failures = 0
        self.sealed = (0, "")
        self.model = PlainModel(self.clock.now_ms())
        self.ground = Ground(self.home, self.clock, engine.opener)
        self.run(self.ground.start(fresh=True))
        self.shop: Shop = self.run(open_shop(self.ground))

    def run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self.runner.run(awaited())

    def restart(self, *, killed: bool) -> None:
        """Stop the store and open it again. `killed`: on the files as a SIGKILL leaves them."""
        before = self.ground
        if killed and self.on_file:
            left = Path(tempfile.mkdtemp(dir=self.engine.home))
            shutil.copytree(self.home, left, dirs_exist_ok=True, ignore=_shared_memory)
            self.home = left
        self.run(before.store.stop())
        self.ground = self.shop.ground = Ground(self.home, self.clock, self.engine.opener)
        self.run(self.ground.store.start())
        self.ground.company, self.ground.company_no = before.company, before.company_no
        self.ground.owner = before.owner

    def close(self) -> None:
        self.run(self.ground.store.stop())
        self.runner.close()

    # -- both sides ------------------------------------------------------------------------

    def agent(self, name: str, role: str | None, skills: tuple[str, ...], limit: int) -> None:
        self.run(self.shop.agent(name, role=role, skills=skills, limit=limit))
        self.model.agents[name] = PlainAgent(role, frozenset(skills), limit)

    def project(self, key: str, cap: int | None) -> None:
        self.projects[key] = self.run(self.shop.project(max_active_agents=cap))
        self.model.projects[key] = PlainProject(cap)

    def both(self, plain: Callable[[], Any], real: Awaitable[Any]) -> tuple[Any, Any]:
        """`(expected, got)`; the same refusal on both sides gives `(None, None)`."""
        try:
            expected = plain()
        except Refusal as refusal:
            self._same_refusal(refusal, real)
            return None, None
        return expected, self.run(real)

    def _same_refusal(self, refusal: Refusal, real: Awaitable[Any]) -> None:
        try:
            got = self.run(real)
        except HomarusError as error:
            assert error.code in refusal.codes, f"{error}, expected {refusal}"
            self.failures += not isinstance(error, Refused)
        else:
            raise AssertionError(f"expected {refusal}, got {got}")

    def create(self, key: str, plain: PlainTask) -> None:
        """Under a key: a repeat gives the same task and makes none."""
        spec = {
            "ownerRole": plain.role,
            "definitionOfDone": [f"review:{plain.review}"] if plain.review else None,
        }
        new = creating.NewTask(
            project=self.projects[plain.project],
            type="machine_task",
            spec={k: v for k, v in spec.items() if v},
            allow_underspecified=True,
            priority=plain.priority,
            agent=plain.agent,
            member=plain.member,
            skills=tuple(plain.skills),
            blockers=tuple(self.ids[n] for n in plain.blockers),
            max_retries=plain.max_retries,
        )
        reply = self.run(
            self.shop.once(
                "task.create", OWNER, keyed, creating.create, new,
                key=key_of("create", self.ground.company, key), target="task:new",
            )
        )  # fmt: skip
        n = json.loads(reply.body)[0]
        assert n == plain.n
        assert reply.replayed == (n in self.model.tasks)
        if not reply.replayed:
            self.model.tasks[n] = plain
            self.ids[n], self.traces[n] = self.run(self.ground.read(_names, self._company, n))

    async def keyed_claim(self, name: str, key: str) -> Task | None:
        once = msgspec.structs.replace(key_of("claim", name, key), replay=_still)
        reply = await self.shop.once(
            "task.claim", name, _claim, claiming.ClaimRequest(name), key=once, target="task:"
        )
        n = json.loads(reply.body)
        return None if n is None else await self.ground.read(sql.by_number, self._company, n)

    async def keyed_result(self, name: str, key: str, request: reporting.ResultRequest) -> Reply:
        return await self.shop.once(
            "task.result", name, keyed, reporting.result, request, key=key_of("result", key),
            target=f"task:{request.task}", task=request.task,
        )  # fmt: skip

    def side_by_side(self, order: list[str]) -> list[Task | None]:
        async def together() -> list[Task | None]:
            return await asyncio.gather(*(self.shop.claim(name) for name in order))

        claimed: list[Task | None] = self.run(together())
        return claimed

    def stop(self, key: str, scope: str, subject: str | int) -> None:
        names: dict[str, dict[Any, str]] = {
            "task": self.ids, "trace": self.traces, "project": self.projects,
        }  # fmt: skip
        real = self.shop.stop(scope, names[scope][subject] if scope in names else str(subject))
        _, made = self.both(lambda: self.model.stop(key, scope, subject), real)
        if made is not None:
            self.stops[key] = made

    # -- invariants ------------------------------------------------------------------------

    @property
    def _company(self) -> str:
        return self.ground.company

    def check(self) -> None:
        """After each step: the same rows, right counters, a gap-free feed, an unbroken chain."""
        rows, wrong, failed, found = self.run(self.ground.read(self._look))
        assert rows == [self._row(task) for _, task in sorted(self.model.tasks.items())]
        assert wrong == []
        assert failed == self.failures
        assert found == []

    def _look(self, rx: Rx) -> tuple[Any, ...]:
        return (
            rx.all(ROWS, (self._company,)),
            recount(rx, self._company),
            (rx.one(FAILED, (self._company,)) or (0,))[0],
            self._new_seals(rx),
        )

    def _row(self, task: PlainTask) -> tuple[Any, ...]:
        return (
            task.n, task.state.value, task.agent, task.member, task.reviewer, task.token,
            task.until, task.retries, self.model.blocked(task), task.priority, task.reason,
        )  # fmt: skip

    def _new_seals(self, rx: Rx) -> list[str]:
        """Verify what was added since the last look, from the seal that was verified last."""
        after, known = self.sealed
        page = audit.page(rx, self._company, self.ground.company_no, after)
        assert page.header.previous == known
        verifier = Verifier()
        for line in (page.header, *page.lines):
            verifier.feed(line)
        assert page.next is None
        report = verifier.finish()
        self.sealed = (report.last_seal, report.last_hash)
        return [f"{finding.code}: {finding.message}" for finding in report.findings]

    def check_whole(self) -> None:
        """At the end: the whole ledger, from its first seal."""
        assert self.run(self.ground.read(verify, self._company)) == []


def _names(rx: Rx, company: str, n: int) -> tuple[str, str]:
    row = rx.one("select id, trace from task where company=? and seq=?", (company, n))
    assert row is not None
    return row[0], row[1]


def _shared_memory(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name.endswith("-shm") or name == "daemon.lock"]


def same(expected: PlainTask | None, got: Task | None) -> None:
    """A claim's answer on both sides."""
    assert (expected is None) == (got is None), f"expected {expected}, got {got}"
    if expected is not None and got is not None:
        mine = (expected.n, expected.state, expected.token, expected.until)
        assert (got.seq, got.state, got.token, got.lease_until_ms) == mine
