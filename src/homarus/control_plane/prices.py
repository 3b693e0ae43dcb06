"""Prices of models and capabilities, in micros; and the original's table in cents (contract, 7)."""

from typing import Annotated, Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.kernel import prices
from homarus.kernel.prices import CENT, MAX_NAME, MAX_PRICE, Price
from homarus.store.port import Reply, Rx, Tx

Micros = Annotated[int, msgspec.Meta(ge=0, le=MAX_PRICE)]
Cents = Annotated[int, msgspec.Meta(ge=0, le=MAX_PRICE // CENT)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]


class NewPrice(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One of `model`, `capability`, `name` (either). Tokens in micros for a million of them."""

    name: Name | None = None
    model: Name | None = None
    capability: Name | None = None
    input_micros: Micros = 0
    output_micros: Micros = 0
    call_micros: Micros = 0
    active: bool = True


class NewPricing(msgspec.Struct, frozen=True):
    """The original's fields: cents for a **million** tokens, whatever their names end in."""

    provider: str
    model: Name
    inputPricePer1k: Cents
    outputPricePer1k: Cents
    label: str = ""
    active: bool = True


def wire(row: Price) -> dict[str, Any]:
    return {
        "name": row.name,
        "inputMicros": row.input_micros,
        "outputMicros": row.output_micros,
        "callMicros": row.call_micros,
        "active": row.active,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


def pricing(row: Price) -> dict[str, Any]:
    """Rounded up to cents."""
    return {
        "id": row.name,
        "provider": row.provider,
        "model": row.name,
        "label": row.label or row.name,
        "inputPricePer1k": -(-row.input_micros // CENT),
        "outputPricePer1k": -(-row.output_micros // CENT),
        "active": row.active,
        "createdAt": iso_ms(row.created_ms),
    }


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /prices."""
    return json_reply({"prices": [wire(row) for row in prices.listed(rx, call.company)]})


def put(tx: Tx, call: Call[NewPrice]) -> Reply:
    """PUT /prices: set the price of one name."""
    body = call.body
    named = [name for name in (body.name, body.model, body.capability) if name is not None]
    if len(named) != 1:
        raise Invalid("price.name", "what is the price of?", "Give `model` or `capability`.")
    row = prices.put(
        tx,
        Price(
            named[0], body.input_micros, body.output_micros, body.call_micros, active=body.active
        ),
    )
    return json_reply({"price": wire(row)})


def pricing_listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /pricing: the same rows as the original shows them."""
    return json_reply({"pricing": [pricing(row) for row in prices.listed(rx, call.company)]})


def pricing_put(tx: Tx, call: Call[NewPricing]) -> Reply:
    """POST /pricing."""
    body = call.body
    row = prices.put(
        tx,
        Price(
            body.model,
            body.inputPricePer1k * CENT,
            body.outputPricePer1k * CENT,
            provider=body.provider,
            label=body.label,
            active=body.active,
        ),
    )
    return json_reply({"pricing": pricing(row)})


TAGS: Final = ("budgets",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/prices", listed, "List prices", tags=TAGS),
    write_route(
        "PUT", "/prices", "budget.price", put, "Set a price",
        body=NewPrice, target="price:", tags=TAGS,
    ),
    read_route("/pricing", pricing_listed, "List prices in cents", tags=TAGS),
    write_route(
        "POST", "/pricing", "budget.price", pricing_put, "Set a price in cents",
        body=NewPricing, target="price:", tags=TAGS,
    ),
)  # fmt: skip
