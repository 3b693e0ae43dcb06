"""The order and the budget of a context pack (contract, 11)."""

import pytest

from homarus.company.context_pack import Candidate, Reason, fill, ordered

DOCTRINE, SHARED, SELECTED, LINKED, IN_SCOPE = Reason


def c(name: str, no: int, reason: Reason, chars: int = 10) -> Candidate:
    return Candidate(name, no, reason, chars)


@pytest.mark.parametrize(
    "candidates, order",
    [
        ([], ""),
        (
            [c("e", 1, IN_SCOPE), c("d", 2, LINKED), c("c", 3, SELECTED), c("b", 4, SHARED),
             c("a", 5, DOCTRINE)],
            "abcde",
        ),
        ([c("old", 1, SHARED), c("new", 2, SHARED)], "newold"),
        ([c("x", 1, IN_SCOPE), c("x", 1, SELECTED), c("y", 2, LINKED)], "xy"),
        ([c("x", 1, SELECTED), c("x", 1, IN_SCOPE), c("y", 2, SELECTED)], "yx"),
    ],
)  # fmt: skip
def test_the_order(candidates, order):
    assert "".join(row.id for row in ordered(candidates)) == order


@pytest.mark.parametrize(
    "sizes, total, each, parts",
    [
        ((), 100, 50, []),
        ((10, 20), 100, 50, [(10, False), (20, False)]),
        ((60, 20), 100, 50, [(50, True), (20, False)]),
        ((50, 50), 100, 50, [(50, False), (50, False)]),
        ((50, 51), 100, 60, [(50, False), (50, True)]),
        ((50, 50, 1), 100, 60, [(50, False), (50, False)]),
        ((0, 5), 100, 50, [(5, False)]),
        ((5,), 1, 50, [(1, True)]),
    ],
)
def test_the_budget(sizes, total, each, parts):
    rows = [c(str(n), -n, SHARED, chars) for n, chars in enumerate(sizes)]
    made = fill(rows, max_chars=total, max_chars_each=each)
    assert [(part.chars, part.cut) for part in made.parts] == parts
    assert made.used_chars == sum(chars for chars, _ in parts) <= total
    assert (made.total, made.max_chars) == (len(sizes), total)
