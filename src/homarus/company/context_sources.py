"""Where the texts of a context pack come from; the order and the budget are `context_pack.py`.

    made = pack(rx, company, scopes=Scopes(agent=ada, project=p), tags=("pricing",))
    for part in made.parts: part.resource, part.text

A selected resource may lie anywhere in the company; tagged and linked ones count inside the scopes
only, so that one customer's notes never reach another's agents by a link.
"""

from typing import Final

import msgspec

from homarus.company import note_rows, resources
from homarus.company.context_pack import (
    DEFAULT_CHARS,
    DEFAULT_CHARS_EACH,
    Candidate,
    Pack,
    Reason,
    fill,
)
from homarus.company.resources import Filter, Resource
from homarus.store.port import Rx

MAX_OF_A_REASON: Final = 100
"""Resources that are looked at for one reason."""
MAX_SELECTED: Final = 50
MAX_NEIGHBOURS: Final = 20
"""Backlinks of one selected note that are followed."""


class Scopes(msgspec.Struct, frozen=True):
    """Ids; the company's own resources are always in scope."""

    agent: str | None = None
    customer: str | None = None
    project: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(ref for ref in (self.agent, self.customer, self.project) if ref is not None)


class Packed(msgspec.Struct, frozen=True):
    """A resource of the pack, and what of its text went in; `cut`: not all of it."""

    resource: Resource
    text: str
    reason: Reason
    cut: bool


class ContextPack(msgspec.Struct, frozen=True):
    """`total`: how many resources could have gone in."""

    parts: tuple[Packed, ...]
    total: int
    used_chars: int
    max_chars: int


def pack(
    rx: Rx,
    company: str,
    *,
    scopes: Scopes = Scopes(),  # noqa: B008
    selected: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    search: str | None = None,
    max_chars: int = DEFAULT_CHARS,
    max_chars_each: int = DEFAULT_CHARS_EACH,
) -> ContextPack:
    """The texts to give to an agent in these scopes, active resources only.

    `selected`: ids, the first MAX_SELECTED of them; one that is gone, or not active, is left out.
    What bears one of `tags`, or has the text `search`, counts as selected inside the scopes.
    """
    rows = _rows(rx, company, scopes, selected[:MAX_SELECTED], tags, search)
    found = [
        Candidate(row.id, row.no, reason, row.config_chars)
        for row, reason in rows
        if row.config_chars
    ]
    plan: Pack = fill(found, max_chars=max_chars, max_chars_each=max_chars_each)
    by_id = {row.id: row for row, _ in rows}
    parts = tuple(
        Packed(by_id[part.id], _text(rx, part.id, part.chars), part.reason, part.cut)
        for part in plan.parts
    )
    return ContextPack(parts, plan.total, plan.used_chars, plan.max_chars)


def _text(rx: Rx, resource: str, chars: int) -> str:
    row = rx.one(
        "select substr(config, 1, cast(? as integer)) from resource where id=?", (chars, resource)
    )
    return "" if row is None or row[0] is None else str(row[0])


def _rows(
    rx: Rx,
    company: str,
    scopes: Scopes,
    selected: tuple[str, ...],
    tags: tuple[str, ...],
    search: str | None,
) -> list[tuple[Resource, Reason]]:
    """Resources without their texts, each with a reason; one may come for several."""
    base = Filter(scopes=scopes.ids, and_company=True, status=resources.ACTIVE)

    def some(chosen: Filter) -> list[Resource]:
        return resources.listed(rx, company, chosen, limit=MAX_OF_A_REASON, text_chars=0)

    shared = some(msgspec.structs.replace(base, is_shared=True))
    rows = [
        (row, Reason.COMPANY_DOCTRINE if row.scope_type == "company" else Reason.SHARED)
        for row in shared
    ]
    chosen = [row for ref in selected if (row := _active(rx, company, ref)) is not None]
    for tag in tags:
        chosen += some(msgspec.structs.replace(base, tag=tag))
    if search:
        chosen += some(msgspec.structs.replace(base, search=search))
    rows += [(row, Reason.SELECTED) for row in chosen]
    allowed = frozenset(scopes.ids)
    for ref in _neighbours(rx, company, chosen):
        near = _active(rx, company, ref)
        if near is not None and (near.scope is None or near.scope in allowed):
            rows.append((near, Reason.LINKED))
    rows += [(row, Reason.IN_SCOPE) for row in some(base)]
    return rows


def _active(rx: Rx, company: str, ref: str) -> Resource | None:
    row = resources.by_id(rx, company, ref, text_chars=0)
    return row if row is not None and row.status == resources.ACTIVE else None


def _neighbours(rx: Rx, company: str, notes: list[Resource]) -> list[str]:
    """Ids that these notes link to or are linked from, each once."""
    found: dict[str, None] = {}
    for note in notes[:MAX_SELECTED]:
        for link in note_rows.links_of(rx, company, note.id):
            if link.resource is not None:
                found.setdefault(link.resource)
        for back in note_rows.backlinks(rx, company, note.id, limit=MAX_NEIGHBOURS):
            found.setdefault(back.resource)
    return list(found)[:MAX_OF_A_REASON]
