"""What a tree has used, from what was seen of its processes: no time twice, none lost."""

import pytest

from homarus.backends.trees import OURS, Bounds, Over, Row, Use

MB = 1_000_000
BOUNDS = Bounds(cpu_s=10, memory_bytes=100 * MB, processes=3)


def row(own_s: float, waited_s: float = 0, mb: int = 0) -> Row:
    return Row(own_s, waited_s, mb * MB)


@pytest.mark.parametrize(
    ("looks", "cpu_s"),
    [
        ([], 0),
        ([{1: row(2)}, {1: row(3)}], 3),
        ([{1: row(1), 2: row(2)}, {1: row(1), 2: row(4)}], 5),
        # waited for: its parent has its time, and that which nobody saw
        ([{1: row(1), 2: row(2)}, {1: row(1, 2.5)}], 3.5),
        # never seen at all, but waited for
        ([{1: row(1)}, {1: row(1, 4)}], 5),
        # nobody waited for it: what was seen counts on
        ([{1: row(1), 2: row(2)}, {1: row(1)}, {1: row(1.5)}], 3.5),
        # it ended after its parent was read: for a look what was seen stands in
        ([{1: row(1), 2: row(2)}, {1: row(1)}, {1: row(1, 2)}], 3),
        # a grandchild's time passes through its parent
        ([{1: row(1), 2: row(1), 3: row(2)}, {1: row(1), 2: row(1, 2)}, {1: row(1, 3)}], 4),
        # both in one look
        ([{1: row(1), 2: row(1), 3: row(2)}, {1: row(1, 3)}], 4),
        # the root is gone, and those below it go on
        ([{1: row(1), 2: row(1)}, {2: row(2)}, {}], 3),
    ],
)
def test_cpu_time(looks: list[dict[int, Row]], cpu_s: float) -> None:
    use = Use()
    for rows in looks:
        use.count(rows)
    assert use.cpu_s == pytest.approx(cpu_s)


def test_memory_is_that_of_all_at_once_at_its_highest() -> None:
    use = Use()
    for rows in ({1: row(0, 0, 10), 2: row(0, 0, 30)}, {1: row(0, 0, 35)}):
        use.count(rows)
    assert use.peak_bytes == 40 * MB


@pytest.mark.parametrize(
    ("rows", "over"),
    [
        ({1: row(4), 2: row(5.9)}, None),
        ({1: row(4), 2: row(6)}, "cpu"),
        ({1: row(1, 0, 50), 2: row(1, 0, 50)}, None),
        ({1: row(1, 0, 50), 2: row(1, 0, 51)}, "memory"),
        ({pid: row(0) for pid in range(3 + OURS)}, None),
        ({pid: row(0) for pid in range(4 + OURS)}, "processes"),
    ],
)
def test_which_bound_it_has_passed(rows: dict[int, Row], over: Over | None) -> None:
    use = Use()
    use.count(rows)
    assert use.over(BOUNDS) == over
