"""What a resync mends, and what it costs: asked for by an operator, or because something that
tasks show has changed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

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
