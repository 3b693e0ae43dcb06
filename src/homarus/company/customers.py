"""Customers: for whom a project is."""

from typing import Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.store.port import Rx, Tx

MAX_NAME: Final = 300
MAX_NOTES: Final = 100_000
_COLUMNS: Final = "id, company, name, notes, created_ms, deleted_ms"


class Customer(msgspec.Struct, frozen=True, gc=False):
    id: str
    company: str
    name: str
    notes: str | None
    created_ms: int
    deleted_ms: int | None


def by_id(rx: Rx, company: str, customer: str) -> Customer | None:
    row = rx.one(
        f"select {_COLUMNS} from customer where id=? and company=? and deleted_ms is null",  # noqa: S608
        (customer, company),
    )
    return None if row is None else Customer(*row)


def need(rx: Rx, company: str, customer: str) -> Customer:
    """Raises `customer.unknown`."""
    row = by_id(rx, company, customer)
    if row is None:
        raise NotFound("customer.unknown", f"no customer {customer[:80]!r}", "GET /customers.")
    return row


def listed(rx: Rx, company: str, *, limit: int) -> list[Customer]:
    """Newest first."""
    rows = rx.all(
        f"select {_COLUMNS} from customer where company=? and deleted_ms is null "  # noqa: S608
        "order by created_ms desc, id desc limit ?",
        (company, limit),
    )
    return [Customer(*row) for row in rows]


def _check(name: str | None, notes: str | None) -> None:
    if name is not None and not 0 < len(name.strip()) <= MAX_NAME:
        raise Invalid("customer.name", "a customer needs a name", f"1 to {MAX_NAME} characters.")
    if notes is not None and len(notes) > MAX_NOTES:
        raise Invalid("customer.notes", "the notes are too long", f"At most {MAX_NOTES}.")


def upsert(tx: Tx, name: str, notes: str | None) -> tuple[Customer, bool]:
    """By exact name; `(customer, whether it is new)`."""
    _check(name, notes)
    row = tx.one(
        "select id from customer where company=? and name=? and deleted_ms is null",
        (tx.company, name),
    )
    if row is not None:
        return change(tx, row[0], None, notes), False
    customer = tx.new_id()
    tx.run(
        "insert into customer(id, company, name, notes, created_ms) values(?,?,?,?,?)",
        (customer, tx.company, name, notes, tx.now_ms),
    )
    tx.emit("customer_created", customer, {"name": name})
    return need(tx, tx.company, customer), True


def change(tx: Tx, customer: str, name: str | None, notes: str | None) -> Customer:
    """None leaves a field. Raises `customer.unknown`."""
    _check(name, notes)
    row = need(tx, tx.company, customer)
    tx.run(
        "update customer set name=?, notes=? where id=?",
        (row.name if name is None else name, row.notes if notes is None else notes, customer),
    )
    tx.emit("customer_updated", customer)
    return need(tx, tx.company, customer)


def delete(tx: Tx, customer: str) -> Customer:
    row = need(tx, tx.company, customer)
    tx.run("update customer set deleted_ms=? where id=?", (tx.now_ms, customer))
    tx.emit("customer_deleted", customer)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms)
