"""A home with one company at work: agents with tokens of their own, and tasks in the queue.

Queued tasks are copies of one that was created through the door, loaded straight into the tables,
so that a million of them are there in seconds.
"""

import asyncio
from pathlib import Path
from typing import Final, TypeVar

import apsw
import msgspec

from homarus.base.action import Action
from homarus.base.clock import SystemClock
from homarus.base.ids import new_id
from homarus.company import agents, projects
from homarus.flows import consequences, creating
from homarus.flows.facts import SqlFacts
from homarus.flows.mirroring import Mirroring
from homarus.kernel import tokens
from homarus.kernel.kernel import Kernel
from homarus.kernel.keys import MasterKey
from homarus.store.port import Tx
from homarus.store.sqlite import files
from homarus.store.sqlite.engine import SqliteStore

WORKER: Final = "bench"
ROLE: Final = "coder"
SPEC: Final = {"title": "Count the words of a page", "description": "All pages of the handbook."}
TASK_TYPE: Final = "count_words"
CONCURRENCY: Final = 10
MAX_MODELS: Final = 100

S = TypeVar("S", bound=SqliteStore)


class Worker(msgspec.Struct, frozen=True):
    """An agent and its token: ids, and the token's clear secret."""

    agent: str
    name: str
    token: str
    secret: str


class Office(msgspec.Struct, frozen=True):
    home: Path
    company: str
    project: str
    workers: list[Worker]


def kernel(home: Path) -> Kernel:
    return Kernel(
        SqlFacts(),
        MasterKey.from_file(home / "run" / "master.key"),
        consequences.apply,
        Mirroring(),
    )


def store(home: Path, engine: type[S] = SqliteStore) -> S:  # type: ignore[assignment]
    """The real store on a home, as the daemon builds it."""
    return engine(home, kernel(home), SystemClock())


def database(home: Path) -> Path:
    return home / "local-ssot" / "ssot.db"


def system(company: str, capability: str = "token.create") -> Action:
    """An act of the daemon itself; a built-in that its workers may do."""
    return Action(company, capability, "company:", system=WORKER)


def found(home: Path, workers: int, queued: int) -> Office:
    """A new home: `workers` agents and `queued` tasks that each of them may claim."""
    office = asyncio.run(_found(home, workers))
    if queued > 1:
        load_queue(database(home), queued - 1)
    return office


async def _found(home: Path, workers: int) -> Office:
    opened = store(home)
    await opened.start()
    try:
        company = await opened.write(system("", "company.create"), _company, new_id())
        project, made = await opened.write(system(company), _staff, workers)
        await opened.write(system(company, "company.create"), create_task, project)
    finally:
        await opened.stop()
    return Office(home, company, project, made)


def _company(tx: Tx, company: str) -> str:
    tx.run(
        "insert into company(no, id, slug, name, created_ms) values(1,?,?,?,?)",
        (company, "bench", "bench", tx.now_ms),
    )
    tx.run("insert into company_head(company_no) values(1)")
    tx.emit("company_created", company, {"slug": "bench"})
    return company


def _staff(tx: Tx, workers: int) -> tuple[str, list[Worker]]:
    project = projects.create(tx, {"goal": "Count words"})
    made = []
    for n in range(workers):
        change = agents.AgentChange(name=f"agent-{n}", role=ROLE, concurrency_limit=CONCURRENCY)
        agent = agents.create(tx, change)
        token, secret = tokens.mint(
            tx, company=tx.company, kind="agent", agent=agent.id, name=agent.name
        )
        made.append(Worker(agent.id, agent.name, token.id, secret))
    return project.id, made


def create_task(tx: Tx, project: str, owner_role: str | None = None) -> str:
    spec = SPEC if owner_role is None else {**SPEC, "ownerRole": owner_role}
    new = creating.NewTask(project=project, type=TASK_TYPE, spec=spec, allow_underspecified=True)
    return creating.create(tx, new).task.id


def load_queue(path: Path, more: int) -> None:
    """Copies of the tasks that are queued now, as many of each, under ids and numbers of their
    own. Rounds down."""
    conn = files.open_writer(path)
    try:
        conn.pragma("synchronous", "off")
        models = conn.execute("select id from task where state='queued' limit ?", (MAX_MODELS,))
        conn.execute("begin immediate")
        ids = [str(model) for (model,) in models.fetchall()]
        for model in ids:
            _copy(conn, model, more // len(ids))
        conn.execute("commit")
    finally:
        conn.close()


def _copy(conn: apsw.Connection, model: str, times: int) -> None:
    ((last,),) = conn.execute("select n from counter where kind='task'").fetchall()
    for table, key in (("task", "id"), ("task_spec", "task")):
        instead = {key: _numbered(f"t.{key}"), "seq": "n.i", "trace": _numbered("t.id")}
        row = _columns(conn, table, instead)
        conn.execute(
            f"insert into {table} with recursive n(i) as "
            "(select ?1+1 union all select i+1 from n where i<?2) "
            f"select {row} from {table} t, n where t.{key}=?3",
            (last, last + times, model),
        )
    conn.execute("update counter set n=n+? where kind='task'", (times,))


def _numbered(column: str) -> str:
    """An id of its own for each copy, in rising order."""
    return f"substr({column}, 1, 24) || 'f' || printf('%011x', n.i)"


def _columns(conn: apsw.Connection, table: str, instead: dict[str, str]) -> str:
    names = [row[1] for row in conn.execute(f"pragma table_info({table})")]
    return ", ".join(instead.get(str(name), f"t.{name}") for name in names)
