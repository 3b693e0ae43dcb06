"""A daemon with an agent, a scripted model, and a channel whose people the test plays."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from homarus.store.port import Rx
from homarus.testing.daemon import running
from homarus.testing.fake_channel import FakeChannel
from homarus.testing.scripted_model import ScriptedModel
from tests.gateway.asking import Asking


class Desk(Asking):
    channel: FakeChannel

    async def rows(self, sql: str) -> list[Any]:
        def read(rx: Rx) -> list[Any]:
            return rx.all(sql)

        return await self.daemon.app.store.read(read)

    async def states(self) -> list[str]:
        """Of all deliveries, oldest first."""
        return [row[0] for row in await self.rows("select state from delivery order by no")]

    async def until(self, wanted: list[str]) -> None:
        """Until the deliveries are in these states."""
        feed, company = self.daemon.app.feed, self.daemon.company_id
        for _ in range(100):
            seq = await feed.head(company)
            if await self.states() == wanted:
                return
            await feed.wait(company, seq, 5.0)
        raise AssertionError(f"{await self.states()}, not {wanted}")


def write(home: Path, config: dict[str, Any]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "homarus.json").write_text(json.dumps(config))


@asynccontextmanager
async def desk(
    home: Path, *replies: Any, channel: FakeChannel | None = None,
    config: dict[str, Any] | None = None, agents: tuple[str, ...] = ("ada",), **more: Any,
) -> AsyncIterator[Desk]:  # fmt: skip
    """`config`: homarus.json; without, everybody is let in."""
    channel = channel or FakeChannel()
    model = ScriptedModel(*replies)
    if config is not None:
        write(home, config)
    async with running(
        home, turns=model.turns(), channels=[channel], max_task_turns=0, **more
    ) as daemon:
        made = Desk(daemon, model)
        made.channel = channel
        have = {row[0] for row in await made.rows("select name from agent")}
        for name in agents:
            if name not in have:
                await made.agent(name)
        yield made
