"""Routes of project cards (contract, 7: gate 2)."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.base.ids import is_uuid
from homarus.company import cards, projects
from homarus.company.cards import Card
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import gating
from homarus.kernel.classifier import content_words
from homarus.store.port import Reply, Rx, Tx


def shape(row: Card) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": row.number,
        "projectId": row.project,
        "title": row.title,
        "goal": row.goal,
        "class": row.class_,
        "status": row.status,
        "createdBy": row.created_by,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


class NewCard(msgspec.Struct, frozen=True):
    """`class`: `normal` or `governance`."""

    project: str = msgspec.field(name="projectId")
    title: str
    goal: str = ""
    class_: str = msgspec.field(name="class", default="normal")


def create(tx: Tx, call: Call[NewCard]) -> Reply:
    body = call.body
    card = cards.create(
        tx,
        cards.NewCard(
            project=projects.need(tx, tx.company, body.project.lower()).id,
            title=body.title,
            words=content_words(body.title),
            goal=body.goal,
            class_=body.class_,
        ),
    )
    gating.look_again(tx)
    return json_reply({"message": "Card created", "card": shape(card)}, 201)


def listed(rx: Rx, call: Call[None]) -> Reply:
    project = (call.query.get("projectId") or "").lower() or None
    if project is not None and not is_uuid(project):
        raise Invalid("request.bad_id", "projectId is not an id", "Give the UUID.")
    rows = cards.listed(rx, call.company, limit=call.limit(), project=project, before=call.cursor())
    more = behind(rows, call.limit())
    return json_reply({"cards": [shape(row) for row in rows]} | more)


def show(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"card": shape(cards.need(rx, call.company, call.path["id"]))})


TAGS: Final = ("cards",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/cards", listed, "List project cards", query=("projectId", "limit", "cursor"), tags=TAGS
    ),
    write_route(
        "POST", "/cards", "card.create", create, "Create a project card",
        body=NewCard, status=201, target="card:new", tags=TAGS,
    ),
    read_route("/cards/{id}", show, "Show a card, by id or number", tags=TAGS),
)  # fmt: skip
