"""A mirror is not removed under a row that is under way, and a removed one sends nothing more."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.base.errors import HomarusError
from homarus.flows import mirror_acts, mirrors, outbox_desk
from homarus.outbox.port import Change, Looked, Outcome, Unknown
from homarus.testing.mirrors import FakeMirror
from homarus.testing.shop import OWNER
from tests.support.engines import BOTH
from tests.support.mirrored import mirrored


class Slow(FakeMirror):
    """`at`: the call in which it waits for `go`, having said so by `began`."""

    at: str
    began: asyncio.Event
    go: asyncio.Event

    async def _reached(self, call: str) -> None:
        if call == self.at:
            self.began.set()
            await self.go.wait()

    async def push(self, change: Change) -> Outcome:
        await self._reached("push")
        return Unknown("timeout") if self.at == "lookup" else await super().push(change)

    async def lookup(self, change: Change) -> Looked:
        await self._reached("lookup")
        return await super().lookup(change)


@BOTH
@pytest.mark.parametrize("at", ["push", "lookup"])
async def test_what_is_in_flight_keeps_its_mirror(tmp_path: Path, at: str, opener: Any) -> None:
    began, go = asyncio.Event(), asyncio.Event()
    async with mirrored(tmp_path, opener=opener) as m:
        await m.add()
        await m.until_empty()
        manifest = m.kind.manifest

        def opened(config: dict[str, Any], means: Any) -> FakeMirror:
            mirror = Slow(m.target, manifest, means)
            mirror.at, mirror.began, mirror.go = at, began, go
            return mirror

        m.kind = msgspec.structs.replace(m.kind, open=opened)
        m.outbox = m.worker()
        await m.shop.task()
        if at == "lookup":
            await m.outbox.once()
            m.ground.clock.advance(60_000)
        turning = asyncio.create_task(m.outbox.once())
        await began.wait()
        with pytest.raises(HomarusError) as refused:
            await m.shop.do("mirror.remove", OWNER, _remove, "board")
        assert refused.value.code == "mirror.in_flight"
        go.set()
        await turning
        await m.shop.do("mirror.remove", OWNER, _remove, "board")
        assert {row[0] for row in await m.rows("status")} <= {"completed", "dropped"}


@BOTH
async def test_a_row_of_a_removed_mirror_is_not_tried_again(tmp_path: Path, opener: Any) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        await m.add()
        await m.until_empty()
        await m.shop.task()
        await m.shop.do("mirror.remove", OWNER, _remove, "board")
        ((row, status),) = await m.rows("id", "status")
        assert status == "dropped"
        with pytest.raises(HomarusError) as refused:
            await m.shop.do("outbox.retry", OWNER, outbox_desk.retry, row)
        assert refused.value.code == "mirror.state" and "mirror add" in refused.value.remedy
        await m.add()
        await m.until_empty()
        assert await m.differences() == []
        await m.shop.do("outbox.retry", OWNER, outbox_desk.retry, row)
        await m.until_empty()
        assert (await m.differences(), len(m.target.records)) == ([], 1)


def _remove(tx: Any, name: str) -> mirrors.Mirror:
    return mirror_acts.remove(tx, name, drop="bye")
