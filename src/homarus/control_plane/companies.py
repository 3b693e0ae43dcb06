"""Routes of companies: founding, listing, naming."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from homarus.base.clock import iso_ms
from homarus.company import founding
from homarus.company.founding import Company
from homarus.control_plane.frames import Frame, FrameTable
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import opening
from homarus.store.port import Event, Reply, Rx, Tx


def company_shape(row: Company) -> dict[str, Any]:
    return {
        "id": row.id,
        "slug": row.slug,
        "name": row.name,
        "template": row.template,
        "contextNotes": row.context_notes,
        "timeZone": row.zone,
        "createdAt": iso_ms(row.created_ms),
    }


class NewCompany(msgspec.Struct, rename="camel", frozen=True):
    name: str
    slug: str | None = None
    template: str = "studio"
    context_notes: str | None = None


class CompanyPatch(msgspec.Struct, rename="camel", frozen=True):
    name: str | UnsetType = UNSET
    context_notes: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET


def create(tx: Tx, call: Call[NewCompany]) -> Reply:
    body = call.body
    slug = body.slug if body.slug is not None else founding.slug_of(body.name)
    row = founding.found(tx, slug, body.name, body.template, body.context_notes)
    opening.furnish(tx, row.id)
    return json_reply({"message": "Company founded", "company": company_shape(row)}, 201)


def listed(rx: Rx, call: Call[None]) -> Reply:
    """All of them for a token of the instance, its own for a company's."""
    if call.token.company:
        rows = [founding.need(rx, call.token.company)]
    else:
        rows = founding.listed(rx, limit=call.limit(), after=call.cursor() or 0)
    more = behind(rows, call.limit())
    return json_reply({"companies": [company_shape(row) for row in rows]} | more)


def show(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"company": company_shape(founding.need(rx, call.company))})


def update(tx: Tx, call: Call[CompanyPatch]) -> Reply:
    row = founding.update(
        tx, tx.company, call.body.name, call.body.context_notes, call.body.time_zone
    )
    return json_reply({"message": "Company updated", "company": company_shape(row)})


ROUTES: tuple[Route, ...] = (
    read_route(
        "/companies", listed, "List companies", query=("limit", "cursor"), tags=("companies",)
    ),
    write_route(
        "POST", "/companies", "company.create", create, "Found a company",
        body=NewCompany, status=201, scope="instance", target="company:new", tags=("companies",),
    ),
    read_route(
        "/companies/{id}", show, "Show a company, by id or slug", scope="path",
        target="company:{id}", tags=("companies",),
    ),
    write_route(
        "PATCH", "/companies/{id}", "company.update", update, "Rename it, write its notes or zone",
        body=CompanyPatch, scope="path", target="company:{id}", tags=("companies",),
    ),
)  # fmt: skip


def _context_frame(_rx: Rx, company: str, event: Event) -> list[Frame]:
    facts = {"id": company, "contextNotes": event.data.get("contextNotes")}
    return [{"type": event.kind, "actorUserId": event.actor, "company": facts}]


FRAMES: FrameTable = {"company_context_updated": _context_frame}
