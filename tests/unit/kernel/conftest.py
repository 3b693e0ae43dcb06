"""A company per test, on each engine."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from homarus.testing.ground import ground
from homarus.testing.shop import Shop, open_shop


@pytest.fixture
async def shop(engine: Any) -> AsyncIterator[Shop]:
    async with ground(engine.home, opener=engine.opener, fresh=True) as g:
        yield await open_shop(g)
