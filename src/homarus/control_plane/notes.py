"""What notes have beside their row: versions, backlinks, context packs, and proposals."""

from operator import attrgetter
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.company import agents, context_sources, customers, note_rows, projects, resources
from homarus.company import context_pack as rules
from homarus.company.context_sources import Scopes
from homarus.company.notes import Text
from homarus.company.resources import Resource, ResourceChange
from homarus.control_plane import shapes_resources as shapes
from homarus.control_plane.pages import cut
from homarus.control_plane.resource_bodies import ReadyBody, ResourceBody, prepare, ready
from homarus.control_plane.resource_bodies import read as read_text
from homarus.control_plane.resources import scope_of
from homarus.control_plane.route import (
    Call,
    Route,
    Sealer,
    json_reply,
    read_route,
    write_route,
)
from homarus.flows import scoping
from homarus.store.port import Reply, Rx, Tx

_TAGS: Final = ("resources",)
NOTE_TYPE: Final = "knowledge_base"
NOTE_PROVIDER: Final = "knowledge"
MAX_TAGS: Final = 20
MAX_VERSION_DIGITS: Final = 9


# -- versions ------------------------------------------------------------------------------


def versions(rx: Rx, call: Call[None]) -> Reply:
    row = resources.need(rx, call.company, call.id())
    limit = call.limit()
    kept = note_rows.versions(rx, row.id, limit=limit + 1, before=call.cursor())
    kept, cursor = cut(kept, limit, attrgetter("version"))
    return json_reply(
        {
            "versions": [shapes.version(version) for version in kept],
            "nextCursor": cursor,
        }
    )


def number(call: Call[Any]) -> int:
    """The version that the path names. Raises `request.version`."""
    text = call.path["version"]
    if not (text.isascii() and text.isdecimal()) or len(text) > MAX_VERSION_DIGITS:
        raise Invalid("request.version", f"{text[:40]!r} is no version", "Give its number.")
    return int(text)


def version(rx: Rx, call: Call[None]) -> Reply:
    row = resources.need(rx, call.company, call.id())
    return json_reply({"version": shapes.version(note_rows.version(rx, row.id, number(call)))})


class Old(msgspec.Struct, frozen=True):
    """A kept version, its text read for tags and links."""

    name: str
    config: Text


def old(rx: Rx, call: Call[None]) -> Old | None:
    """The kept version, read before the unit; None: there is none, which the unit will say."""
    row = resources.by_id(rx, call.company, call.id(), text_chars=0)
    kept = None if row is None else note_rows.find_version(rx, row.id, number(call))
    found = None if kept is None else read_text(kept.text)
    return Old(kept.name, found) if kept is not None and isinstance(found, Text) else None


def restore(tx: Tx, call: Call[None]) -> Reply:
    """The old text becomes a new version; nothing in between is lost.

    Raises `resource.unknown`, `resource.version_unknown`, `resource.not_yours`.
    """
    row = resources.need(tx, call.company, call.id())
    scoping.check_writer(tx, row.scope_type, row.scope)
    seen: Old | None = call.seen
    if seen is None:
        raise note_rows.no_version(number(call))
    after = resources.update(tx, row.id, ResourceChange(name=seen.name, config=seen.config))
    return json_reply({"resource": shapes.resource(after)})


# -- links ---------------------------------------------------------------------------------


def backlinks(rx: Rx, call: Call[None]) -> Reply:
    row = resources.need(rx, call.company, call.id())
    limit = call.limit()
    found = note_rows.backlinks(rx, call.company, row.id, limit=limit + 1, before=call.cursor())
    found, cursor = cut(found, limit)
    return json_reply(
        {
            "backlinks": [shapes.backlink(link) for link in found],
            "nextCursor": cursor,
        }
    )


# -- context pack --------------------------------------------------------------------------


def context(rx: Rx, call: Call[None]) -> Reply:
    """Raises `agent.unknown`, `project.unknown`, `customer.unknown`, `resource.unknown`."""
    query, company = call.query, call.company
    selected = _words(query.get("resourceId"), context_sources.MAX_SELECTED, "resourceId")
    chosen: list[Resource] = [resources.need(rx, company, ref.lower()) for ref in selected]
    tags = tuple(tag.lstrip("#").lower() for tag in _words(query.get("tag"), MAX_TAGS, "tag"))
    made = context_sources.pack(
        rx,
        company,
        scopes=_scopes(rx, company, query),
        selected=tuple(row.id for row in chosen),
        tags=tags,
        max_chars=_chars(query.get("maxChars"), rules.DEFAULT_CHARS),
        max_chars_each=_chars(query.get("maxCharsPerResource"), rules.DEFAULT_CHARS_EACH),
    )
    return json_reply(shapes.context_pack(made, tags))


