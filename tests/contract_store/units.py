"""Units for the suite: module-level functions over plain data, as the port demands."""

from typing import Any

from homarus.base.errors import Conflict
from homarus.store.port import Reply, Rx, Tx

PUT = (
    "insert into counter(company_no, kind, n) values(?,?,?) "
    "on conflict(company_no, kind) do update set n=excluded.n"
)
ADD = (
    "insert into counter(company_no, kind, n) values(?,?,1) "
    "on conflict(company_no, kind) do update set n=counter.n+1"
)


def put(tx: Tx, name: str, n: int = 1) -> int:
    """State under a name, and an event."""
    tx.run(PUT, (tx.head.no, name, n))
    tx.emit("put", tx.new_id(), {"name": name, "n": n})
    return n


def add(tx: Tx, name: str) -> int:
    """Read, then write what was read plus one: loses updates unless units are isolated."""
    row = tx.one("select n from counter where company_no=? and kind=?", (tx.head.no, name))
    n = (row[0] if row else 0) + 1
    return put(tx, name, n)


def put_and_fail(tx: Tx, name: str) -> None:
    put(tx, name)
    raise Conflict("test.conflict", "it was not to be", "Do not.")


def put_and_break(tx: Tx, name: str) -> None:
    put(tx, name)
    raise ZeroDivisionError("a bug")


def put_reply(tx: Tx, name: str, status: int = 200) -> Reply:
    """A keyed effect: counts how often it really happened."""
    tx.run(ADD, (tx.head.no, name))
    tx.emit("put", tx.new_id(), {"name": name})
    return Reply(status=status, body=b'{"name":"%s"}' % name.encode())


def spin(tx: Tx, name: str) -> None:
    """SQL that takes far longer than a unit may, without touching a table."""
    put(tx, name)
    tx.one(
        "with recursive n(i) as (select 1 union all select i+1 from n where i < 100000000) "
        "select count(*) from n"
    )


def spin_writing(tx: Tx, name: str) -> None:
    """The same in a statement that writes, in whose middle SQLite drops the transaction."""
    put(tx, name)
    tx.run(
        "insert into counter(company_no, kind, n) "
        "with recursive n(i) as (select 1 union all select i+1 from n where i < 100000000) "
        "select -i, 'spin', i from n"
    )


def value(rx: Rx, company: str, name: str) -> int | None:
    row = rx.one(
        "select k.n from counter k join company c on c.no=k.company_no where c.id=? and k.kind=?",
        (company, name),
    )
    return None if row is None else int(row[0])


def events(rx: Rx, company: str) -> list[tuple[int, str]]:
    return [
        (seq, kind)
        for seq, kind in rx.all(
            "select e.seq, e.kind from event e join company c on c.no=e.company_no "
            "where c.id=? order by e.seq",
            (company,),
        )
    ]


def receipts(rx: Rx, company: str) -> list[dict[str, Any]]:
    names = "seq, of_seq, capability, verdict, code, outcome, repeats"
    rows = rx.all(
        f"select {', '.join('r.' + n for n in names.split(', '))} from receipt r "
        "join company c on c.no=r.company_no where c.id=? order by r.seq",
        (company,),
    )
    return [dict(zip(names.split(", "), row, strict=True)) for row in rows]


def head(rx: Rx, company: str) -> tuple[int, int]:
    row = rx.one(
        "select h.event_seq, h.receipt_seq from company_head h "
        "join company c on c.no=h.company_no where c.id=?",
        (company,),
    )
    assert row is not None
    return row[0], row[1]
