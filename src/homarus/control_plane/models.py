"""Configured models: which there are, adding and removing them, and whether one answers.

A key is sealed before the unit sees it, and has no JSON form. A test is two units around the
request: its cost is set aside before, what it came to settled after.
"""

import hashlib
import time
from operator import attrgetter
from typing import Any, Final

import msgspec

from homarus.agents import metering
from homarus.agents.port import (
    Answered,
    Delta,
    ModelFailure,
    ModelRequest,
    Text,
    Usage,
    UserMessage,
)
from homarus.agents.providers import Opened
from homarus.base.action import Action, Effect, Outcome
from homarus.base.clock import iso_ms
from homarus.base.errors import HomarusError, NotOffered
from homarus.company import models
from homarus.company.models import Model
from homarus.control_plane.pages import behind
from homarus.control_plane.route import (
    Call,
    Route,
    Sealer,
    Stream,
    StreamRoute,
    json_reply,
    read_route,
    write_route,
)
from homarus.flows import spending
from homarus.kernel import receipts, reservations
from homarus.store.port import Reply, Rx, Tx

QUESTION: Final = "Reply with the one word: ready"
MAX_ANSWER_TOKENS: Final = 256
"""Of a test: room for a word, and for the thinking that some models cannot leave out."""
MAX_SHOWN: Final = 500


class ModelBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`key` is kept sealed and never shown again; without it the one that is there stays; null:
    none is sent. `fallbacks`: names of models that stand in for it, in order."""

    dialect: str
    base_url: str
    model: str
    name: str = models.DEFAULT
    key: str | msgspec.UnsetType | None = msgspec.UNSET
    context_tokens: int = models.CONTEXT_TOKENS
    max_output_tokens: int = models.MAX_OUTPUT_TOKENS
    fallbacks: list[str] = []


def seal(call: Call[ModelBody], sealer: Sealer) -> Call[models.NewModel]:
    """The call without its clear key. Raises `model.bad_key`."""
    body = call.body
    key: bytes | msgspec.UnsetType | None = None
    if isinstance(body.key, str):
        clear = models.key_text(body.key)
        key = sealer.seal(clear.encode(), models.about(call.company, body.name))
    elif body.key is msgspec.UNSET:
        key = msgspec.UNSET
    new = models.NewModel(
        name=body.name,
        dialect=body.dialect,
        base_url=body.base_url,
        model=body.model,
        key=key,
        context_tokens=body.context_tokens,
        max_output_tokens=body.max_output_tokens,
        fallbacks=tuple(body.fallbacks),
    )
    return Call(call.company, call.token, call.path, call.query, new, b"", call.base_url)


def wire(row: Model) -> dict[str, Any]:
    return {
        "name": row.name,
        "dialect": row.dialect,
        "baseUrl": row.base_url,
        "model": row.model,
        "keyConfigured": row.key_configured,
        "contextTokens": row.context_tokens,
        "maxOutputTokens": row.max_output_tokens,
        "fallbacks": list(row.fallbacks),
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


def listed(rx: Rx, call: Call[None]) -> Reply:
    limit = call.limit()
    rows = models.listed(rx, call.company, limit=limit, after=call.query.get("cursor", ""))
    return json_reply(
        {"models": [wire(row) for row in rows]} | behind(rows, limit, attrgetter("name"))
    )


def read(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"model": wire(models.need(rx, call.company, call.path["name"]))})


def add(tx: Tx, call: Call[models.NewModel]) -> Reply:
    before = models.by_name(tx, call.company, call.body.name)
    row = models.put(tx, call.body)
    return json_reply({"model": wire(row)}, 201 if before is None else 200)


def remove(tx: Tx, call: Call[None]) -> Reply:
    return json_reply({"model": wire(models.delete(tx, call.path["name"]))})


# -- whether one answers -------------------------------------------------------------------


async def test(stream: Stream, call: Call[None]) -> Reply:
    """One small request. Raises `model.*` when no answer came."""
    if stream.models is None:
        raise NotOffered("model.none_here", "this daemon asks no models", "Ask another one.")
    # Not judged: as a test of its own this would be a second one, without its cost.
    row = await stream.store.read(models.need, call.company, call.path["name"])
    first = (await stream.models.chain(call.company, row.name))[0]
    await first.port.prepare(row.model)
    request = ModelRequest(
        model=row.model,
        system="",
        messages=(UserMessage((Text(QUESTION),)),),
        max_output_tokens=min(row.max_output_tokens, MAX_ANSWER_TOKENS),
    )
    begun = await stream.write(
        _begin,
        digest=hashlib.sha256(QUESTION.encode()).digest(),
        estimate=metering.estimate(request),
    )
    intent = msgspec.json.decode(begun.body)
    own = Action(call.company, "budget.settle", f"model:{row.name}", system="model-test")
    try:
        found = await _ask(first, request)
    except HomarusError as error:
        usage = error.usage if isinstance(error, ModelFailure) else None
        await stream.store.write(own, _end, intent, row.name, usage or Usage(), error.message)
        raise
    await stream.store.write(own, _end, intent, row.name, found.pop("usage"), None)
    return json_reply({"test": {"name": row.name, **found}})


async def _ask(first: Opened, request: ModelRequest) -> dict[str, Any]:
    began = time.monotonic()
    first_s: float | None = None
    answered: Answered | None = None
    async for event in first.port.stream(request):
        if first_s is None:
            first_s = time.monotonic() - began
        if not isinstance(event, Delta):
            answered = event
    if answered is None:
        raise AssertionError("a stream without failure ends with its answer")
    usage = metering.used(request, answered)
    return {
        "model": answered.model,
        "text": answered.message.text[:MAX_SHOWN],
        "stop": answered.stop.value,
        "firstEventMs": round((first_s or 0.0) * 1000),
        "latencyMs": round((time.monotonic() - began) * 1000),
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "usage": usage,
    }


def _begin(tx: Tx) -> Reply:
    """The intent: its receipt is this unit's own, its cost the kernel has set aside."""
    held = reservations.of_unit(tx)
    return json_reply(
        {"receipt": tx.head.receipt_seq + 1, "reservation": None if held is None else held.id}
    )


def _end(tx: Tx, intent: dict[str, Any], name: str, usage: Usage, error: str | None) -> None:
    reservation = intent["reservation"]
    if reservation is not None:
        if error is None or usage.total:
            spending.settle(tx, reservation, spending.Actual(usage.input, usage.output))
        else:
            spending.release(tx, reservation)
    receipts.write_outcome(
        tx, intent["receipt"], tx.actor, "model.test", f"model:{name}",
        Outcome.DONE if error is None else Outcome.FAILED, effect=Effect.MODEL, reason=error,
    )  # fmt: skip


TAGS: Final = ("models",)
ROUTES: Final[tuple[Route | StreamRoute, ...]] = (
    read_route(
        "/models", listed, "List configured models", query=("limit", "cursor"), tags=TAGS
    ),
    write_route(
        "POST", "/models", "model.add", add, "Add a model, or change the one of that name",
        body=ModelBody, prepare=seal, target="model:", status=201, also=(200,), tags=TAGS,
    ),
    read_route("/models/{name}", read, "One configured model", tags=TAGS),
    write_route(
        "DELETE", "/models/{name}", "model.remove", remove, "Remove a model",
        target="model:{name}", tags=TAGS,
    ),
    StreamRoute(
        method="POST", path="/models/{name}/test", capability="model.test", handler=test,
        kind="write", summary="Ask a model for a word", keyed="ignored", target="model:{name}",
        tags=TAGS,
    ),
)  # fmt: skip
