"""When tokens were used: at most a write a minute and token, in batches, never backwards."""

from pathlib import Path

import pytest

from homarus.base.action import Action
from homarus.kernel import tokens, uses
from homarus.kernel.tokens import Token
from homarus.kernel.uses import MAX_ROWS, USE_MS, Uses
from homarus.store.port import Tx
from homarus.testing.stores import Opener, opened
from tests.support.engines import BOTH

T0 = 1_000_000


def token(id: str = "t", company: str = "c") -> Token:
    return Token(id, company, "runtime", None, "mcp_full", None, "n", 0, None, None)


@pytest.mark.parametrize(
    "times, written",
    [
        ([T0], [T0]),
        ([T0, T0 + 1, T0 + USE_MS - 1], [T0]),
        ([T0, T0 + USE_MS], [T0, T0 + USE_MS]),
        ([T0, T0 - 5], [T0, T0 - 5]),  # the clock was set back: the row itself refuses it
    ],
)
def test_at_most_once_a_minute(times: list[int], written: list[int]) -> None:
    noted, found = Uses(), []
    for at in times:
        noted.note(token(), at)
        found += [at for _, rows in noted.take() for _, at in rows]
    assert found == written


def test_batches_are_bounded_and_of_one_company() -> None:
    noted = Uses()
    for n in range(MAX_ROWS + 1):
        noted.note(token(str(n)), T0)
    noted.note(token("x", "other"), T0)
    assert [(c, len(rows)) for c, rows in noted.take()] == [
        ("c", MAX_ROWS),
        ("c", 1),
        ("other", 1),
    ]
    assert noted.take() == []


def minted(tx: Tx) -> str:
    return tokens.mint(tx, company=tx.company, kind="runtime", name="n")[0].id


@BOTH
async def test_rows_never_go_back_and_leave_no_receipt(opener: Opener, tmp_path: Path) -> None:
    async with opened(opener, tmp_path) as s:
        id = await s.store.write(s.action("token.create"), minted)
        for at, expected in ((T0, T0), (T0 - 1, T0), (T0 + USE_MS, T0 + USE_MS)):
            await s.store.write(s.action("token.touch"), uses.write, [(id, at)])
            row = await s.store.read(tokens.by_id, id)
            assert row is not None and row.last_used_ms == expected
        kinds = await s.store.read(
            lambda rx: rx.all("select 1 from receipt where capability='token.touch'")
        )
        assert kinds == []


@BOTH
async def test_a_company_writes_no_others_token(opener: Opener, tmp_path: Path) -> None:
    async with opened(opener, tmp_path) as s:
        id = await s.store.write(s.action("token.create"), minted)
        other = await s.found("other")
        touch = Action(other, "token.touch", "company:", system="tests")
        await s.store.write(touch, uses.write, [(id, T0)])
        row = await s.store.read(tokens.by_id, id)
        assert row is not None and row.last_used_ms is None
