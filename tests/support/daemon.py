"""The fixture `daemon`: a real daemon on a scratch home, for tests that enter by the wire."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homarus.testing.daemon import Daemon, furnished


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with furnished(tmp_path / "home") as made:
        yield made
