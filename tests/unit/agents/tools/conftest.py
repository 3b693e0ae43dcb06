"""A company per test, with one agent that the daemon runs; its model is the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homarus.testing.ground import ground
from homarus.testing.recount import verify
from homarus.testing.shop import Shop, open_shop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with ground(tmp_path / "home") as g:
        shop = await open_shop(g)
        yield shop
        assert await shop.recount() == []
        assert await g.read(verify, g.company) == []
