"""The command line against a home that a test makes."""

from pathlib import Path

import pytest

from tests.support.commands import Terminal, running

__all__ = ["running"]


@pytest.fixture
def homarus(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)
