"""A company per test, on each engine. However a test ends, stored counters and the ledger agree."""

import pytest

from homarus.testing.ground import ground
from homarus.testing.recount import verify
from homarus.testing.shop import open_shop


@pytest.fixture
async def shop(engine):
    async with ground(engine.home, opener=engine.opener, fresh=True) as g:
        shop = await open_shop(g)
        yield shop
        assert await shop.recount() == []
        assert await g.read(verify, g.company) == []
