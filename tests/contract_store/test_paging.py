"""A page of a list: what is asked for, below where the page before ended, newest first."""

from typing import Any

import pytest

from homarus.store.paging import among, newest, when
from homarus.testing.stores import OpenStore

pytestmark = pytest.mark.contract

ROWS = (
    "select no, word from (select 1 as no, 'a' as word union all select 2, 'b' "
    "union all select 3, null union all select 4, 'a') t where no>?"
)


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({"limit": 9}, [4, 3, 2, 1]),
        ({"limit": 2}, [4, 3]),
        ({"limit": 2, "before": 3}, [2, 1]),
        ({"limit": 2, "before": 1}, []),
        ({"limit": 2, "before": 0}, []),
        ({"limit": 2, "offset": 1}, [3, 2]),
        ({"limit": 9, "by": "t.no"}, [4, 3, 2, 1]),
        ({"limit": 9, "filters": {"word=?": None}}, [4, 3, 2, 1]),
        ({"limit": 9, "filters": {"word=?": "a"}}, [4, 1]),
        ({"limit": 9, "filters": {"word=?": "a"}, "before": 4}, [1]),
        ({"limit": 9, "filters": {"word=?": ""}}, []),
        ({"limit": 9, "filters": {"no between ? and ?": (2, 3), "word=?": "b"}}, [2]),
        ({"limit": 9, "filters": among("word", ("a", "b"))}, [4, 2, 1]),
        ({"limit": 9, "filters": among("word", ())}, [4, 3, 2, 1]),
        ({"limit": 9, "filters": when("word is null", True)}, [3]),
        ({"limit": 9, "filters": when("word is null", False)}, [4, 3, 2, 1]),
    ],
)
async def test_a_page(store: OpenStore, asked: dict[str, Any], numbers: list[int]) -> None:
    rows = await store.store.read(lambda rx: newest(rx, ROWS, (0,), **asked))
    assert [row[0] for row in rows] == numbers


async def test_the_parameters_of_the_text_itself_come_first(store: OpenStore) -> None:
    rows = await store.store.read(
        lambda rx: newest(rx, ROWS, (2,), {"word=?": "a"}, limit=9, before=9)
    )
    assert [row[0] for row in rows] == [4]
