"""What the daemon runs itself: intent before the process, outcome after it, nothing pretended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.backends.local import interpreter
from homarus.base.action import Action, Effect
from homarus.company import agents
from homarus.dispatch.commands import workspace_of
from homarus.dispatch.dispatcher import Dispatcher
from homarus.flows import claiming, creating, running
from homarus.kernel import receipts, registry
from homarus.records import artifacts, incidents
from homarus.records.blobs import Blobs
from homarus.store.port import Tx
from homarus.tasks import runs, sql
from homarus.tasks.model import State
from homarus.testing.ground import Ground, ground
from homarus.testing.shop import OWNER, Shop, open_shop

WAIT_S = 30
PYTHON = interpreter().python


@asynccontextmanager
async def dispatching(g: Ground) -> AsyncIterator[None]:
    blobs = Blobs(g.home / "blobs")
    blobs.start()
    task = asyncio.create_task(Dispatcher(g.store, blobs, g.home).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with ground(tmp_path) as g:
        shop = await open_shop(g)
        await shop.agent("runner", role="runner")
        change = agents.AgentChange(executor="command")
        await shop.do("agent.update", OWNER, agents.update, shop.agents["runner"], change)
        yield shop


async def register(shop: Shop, name: str, *argv: str, **more: Any) -> None:
    new = registry.NewCapability(id=name, title=name, argv=argv, trusted=True, **more)
    await shop.do("capability.register", OWNER, registry.register, new)


async def settled(shop: Shop, task: str) -> Any:
    """The task, once it is neither queued nor in progress."""
    changed = asyncio.Event()
    undo = shop.ground.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                changed.clear()
                row = await shop.ground.read(sql.need, shop.ground.company, task)
                if row.state not in (State.QUEUED, State.IN_PROGRESS):
                    return row
                await changed.wait()
    finally:
        undo()


async def outcomes(shop: Shop, task: str) -> list[tuple[str, str | None]]:
    """`(capability, outcome)` of the task's receipts of effect exec."""
    g = shop.ground
    rows = await g.read(receipts.about, g.company, g.company_no, "task", task)
    return [(r.capability, r.outcome) for r in rows if r.effect == "exec"]


async def test_a_task_is_claimed_run_and_done(shop: Shop) -> None:
    code = "import pathlib; pathlib.Path('out/x.txt').write_text('made'); print('hello')"
    await register(shop, "files.make", PYTHON, "-c", code)
    task = await shop.task(capability="files.make", done=["check:files.make"])
    async with dispatching(shop.ground):
        row = await settled(shop, task.id)
    assert row.state is State.DONE
    result = await shop.ground.read(sql.result_of, task.id)
    assert (result.output["exitCode"], result.output["stdout"]) == (0, "hello\n")
    assert await shop.ground.read(artifacts.of_task, task.id)
    assert await outcomes(shop, task.id) == [("files.make", None), ("files.make", "done")]
    assert await shop.recount() == []


async def test_a_command_that_fails_fails_the_task(shop: Shop) -> None:
    await register(shop, "files.fail", PYTHON, "-c", "raise SystemExit(3)")
    task = await shop.task(capability="files.fail")
    async with dispatching(shop.ground):
        row = await settled(shop, task.id)
    assert row.state is State.FAILED
    assert (await outcomes(shop, task.id))[-1] == ("files.fail", "failed")


@pytest.mark.parametrize(
    "capability, args, said",
    [
        (None, None, "names no capability"),
        ("files.absent", None, "not registered"),
        ("files.secret", None, "not granted"),
        ("files.slot", {"other": 1}, "no such slot"),
    ],
)
async def test_where_no_executor_fits_the_task_stays_open(
    shop: Shop, capability: str | None, args: dict[str, Any] | None, said: str
) -> None:
    await register(shop, "files.secret", PYTHON, grants=("role:other",))
    await register(shop, "files.slot", PYTHON, "{word}", slots={"word": "text"})
    task = await shop.task(capability=capability)
    if args is not None:
        await shop.patch(task.id, input={"args": args})
    async with dispatching(shop.ground):
        row = await settled(shop, task.id)
    assert (row.state, row.reason) == (State.BLOCKED, running.NO_EXECUTOR)
    notes = await shop.ground.read(sql.notes_of, task.id)
    assert [said in note.text for note in notes.values()] == [True]
    assert [o for _, o in await outcomes(shop, task.id)] in ([], [None])
    assert await shop.recount() == []


async def test_a_folder_that_cannot_be_made_holds_up_its_own_task(shop: Shop) -> None:
    await register(shop, "files.make", PYTHON, "-c", "print('hello')")
    spoiled = await shop.task(capability="files.make")
    healthy = await shop.task(capability="files.make")
    at = workspace_of(shop.ground.home, shop.agents["runner"], spoiled.number)
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text("no folder")
    async with dispatching(shop.ground):
        assert (await settled(shop, healthy.id)).state is State.DONE
        row = await settled(shop, spoiled.id)
    assert (row.state, row.reason) == (State.BLOCKED, running.NO_EXECUTOR)
    (note,) = (await shop.ground.read(sql.notes_of, spoiled.id)).values()
    assert "cannot be made" in note.text


async def intent_without_outcome(shop: Shop, capability: str) -> tuple[str, str]:
    """What a daemon leaves that dies while a command runs."""
    task = await shop.task(capability=capability)
    agent = shop.agents["runner"]

    def claim(tx: Tx) -> creating.Claim | None:
        return claiming.claim(tx, claiming.ClaimRequest(owner=agent))

    g = shop.ground
    by = {"acting": agent, "system": "dispatcher"}
    claimed = await g.store.write(Action(g.company, "task.claim", "task:", **by), claim)
    assert claimed is not None
    intent = Action(g.company, capability, f"task:{task.id}", Effect.EXEC, **by)
    run = await g.store.write(
        intent, running.start, task.id, claimed.task.token, capability, ("true",)
    )
    return task.id, run.id


@pytest.mark.parametrize("restartable, state", [(True, State.QUEUED), (False, State.BLOCKED)])
async def test_a_run_that_outlived_its_daemon_is_unknown(
    shop: Shop, restartable: bool, state: State
) -> None:
    await register(shop, "files.slow", PYTHON, restartable=restartable)
    task, run = await intent_without_outcome(shop, "files.slow")
    g = shop.ground
    assert await g.write("task.dispatch", running.recover, 100, True) == 1
    row = await g.read(sql.need, g.company, task)
    assert row.state is state
    assert [r.state for r in await g.read(runs.of_task, task) if r.id == run] == ["unknown"]
    assert (await outcomes(shop, task))[-1] == ("files.slow", "unknown")
    opened = await g.read(lambda rx: incidents.listed(rx, g.company, limit=10))
    assert [i.reason_code for i in opened] == ([] if restartable else ["run_unknown"])
    assert await g.write("task.dispatch", running.recover, 100, True) == 0
    assert await shop.recount() == []


async def test_beside_other_daemons_a_held_run_is_left_alone(shop: Shop) -> None:
    await register(shop, "files.slow", PYTHON)
    task, _ = await intent_without_outcome(shop, "files.slow")
    g = shop.ground
    assert await g.write("task.dispatch", running.recover, 100, False) == 0
    await shop.let_leases_end()
    assert await g.write("task.dispatch", running.recover, 100, False) == 1
    assert (await g.read(sql.need, g.company, task)).state is State.QUEUED
