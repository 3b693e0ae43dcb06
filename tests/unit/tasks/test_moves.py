"""The task machine as a table: every pair of states, and who may move a task between them."""

import pytest

from homarus.tasks.model import FINISHED, MOVES, Mover, State, may_move

# Rows: from; columns: to. C claim, H holder, L lease expiry, K kernel, O operator.
TABLE = """
            inbox queued in_progress review blocked done failed dead_letter archived
inbox       -     KO     -           -      K       -    -      -           HO
queued      -     -      C           -      KO      -    -      -           HO
in_progress -     HLO    -           H      KO      H    H      L           -
review      -     HO     C           -      -       HO   HO     -           HO
blocked     -     KO     -           K      -       K    -      -           HO
done        -     -      -           O      -       -    -      -           HO
failed      -     O      -           -      -       -    -      -           HO
dead_letter -     O      -           -      -       -    -      -           HO
archived    -     -      -           -      -       -    -      -           -
"""
LETTER = {
    "C": Mover.CLAIM, "H": Mover.HOLDER, "L": Mover.LEASE, "K": Mover.KERNEL, "O": Mover.OPERATOR,
}  # fmt: skip


def pairs():
    lines = [line.split() for line in TABLE.strip().splitlines()]
    columns = lines[0]
    for before, *cells in lines[1:]:
        for after, letters in zip(columns, cells, strict=True):
            movers = frozenset(LETTER[c] for c in letters.replace("-", ""))
            yield State(before), State(after), movers


@pytest.mark.parametrize(("before", "after", "movers"), list(pairs()))
def test_every_pair(before, after, movers):
    assert {m for m in Mover if may_move(before, after, m)} == movers


def test_the_table_here_is_complete():
    assert {(b, a) for b, a, _ in pairs()} == {(b, a) for b in State for a in State}


def test_no_state_but_the_last_is_a_trap():
    for state in State:
        ways_out = [after for before, after in MOVES if before is state]
        assert bool(ways_out) == (state is not State.ARCHIVED)


def test_what_releases_dependents_is_left_by_operators_only():
    for (before, after), movers in MOVES.items():
        if before in FINISHED and after not in FINISHED:
            assert movers == {Mover.OPERATOR}
