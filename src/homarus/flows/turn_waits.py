"""Turns that wait for an approval: `park` lets the worker go, `resume` and `wake` queue them."""

from homarus.conversations import turns
from homarus.conversations.turns import State, Turn
from homarus.flows.turn_rows import session_of, show_typing
from homarus.kernel import approval_queries
from homarus.kernel.approval_rows import Status
from homarus.store.port import Rx, Tx


def park(tx: Tx, turn: str, token: int, call: str, approval: str) -> Turn:
    """A tool call waits for an approval; the worker is let go. One that was answered meanwhile is
    not waited for: the turn is queued again at once."""
    row = turns.held(tx, turn, token)
    tx.run(
        "update tool_call set state='waiting', approval=? where id=? and turn=?",
        (approval, call, row.id),
    )
    session = session_of(tx, row)
    show_typing(tx, session, row, on=False)
    options = row.options
    if turns.TIMEOUT_S in options:
        options = options | {turns.PARKED_MS: tx.now_ms}
    parked = turns.move(tx, row, "park", options=options)
    known = approval_queries.find(tx, tx.company, approval)
    if known is not None and known.status is not Status.PENDING:
        return go_on(tx, parked)
    return parked


def companies_to_wake(rx: Rx) -> list[str]:
    """Companies with parked turns whose approval is no longer open (it was voided, say)."""
    rows = rx.all(
        "select distinct c.company from tool_call c join approval a on a.id=c.approval "
        "join turn t on t.id=c.turn "
        "where c.state='waiting' and a.status<>'pending' and t.state='parked'"
    )
    return [row[0] for row in rows]


def wake(tx: Tx, limit: int) -> int:
    """Queue this company's parked turns again whose approval is no longer open; how many."""
    rows = tx.all(
        "select distinct c.approval from tool_call c join approval a on a.id=c.approval "
        "join turn t on t.id=c.turn where c.company=? and c.state='waiting' "
        "and a.status<>'pending' and t.state='parked' limit ?",
        (tx.company, limit),
    )
    return sum(resume(tx, row[0]) for row in rows)


def resume(tx: Tx, approval: str) -> int:
    """An approval was answered: the turns that wait for it are queued again; how many."""
    rows = tx.all(
        "select distinct turn from tool_call where company=? and approval=? and state='waiting'",
        (tx.company, approval),
    )
    waiting = [turns.need(tx, tx.company, row[0]) for row in rows]
    for row in waiting:
        if row.state is State.PARKED:
            go_on(tx, row)
    return len(waiting)


def go_on(tx: Tx, row: Turn) -> Turn:
    """A parked turn waits no more. The time that it was given goes on where it stood."""
    options = dict(row.options)
    since_ms = options.pop(turns.PARKED_MS, None)
    if since_ms is not None:
        options[turns.TIMEOUT_S] += (tx.now_ms - since_ms) / 1000
    return turns.move(tx, row, "resume", attempts=0, options=options)
