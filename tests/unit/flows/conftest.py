"""A company per test. However a test ends, stored counters and the ledger must be right."""

import msgspec
import pytest

from homarus.kernel import audit
from homarus.kernel.verify import Verifier
from homarus.testing.ground import ground
from homarus.testing.shop import open_shop
from tests.support.engines import ENGINES, chosen

_encode = msgspec.json.Encoder().encode


def _ledger(rx, company):
    lines, after = [], 0
    while after is not None:
        page = audit.page(rx, company, 1, after)
        lines += [*([page.header] if after == 0 else []), *page.lines]
        after = page.next
    return [_encode(line) for line in lines]


@pytest.fixture(params=ENGINES)
def opener(request):
    """Moves of tasks are held to one contract on both engines."""
    return chosen(request)


@pytest.fixture
async def shop(tmp_path, opener):
    async with ground(tmp_path, opener=opener) as g:
        shop = await open_shop(g)
        yield shop
        assert await shop.recount() == []
        verifier = Verifier()
        for line in await g.read(_ledger, g.company):
            verifier.feed_bytes(line)
        assert verifier.finish().findings == []
