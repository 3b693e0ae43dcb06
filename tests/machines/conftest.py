"""Random operations beside a plain model take as long as there are of them."""

import pytest

TIMEOUT_S = 600
"""Profile ci takes one to two minutes on a machine that does nothing else; full has its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "machines" in item.path.parts and not item.config.getoption("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
