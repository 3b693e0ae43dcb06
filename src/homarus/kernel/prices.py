"""What a model's tokens, or a call of a capability, cost. An owner sets it.

Money is a whole number of micros: millionths of the company's currency unit. A cost is rounded up,
so that nothing is ever reserved short.
"""

from typing import Final

import msgspec

from homarus.base.action import Estimate
from homarus.base.errors import Invalid
from homarus.store.port import Row, Rx, Tx

MICROS: Final = 1_000_000
"""Micros of one currency unit; also the number of tokens that a price is for."""

CENT: Final = 10_000
MAX_PRICE: Final = 10_000 * MICROS
MAX_AMOUNT: Final = 10_000_000 * MICROS
"""Of money, tokens or calls in one act or one limit."""

MAX_NAME: Final = 200
MAX_PRICES: Final = 1_000

_COLUMNS: Final = (
    "name, provider, label, input_micros, output_micros, call_micros, active, created_ms, "
    "updated_ms"
)


class Price(msgspec.Struct, frozen=True, gc=False):
    """`input_micros`, `output_micros` for a million tokens, `call_micros` for one call.

    An inactive price is none: what it named is unknown.
    """

    name: str
    input_micros: int
    output_micros: int
    call_micros: int = 0
    provider: str = ""
    label: str = ""
    active: bool = True
    created_ms: int = 0
    updated_ms: int = 0

    def of(self, input_tokens: int, output_tokens: int, calls: int) -> int:
        """Micros, rounded up, at most MAX_AMOUNT."""
        tokens = input_tokens * self.input_micros + output_tokens * self.output_micros
        return min(-(-tokens // MICROS) + calls * self.call_micros, MAX_AMOUNT)


def _price(row: Row) -> Price:
    return Price(
        name=row[0], provider=row[1], label=row[2], input_micros=row[3], output_micros=row[4],
        call_micros=row[5], active=bool(row[6]), created_ms=row[7], updated_ms=row[8],
    )  # fmt: skip


def by_name(rx: Rx, company: str, name: str) -> Price | None:
    row = rx.one(
        f"select {_COLUMNS} from price where company=? and name=?",  # noqa: S608
        (company, name),
    )
    return None if row is None else _price(row)


def in_force(rx: Rx, company: str, name: str) -> Price | None:
    found = by_name(rx, company, name)
    return found if found is not None and found.active else None


def listed(rx: Rx, company: str) -> list[Price]:
    """All of a company, by name; at most MAX_PRICES."""
    rows = rx.all(
        f"select {_COLUMNS} from price where company=? order by name limit ?",  # noqa: S608
        (company, MAX_PRICES),
    )
    return [_price(row) for row in rows]


def money_of(rx: Rx, company: str, capability: str, estimate: Estimate) -> int | None:
    """The money of an estimate in micros; None: nobody has set a price for it."""
    if estimate.money is not None:
        return estimate.money
    price = in_force(rx, company, estimate.model or capability)
    if price is None:
        return None
    inputs = estimate.tokens - estimate.output_tokens
    return price.of(inputs, estimate.output_tokens, estimate.calls)


def put(tx: Tx, new: Price) -> Price:
    """Set or replace it. Raises `price.name`, `price.amount`, `price.many`."""
    if (
        not 0 < len(new.name.strip()) <= MAX_NAME
        or max(len(new.provider), len(new.label)) > MAX_NAME
    ):
        raise Invalid(
            "price.name", "a price needs a name", f"A model or capability, 1 to {MAX_NAME}."
        )
    if any(not 0 <= n <= MAX_PRICE for n in (new.input_micros, new.output_micros, new.call_micros)):
        raise Invalid("price.amount", "a price is out of range", f"0 to {MAX_PRICE} micros.")
    before = by_name(tx, tx.company, new.name)
    if before is None:
        row = tx.one("select count(*) from price where company=?", (tx.company,))
        if row is not None and row[0] >= MAX_PRICES:
            raise Invalid("price.many", f"{MAX_PRICES} prices are set", "Change one of them.")
    tx.run(
        f"insert into price(company, {_COLUMNS}) values(?,?,?,?,?,?,?,?,?,?) "
        "on conflict(company, name) do update set provider=excluded.provider, "
        "label=excluded.label, input_micros=excluded.input_micros, "
        "output_micros=excluded.output_micros, call_micros=excluded.call_micros, "
        "active=excluded.active, updated_ms=excluded.updated_ms",
        (
            tx.company, new.name, new.provider, new.label, new.input_micros, new.output_micros,
            new.call_micros, int(new.active), tx.now_ms, tx.now_ms,
        ),
    )  # fmt: skip
    tx.emit("price_set", "", {"name": new.name})
    found = by_name(tx, tx.company, new.name)
    if found is None:
        raise AssertionError("the price that was set is not there")
    return found
