"""Customers: for whom a project is."""

from typing import Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.store.paging import ABOVE_ALL
from homarus.store.port import Rx, Tx

MAX_NAME: Final = 300
MAX_NOTES: Final = 100_000
UNSET: Final = msgspec.UNSET
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


def listed(rx: Rx, company: str, *, limit: int, before: str | None = None) -> list[Customer]:
    """Newest first; `before` is the id of the last one seen."""
    at_ms = ABOVE_ALL
    if before is not None:
        seen = rx.one("select created_ms from customer where id=?", (before,))
        at_ms = 0 if seen is None else seen[0]
    rows = rx.all(
        f"select {_COLUMNS} from customer where company=? and deleted_ms is null "  # noqa: S608
        "and (created_ms, id)<(?,?) order by created_ms desc, id desc limit ?",
        (company, at_ms, before or "", limit),
    )
    return [Customer(*row) for row in rows]


def some(rx: Rx, company: str, customers: set[str]) -> dict[str, Customer]:
    """Those of these ids that are there, in one query."""
    if not customers:
        return {}
    rows = rx.all(
        f"select {_COLUMNS} from customer where company=? and deleted_ms is null "  # noqa: S608
        f"and id in ({','.join('?' * len(customers))})",
        (company, *sorted(customers)),
    )
    return {row[0]: Customer(*row) for row in rows}


def _check(name: str | msgspec.UnsetType, notes: str | msgspec.UnsetType | None) -> None:
    if name is not UNSET and not 0 < len(name.strip()) <= MAX_NAME:
        raise Invalid("customer.name", "a customer needs a name", f"1 to {MAX_NAME} characters.")
    if isinstance(notes, str) and len(notes) > MAX_NOTES:
        raise Invalid("customer.notes", "the notes are too long", f"At most {MAX_NOTES}.")


def upsert(tx: Tx, name: str, notes: str | None) -> tuple[Customer, bool]:
    """By exact name; `(customer, whether it is new)`."""
    _check(name, notes)
    known = _named(tx, name)
    if known is not None:
        changed = known if notes is None else change(tx, known.id, notes=notes)
        return changed, False
    customer = tx.new_id()
    tx.run(
        "insert into customer(id, company, name, notes, created_ms) values(?,?,?,?,?)",
        (customer, tx.company, name, notes, tx.now_ms),
    )
    tx.emit("customer_created", customer, {"name": name})
    return need(tx, tx.company, customer), True


def _named(tx: Tx, name: str) -> Customer | None:
    row = tx.one(
        f"select {_COLUMNS} from customer where company=? and name=? "  # noqa: S608
        "and deleted_ms is null",
        (tx.company, name),
    )
    return None if row is None else Customer(*row)


def change(
    tx: Tx,
    customer: str,
    *,
    name: str | msgspec.UnsetType = UNSET,
    notes: str | msgspec.UnsetType | None = UNSET,
) -> Customer:
    """UNSET leaves a field. Raises `customer.unknown|nothing|exists|name|notes`."""
    _check(name, notes)
    row = need(tx, tx.company, customer)
    if name is UNSET and notes is UNSET:
        raise Invalid("customer.nothing", "nothing to change", "Give `name` or `notes`.")
    name = row.name if name is UNSET else name
    if name != row.name and _named(tx, name) is not None:
        raise Conflict(
            "customer.exists", f"a customer named {name!r} exists already", "Choose another name."
        )
    tx.run(
        "update customer set name=?, notes=? where id=?",
        (name, row.notes if notes is UNSET else notes, customer),
    )
    tx.emit("customer_updated", customer)
    return need(tx, tx.company, customer)


def delete(tx: Tx, customer: str) -> Customer:
    row = need(tx, tx.company, customer)
    tx.run("update customer set deleted_ms=? where id=?", (tx.now_ms, customer))
    tx.emit("customer_deleted", customer)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms)
