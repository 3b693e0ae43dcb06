"""What a recorded pipeline wants its agents to read: a bounded pack of resources (contract, 7, 11).

`pack` is the one function that chooses; nothing else here knows how.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from homarus.base.errors import NotFound
from homarus.company import resources
from homarus.company.resources import Filter, Resource
from homarus.pipelines.recorded import Record
from homarus.store.port import Rx

MAX_CHARS: Final = 12_000
MAX_CHARS_EACH: Final = 8_000
MAX_RESOURCES: Final = 50
MAX_LOOKED_AT: Final = 50


class Wanted(msgspec.Struct, frozen=True):
    """`scopes`: ids of the project, customer and agent that it is for, beside the company's own.
    `resources` by id, `tags` with or without `#`, `query`: words to look for."""

    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    query: str | None = None
    max_chars: int = MAX_CHARS
    max_chars_each: int = MAX_CHARS_EACH


def wanted_by(record: Record, max_chars: int | None) -> Wanted:
    scopes = (record.project, record.customer, record.agent)
    return Wanted(
        scopes=tuple(scope for scope in scopes if scope is not None),
        resources=tuple(record.context_resources),
        tags=tuple(tag.lstrip("#").lower() for tag in record.context_tags),
        query=record.context_query,
        max_chars=max_chars or record.context_max_chars or MAX_CHARS,
    )


def pack(rx: Rx, company: str, wanted: Wanted) -> dict[str, Any]:
    """What was named, then what bears a tag, then what the query finds, within `max_chars`.

    Never a secret; nothing of another scope, unless it is named by its id.
    """
    chosen: list[dict[str, Any]] = []
    sources: list[dict[str, Any]] = []
    left, seen = wanted.max_chars, 0
    for row, why in _candidates(rx, company, wanted):
        seen += 1
        text = (row.config or "")[: min(wanted.max_chars_each, left)]
        if len(chosen) == MAX_RESOURCES or (row.config and not text):
            continue
        left -= len(text)
        chosen.append(
            {
                "id": row.id,
                "name": row.name,
                "displayName": row.display_name,
                "resourceType": row.type,
                "scopeType": row.scope_type,
                "scopeId": row.scope,
                "path": row.path,
                "configText": text,
                "truncated": len(text) < len(row.config or ""),
            }
        )
        sources.append({"id": row.id, "name": row.name, "reason": why, "chars": len(text)})
    return {
        "resources": chosen,
        "sources": sources,
        "totalResources": seen,
        "usedChars": wanted.max_chars - left,
        "maxChars": wanted.max_chars,
        "tagFilters": list(wanted.tags),
    }


def _candidates(rx: Rx, company: str, wanted: Wanted) -> Iterator[tuple[Resource, str]]:
    """Each once, with why it is one, most wanted first; at most MAX_LOOKED_AT of each sort."""
    seen: set[str] = set()
    for row, why in _all(rx, company, wanted):
        in_scope = row.scope is None or row.scope in wanted.scopes
        if row.id not in seen and row.status == "active" and (in_scope or why == "selected"):
            seen.add(row.id)
            yield row, why


def _all(rx: Rx, company: str, wanted: Wanted) -> Iterator[tuple[Resource, str]]:
    for ref in wanted.resources:
        row = _find(rx, company, ref)
        if row is not None:
            yield row, "selected"
    for tag in wanted.tags:
        for row in _search(rx, company, f"#{tag}"):
            if _bears(row, tag):
                yield row, "tagged"
    if wanted.query:
        for row in _search(rx, company, wanted.query):
            yield row, "query"


def _find(rx: Rx, company: str, ref: str) -> Resource | None:
    """None: it is gone since it was chosen."""
    try:
        return resources.need(rx, company, ref.lower())
    except NotFound:
        return None


def _search(rx: Rx, company: str, text: str) -> list[Resource]:
    return resources.listed(rx, company, Filter(search=text), limit=MAX_LOOKED_AT)


def _bears(row: Resource, tag: str) -> bool:
    """`#tag` as a word of its own: `#sales` is not in `#salesforce`."""
    pattern = rf"(?<![\w#])#{re.escape(tag)}(?![\w-])"
    return re.search(pattern, row.config or "", re.IGNORECASE) is not None
