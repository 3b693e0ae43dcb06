"""What a resync mends, and what it costs: asked for by an operator, or because something that
tasks show has changed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.company import agents, projects
from homarus.flows import mirror_acts, mirror_resyncs, mirrors
from homarus.outbox.port import Absent, Change, Found, Looked
from homarus.testing.mirrors import FakeMirror
from homarus.testing.shop import OWNER
from tests.support.engines import BOTH
from tests.support.mirrored import Mirrored, mirrored

NUMBER = 5


async def resync(m: Mirrored) -> None:
    await m.shop.do("mirror.change", OWNER, mirror_acts.resync, "board")
    await m.until_empty()


async def add_again(m: Mirrored) -> None:
    await m.shop.do("mirror.remove", OWNER, _remove, "board")
    await m.add()
    await m.until_empty()


def _remove(tx: Any, name: str) -> mirrors.Mirror:
    return mirror_acts.remove(tx, name, drop=None)


async def restart(m: Mirrored) -> None:
    m.outbox = m.worker()
    await m.until_empty()


def loses_all(m: Mirrored) -> None:
    m.target.records.clear()


def loses_one(m: Mirrored) -> None:
    m.target.deleted.append(m.target.records.pop("rec2").marker)


def is_edited(m: Mirrored) -> None:
    m.target.records["rec3"].fields = {"title": "theirs"}


def is_well(m: Mirrored) -> None:
    """Nothing happened."""


def writes(m: Mirrored) -> int:
    return m.target.calls - m.target.lookups


@BOTH
@pytest.mark.parametrize("act", [resync, add_again])
@pytest.mark.parametrize(
    "happens, written", [(is_well, 0), (loses_all, NUMBER), (loses_one, 1), (is_edited, 1)]
)
async def test_the_target_is_asked_and_what_it_lacks_is_written(
    tmp_path: Path, act: Any, happens: Any, written: int, opener: Any
) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        for _ in range(NUMBER):
            await m.shop.task()
        await m.add()
        await m.until_empty()
        assert (writes(m), m.target.lookups) == (NUMBER, 0)
        happens(m)
        await act(m)
        assert (await m.differences(), len(m.target.records)) == ([], NUMBER)
        assert (writes(m), m.target.lookups) == (NUMBER + written, NUMBER)


async def test_a_restart_asks_and_writes_nothing(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.shop.task()
        await m.add()
        await m.until_empty()
        calls = m.target.calls
        await restart(m)
        assert m.target.calls == calls


async def test_a_target_that_cannot_tell_is_set_again(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.shop.task()
        await m.add()
        await m.until_empty()
        manifest = m.kind.manifest

        class Blind(FakeMirror):
            async def lookup(self, change: Change) -> Looked:
                looked = await super().lookup(change)
                return looked if isinstance(looked, Absent) else Found(change.receipt or "", None)

        m.kind = msgspec.structs.replace(
            m.kind, open=lambda config, means: Blind(m.target, manifest, means)
        )
        m.outbox = m.worker()
        m.target.records["rec1"].fields["title"] = "theirs"
        await resync(m)
        assert (await m.differences(), len(m.target.records)) == ([], 1)


async def test_a_change_in_the_middle_and_chunk_after_chunk(tmp_path: Path) -> None:
    number = 2 * mirror_resyncs.RESYNC_ROWS + 3
    async with mirrored(tmp_path) as m:
        tasks = [await m.shop.task() for _ in range(number)]
        await m.add()
        await m.until_empty()
        loses_all(m)
        await m.shop.do("mirror.change", OWNER, mirror_acts.resync, "board")
        await m.outbox.once()
        await m.shop.patch(tasks[0].id, priority=3)
        await m.shop.archive(tasks[-1].id)
        await m.until_empty()
        assert (await m.differences(), len(m.target.records)) == ([], number - 1)


async def test_a_resync_that_an_earlier_version_began_goes_on(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.shop.task()
        row = await m.add()
        await m.ground.write("company.update", _begun, row.id)
        await m.until_empty()
        assert await m.differences() == []


def _begun(tx: Any, mirror: str) -> None:
    tx.run("""update mirror set resync='{"entity": "task", "after": ""}' where id=?""", (mirror,))
    tx.emit("mirror_resync", mirror, {})


# -- what tasks show of their agent and project ----------------------------------------------


def _rename(tx: Any, agent: str) -> None:
    agents.update(tx, agent, agents.AgentChange(name="lovelace"))


def _aim(tx: Any, project: str) -> None:
    projects.update(tx, project, {"goal": "another goal"})


def _describe(tx: Any, project: str) -> None:
    projects.update(tx, project, {"status": "completed"})


async def bound(m: Mirrored, tasks: int) -> None:
    """Of the agent ada, as much as she may have; the rest waits in the project."""
    await m.shop.agent("ada", role="coder")
    for _ in range(tasks):
        await m.shop.task()
    await m.shop.claim("ada")
    await m.add()
    await m.until_empty()


@BOTH
async def test_tasks_follow_a_rename_of_their_agent(tmp_path: Path, opener: Any) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        await bound(m, 3)
        before = writes(m)
        await m.shop.do("agent.update", OWNER, _rename, m.shop.agents["ada"])
        await m.until_empty()
        assert await m.differences() == []
        assert (writes(m) - before, m.target.lookups) == (1, 0)
        shown = [record.fields["agent"] for record in m.target.records.values()]
        assert sorted(shown, key=str) == [None, None, "lovelace"]


@BOTH
async def test_tasks_follow_the_goal_of_their_project_in_chunks(
    tmp_path: Path, opener: Any
) -> None:
    number = mirror_resyncs.RESYNC_ROWS + 5
    async with mirrored(tmp_path, opener=opener) as m:
        await bound(m, number)
        before = writes(m)
        await m.shop.do("project.update", OWNER, _aim, m.shop.project_id)
        assert await m.waits() == 1
        rows = len(await m.rows("id"))
        await m.shop.do("project.update", OWNER, _aim, m.shop.project_id)
        assert (await m.waits(), len(await m.rows("id"))) == (1, rows)
        await m.until_empty()
        assert await m.differences() == []
        assert (writes(m) - before, m.target.lookups) == (number, 0)
        await m.shop.do("project.update", OWNER, _describe, m.shop.project_id)
        assert await m.waits() == 0


async def test_a_rename_waits_behind_the_resync_that_runs(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await bound(m, 2 * mirror_resyncs.RESYNC_ROWS)
        loses_all(m)
        await m.shop.do("mirror.change", OWNER, mirror_acts.resync, "board")
        row = await m.ground.read(mirrors.need, m.ground.company, "board")
        await m.ground.write("mirror.settle", mirror_resyncs.chunk, row.id)
        await m.shop.do("agent.update", OWNER, _rename, m.shop.agents["ada"])
        await m.until_empty()
        assert (await m.differences(), m.target.lookups) == ([], 2 * mirror_resyncs.RESYNC_ROWS)


async def test_of_many_parts_everything_is_made(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        row = await m.add()
        await m.until_empty()
        for n in range(mirror_resyncs.MAX_PARTS + 1):
            compare = mirror_resyncs.compare
            await m.ground.write("mirror.settle", compare, row.id, "agent", f"{n}")
        found = await m.ground.read(mirrors.need, m.ground.company, "board")
        assert found.resync == (mirrors.Part("task"),)
