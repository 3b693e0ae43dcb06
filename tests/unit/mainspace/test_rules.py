"""What becomes of one file: every case of approved, written and found, as a table."""

import pytest

from homarus.mainspace.rules import ABSENT, ODD, Do, Written, decide

A1, A2, A3 = (Written(n, f"text {n}") for n in (1, 2, 3))
GONE = Written(3, ABSENT)
NONE: frozenset[str] = frozenset()

CASES = [
    # approved, written last, found there, later kept versions, what to do
    (A1, None, ABSENT, NONE, Do.WRITE),  # never written yet
    (A1, None, "text 1", NONE, Do.KEEP),  # written, and killed before it was noted
    (A1, None, "mine", NONE, Do.FOREIGN),
    (A1, A1, "text 1", NONE, Do.KEEP),
    (A1, A1, "mine", NONE, Do.FOREIGN),
    (A1, A1, ABSENT, NONE, Do.FOREIGN),  # deleted by somebody
    (A1, A1, ODD, NONE, Do.FOREIGN),
    (A2, A1, "text 1", NONE, Do.WRITE),  # the row went on, the file follows
    (A2, A1, ABSENT, NONE, Do.FOREIGN),
    (A2, A1, "mine", frozenset({"text 2"}), Do.FOREIGN),
    (A3, A1, "text 2", frozenset({"text 2", "text 3"}), Do.WRITE),  # killed between two
    (A2, A2, "text 1", NONE, Do.FOREIGN),  # somebody put the old version back
    (GONE, A2, "text 2", NONE, Do.WRITE),
    (GONE, A2, ABSENT, NONE, Do.KEEP),
    (GONE, GONE, "text 2", NONE, Do.FOREIGN),
    (GONE, GONE, ODD, frozenset({ODD}), Do.FOREIGN),
]


@pytest.mark.parametrize("wanted, written, seen, newer, do", CASES)
def test_decide(
    wanted: Written, written: Written | None, seen: str, newer: frozenset[str], do: Do
) -> None:
    assert decide(wanted, written, seen, newer) is do
