"""Approvals under random operations and restarts: one open question, one use, no second answer."""

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from homarus.base.errors import Conflict
from homarus.kernel import approval_queries, approval_rules, approvals
from homarus.kernel.approval_rows import Approval, Status
from homarus.kernel.approval_rules import Ask
from homarus.store.port import Tx
from homarus.testing.ground import Ground, ManualClock, ground

DAY_MS = 86_400_000
FINAL = {Status.REJECTED, Status.EXPIRED, Status.VOIDED, Status.CANCELLED, Status.USED}
PAYLOADS = [hashlib.sha256(bytes([n])).digest() for n in range(3)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["approve", "reject", "cancel"]), st.integers(0, 9)),
        st.tuples(st.just("act"), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.sampled_from([1, DAY_MS // 2, DAY_MS - 1, DAY_MS])),
        st.tuples(st.sampled_from(["sweep", "restart"]), st.just(0)),
    ),
    max_size=25,
)


def _ask(tx: Tx, payload: bytes) -> Approval:
    return approvals.request(
        tx, capability="x.y", target="t", payload=payload, task=None, agent="a", reason=""
    )


def _decide(tx: Tx, no: int, how: str) -> Approval:
    return approvals.move(tx, approval_queries.need(tx, tx.company, f"A-{no}"), how)


def _act(tx: Tx, payload: bytes) -> bool:
    """What the kernel does with an act: use what permits it, or nothing."""
    ask = Ask("x.y", "t", payload, "a", None)
    row = approval_queries.standing(tx, tx.company, ask)
    if row is None or not approval_rules.permits(row, ask, tx.now_ms):
        return False
    approvals.use(tx, row.id)
    return True


def _sweep(tx: Tx) -> None:
    for row in approval_queries.overdue(tx, tx.company, 100):
        approvals.move(tx, row, "expire")


async def _rows(g: Ground) -> dict[int, Approval]:
    found = await g.read(lambda rx: approval_queries.listed(rx, g.company, limit=100))
    return {row.no: row for row in found}


async def _step(g: Ground, step: str, n: int) -> None:
    before = await _rows(g)
    match step:
        case "ask":
            row = await g.write("approval.request", _ask, PAYLOADS[n])
            assert row.open(g.clock.now_ms())
        case "approve" | "reject" | "cancel":
            asked = before.get(n)
            if asked is None:
                return
            may = asked.open(g.clock.now_ms())
            try:
                await g.write("approval.request", _decide, n, step)
                assert may, "answered, though it was answered before or its time was up"
            except Conflict as error:
                assert not may
                assert error.code in ("approval.decided", "approval.over")
        case "act":
            now = g.clock.now_ms()
            may = any(
                row.status is Status.APPROVED
                and row.payload == PAYLOADS[n]
                and now < row.expires_ms
                for row in before.values()
            )
            assert await g.write("approval.expire", _act, PAYLOADS[n]) is may
        case "wait":
            g.clock.advance(n)
        case "sweep":
            await g.write("approval.expire", _sweep)
    after = await _rows(g)
    for no, row in before.items():
        assert row.status not in FINAL or after[no] == row, "what is final stays"
    assert sum(row.open(g.clock.now_ms()) for row in after.values()) <= 1
    assert all(row.uses <= 1 for row in after.values())
    assert all((row.uses == 1) == (row.status is Status.USED) for row in after.values())


async def _play(steps: list[tuple[str, Any]]) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as home:
        left = list(steps)
        while True:
            async with ground(Path(home), clock) as g:
                while left:
                    step, n = left.pop(0)
                    if step == "restart":
                        break
                    await _step(g, step, n)
                else:
                    return


@given(steps=STEPS)
def test_whatever_happens_a_yes_is_used_once(steps: list[tuple[str, Any]]) -> None:
    asyncio.run(_play(steps))
