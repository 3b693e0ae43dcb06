"""What a run of everything in profile `ci` leaves to profile `full`: a share of cases that differ
in one thing only, always the same ones. Who runs a part of the tests has all of that part."""

import zlib

import pytest

from tests.support.profile import chosen_profile

WHOLE = 5_000
"""Cases of a run of everything."""
POSTGRES_SHARE = 6
"""Of the unit tests on PostgreSQL one in so many: the store's contract runs there whole, and each
statement is parsed there (`contract_store`)."""
OPERATIONS_SHARE = 5
"""Of the operations that get generated requests one in so many: each has cases of its own, too."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if chosen_profile().name != "ci" or len(items) < WHOLE:
        return
    left = [item for item in items if not _taken(item)]
    items[:] = [item for item in items if _taken(item)]
    config.hook.pytest_deselected(items=left)


def _taken(item: pytest.Item) -> bool:
    share = 1
    if item.nodeid.startswith("tests/unit/") and item.get_closest_marker("postgres") is not None:
        share = POSTGRES_SHARE
    elif item.nodeid.startswith("tests/control_plane/test_openapi.py"):
        share = OPERATIONS_SHARE
    return zlib.crc32(item.nodeid.encode()) % share == 0
