"""Which resources a task names."""

from typing import Any

import pytest

from homarus.bridge.leasing import MAX_RESOURCES, named_in

ONE = "01a223b2-8d7c-7bf7-bffb-45ed2d280aeb"


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, []),
        ({"inputJson": None}, []),
        ({"inputJson": [ONE]}, []),
        ({"inputJson": {"resourceIds": ONE}}, []),
        ({"inputJson": {"resourceIds": [ONE]}}, [ONE]),
        ({"inputJson": {"resourceIds": [4, None, "../x", ONE]}}, [ONE]),
        ({"inputJson": {"resourceIds": [ONE] * (MAX_RESOURCES + 1)}}, [ONE] * MAX_RESOURCES),
    ],
)
def test_named_in(given: dict[str, Any], expected: list[str]) -> None:
    assert named_in(given) == expected
