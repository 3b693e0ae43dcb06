"""One daemon for all tests of a module that leave nothing behind in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from homarus.testing.daemon import Daemon, furnished

ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
"""Mark of a module whose tests share `shared`."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    home: Path = tmp_path_factory.mktemp("gateway") / "home"
    async with furnished(home) as daemon:
        yield daemon