def _scopes(rx: Rx, company: str, query: Any) -> Scopes:
    """A project brings its customer's scope with it."""
    agent, customer, project = (query.get(n) for n in ("agentId", "customerId", "projectId"))
    found = projects.need(rx, company, project.lower()) if project else None
    if customer:
        customer = customers.need(rx, company, customer.lower()).id
    elif found is not None:
        customer = found.customer
    return Scopes(
        agent=agents.need(rx, company, agent).id if agent else None,
        customer=customer or None,
        project=None if found is None else found.id,
    )


def _words(text: str | None, most: int, field: str) -> tuple[str, ...]:
    """Values with commas between them. Raises `request.query`."""
    words = tuple(dict.fromkeys(w.strip() for w in (text or "").split(",") if w.strip()))
    if len(words) > most:
        raise Invalid("request.query", f"{len(words)} values of `{field}`", f"At most {most}.")
    return words


def _chars(text: str | None, default: int) -> int:
    """Nonsense counts as not given, as in limits of lists."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 9:
        return default
    return max(1, min(int(text), rules.MAX_CHARS))


# -- proposals -----------------------------------------------------------------------------


class Proposal(msgspec.Struct, rename="camel"):
    """What the original calls a proposal is published at once. Scope as in `POST /resources`."""

    title: str
    proposed_text: str | None = None
    scope_type: str | None = None
    scope_id: str | None = None
    agent_id: str | None = None
    path: str | msgspec.UnsetType | None = msgspec.UNSET
    is_shared: bool | msgspec.UnsetType = msgspec.UNSET
    allow_secret_like: bool = False


def prepare_proposal(call: Call[Proposal], sealer: Sealer) -> Call[ReadyBody]:
    """As the creation of a note. Raises `resource.secret_like`."""
    body = call.body
    note = ResourceBody(
        name=body.title,
        resource_type=NOTE_TYPE,
        provider=NOTE_PROVIDER,
        scope_type=body.scope_type or "company",
        scope_id=body.scope_id,
        agent_id=body.agent_id,
        config_text=body.proposed_text or f"# {body.title}\n",
        path=body.path,
        is_shared=body.is_shared,
        allow_secret_like=body.allow_secret_like,
    )
    made: Call[ResourceBody] = ready(call, note)
    return prepare(made, sealer)


def propose(tx: Tx, call: Call[ReadyBody]) -> Reply:
    kind, scope = scope_of(tx, call.company, call.body.fields)
    scoping.check_writer(tx, kind, scope)
    row = resources.create(tx, kind, scope, call.body.change)
    return json_reply(
        {
            "message": "Published as a note; there is no queue of proposals",
            "deprecated": True,
            "resource": shapes.resource(row),
        },
        201,
    )


ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/resources/context", context, "The texts that an agent is given, within a budget",
        query=(
            "agentId", "customerId", "projectId", "resourceId", "tag", "maxChars",
            "maxCharsPerResource",
        ),
        tags=_TAGS,
    ),
    write_route(
        "POST", "/resources/proposals", "resource.create", propose, "Publish a note",
        body=Proposal, prepare=prepare_proposal, status=201, target="resource:", tags=_TAGS,
    ),
    read_route(
        "/resources/{id}/versions", versions, "Kept versions of a note, newest first",
        query=("limit", "cursor"), tags=_TAGS,
    ),
    read_route("/resources/{id}/versions/{version}", version, "A kept version", tags=_TAGS),
    write_route(
        "POST", "/resources/{id}/versions/{version}/restore", "resource.update", restore,
        "Make a kept version the newest", before=old, target="resource:{id}", tags=_TAGS,
    ),
    read_route(
        "/resources/{id}/backlinks", backlinks, "Notes that link to this one, newest first",
        query=("limit", "cursor"), tags=_TAGS,
    ),
)  # fmt: skip
