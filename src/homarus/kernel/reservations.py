"""Reservations: what an act may cost at most, set aside before it begins.

    held --settle--> settled      what it came to is spent, the rest is given back
    held --release-> released     it never happened: all is given back
    held --expire--> expired      nobody said in time: all is given back (setting `reservation.s`)
    expired --settle--> settled   it happened after all: what it came to is spent

A reservation counts in the periods in which it was made, also when it ends in the next ones: so a
limit that admitted it is the limit that it ends under.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.kernel import budgets, settings
from homarus.kernel.budgets import NOTHING, Amounts, Crossing, Scope
from homarus.store.port import Row, Rx, Tx

HELD, SETTLED, EXPIRED, RELEASED = "held", "settled", "expired", "released"
MOVES: Final = {
    (HELD, "settle"): SETTLED,
    (HELD, "release"): RELEASED,
    (HELD, "expire"): EXPIRED,
    (EXPIRED, "settle"): SETTLED,
}
_COLUMNS: Final = (
    "id, company, agent, task, project, money, tokens, calls, spent_money, spent_tokens, "
    "spent_calls, state, model, capability, target, actor, trace, at_ms, expires_ms, ended_ms"
)


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """A row of `reservation`. `spent_*` None until settled; times in Unix ms."""

    id: str
    company: str
    agent: str | None
    task: str | None
    project: str | None
    money: int
    tokens: int
    calls: int
    spent_money: int | None
    spent_tokens: int | None
    spent_calls: int | None
    state: str
    model: str | None
    capability: str
    target: str
    actor: str
    trace: str | None
    at_ms: int
    expires_ms: int
    ended_ms: int | None

    @property
    def amounts(self) -> Amounts:
        return Amounts(self.money, self.tokens, self.calls)

    @property
    def scopes(self) -> list[Scope]:
        return scopes(self.company, self.project, self.agent, self.task)


def scopes(company: str, project: str | None, agent: str | None, task: str | None) -> list[Scope]:
    """What an act is charged to."""
    named = zip(budgets.SCOPES, (company, project, agent, task), strict=True)
    return [(scope, subject) for scope, subject in named if subject is not None]


class NewReservation(msgspec.Struct, frozen=True):
    """What the kernel has found that an allowed act sets aside."""

    id: str
    agent: str | None
    task: str | None
    project: str | None
    amounts: Amounts
    model: str | None


def by_id(rx: Rx, company: str, reservation: str) -> Reservation | None:
    row = rx.one(
        f"select {_COLUMNS} from reservation where id=? and company=?",  # noqa: S608
        (reservation, company),
    )
    return None if row is None else Reservation(*row)


def need(rx: Rx, company: str, reservation: str) -> Reservation:
    """Raises `reservation.unknown`."""
    found = by_id(rx, company, reservation)
    if found is None:
        raise NotFound(
            "reservation.unknown",
            f"no reservation {reservation[:80]!r} in this company",
            "Use the id that POST /reservations gave.",
        )
    return found


def hold(tx: Tx, new: NewReservation) -> None:
    """Set it aside, in the transaction that was judged. Emits `budget_reserved`."""
    until_ms = tx.now_ms + int(settings.value(tx, tx.company, "reservation.s") * 1000)
    action = tx.action
    amounts = new.amounts
    tx.run(
        f"insert into reservation({_COLUMNS}) values({','.join('?' * 20)})",
        (
            new.id, tx.company, new.agent, new.task, new.project, amounts.money, amounts.tokens,
            amounts.calls, None, None, None, HELD, new.model, action.capability,
            action.target[:200], tx.actor.key, action.trace, tx.now_ms, until_ms, None,
        ),
    )  # fmt: skip
    charged = scopes(tx.company, new.project, new.agent, new.task)
    budgets.add(tx, charged, tx.now_ms, NOTHING, amounts)
    tx.emit("budget_reserved", new.id, {"money": amounts.money, "tokens": amounts.tokens})


def of_unit(tx: Tx) -> Reservation | None:
    """What was set aside for the act that runs now."""
    for consequence in tx.admitted.consequences:
        if consequence.kind == "budget.reserve":
            return need(tx, tx.company, consequence.subject)
    return None


def end(tx: Tx, row: Reservation, move: str, came_to: Amounts | None) -> list[Crossing]:
    """Settle, release or expire it; which budgets reached a mark by that.

    Raises `reservation.ended` when it cannot end like this any more.
    """
    after = MOVES.get((row.state, move))
    if after is None:
        raise Conflict(
            "reservation.ended",
            f"the reservation is {row.state} already",
            "Nothing to do; what it came to is counted once.",
        )
    actual = came_to or NOTHING
    told = (None, None, None) if came_to is None else (actual.money, actual.tokens, actual.calls)
    changed = tx.run(
        "update reservation set state=?, spent_money=?, spent_tokens=?, spent_calls=?, ended_ms=? "
        "where id=? and state=?",
        (after, *told, tx.now_ms, row.id, row.state),
    )
    if not changed:
        raise AssertionError("a company has one writer at a time")
    back = row.amounts.minus() if row.state == HELD else NOTHING
    return budgets.add(tx, row.scopes, row.at_ms, actual, back)


def due(rx: Rx, limit: int) -> list[str]:
    """Companies with reservations that have run out."""
    rows = rx.all(
        "select distinct company from reservation where state='held' and expires_ms<=? limit ?",
        (rx.now_ms, limit),
    )
    return [str(row[0]) for row in rows]


def expire_due(tx: Tx, limit: int) -> int:
    """Give back at most `limit` of the company's that have run out. Emits `budget_expired`."""
    rows = tx.all(
        f"select {_COLUMNS} from reservation where state='held' and expires_ms<=? "  # noqa: S608
        "and company=? order by expires_ms limit ?",
        (tx.now_ms, tx.company, limit),
    )
    due_rows = [Reservation(*row) for row in rows]
    marks = ",".join("?" * len(due_rows))
    if due_rows:
        tx.run(
            "update reservation set state=?, ended_ms=? "  # noqa: S608
            f"where state=? and id in ({marks})",
            (MOVES[HELD, "expire"], tx.now_ms, HELD, *(row.id for row in due_rows)),
        )
    # Those of one agent and task in one day share their counters, and are the common case.
    together: dict[tuple[tuple[Scope, ...], str], list[Reservation]] = {}
    for row in due_rows:
        day = budgets.keys(row.at_ms)["day"]
        together.setdefault((tuple(row.scopes), day), []).append(row)
        tx.emit("budget_expired", row.id, {"money": row.money})
    for (charged, _), same in together.items():
        back = Amounts(
            -sum(row.money for row in same),
            -sum(row.tokens for row in same),
            -sum(row.calls for row in same),
        )
        budgets.add(tx, charged, same[0].at_ms, NOTHING, back)
    return len(due_rows)


def held_amounts(rx: Rx, company: str) -> list[tuple[str, str, Amounts]]:
    """`(subject, period key, held)` counted again from the rows; for checks of the counters."""
    sums: dict[tuple[str, str], list[int]] = {}
    rows: Sequence[Row] = rx.all(
        f"select {_COLUMNS} from reservation where company=? and state='held'",  # noqa: S608
        (company,),
    )
    for found in rows:
        row = Reservation(*found)
        for _, subject in row.scopes:
            for key in budgets.keys(row.at_ms).values():
                at = sums.setdefault((subject, key), [0, 0, 0])
                for i, n in enumerate((row.money, row.tokens, row.calls)):
                    at[i] += n
    return [(subject, key, Amounts(*n)) for (subject, key), n in sorted(sums.items())]
