"""Rows of notes: kept versions, tags, links. Written with their note, so that nothing is re-read.

A link row holds a title, never an id: which resource bears the title is one look-up by index when
somebody asks. So a save touches its own rows only, and a rename none (contract, 18.28).
"""

from typing import Final

import msgspec

from homarus.base.errors import NotFound
from homarus.company.notes import Facets, title_key
from homarus.store.paging import ABOVE_ALL, newest
from homarus.store.port import Rx, Tx

MAX_VERSIONS: Final = 50
"""Versions of a note that are kept, the newest."""


class Version(msgspec.Struct, frozen=True, gc=False):
    """A kept version. `text` None: only listed."""

    version: int
    name: str
    author: str
    created_ms: int
    chars: int
    text: str | None = None


class Link(msgspec.Struct, frozen=True, gc=False):
    """A link of a note; `resource` None: nothing of that title is in the company."""

    title: str
    resource: str | None


class Backlink(msgspec.Struct, frozen=True, gc=False):
    """A note that links to another, by the title `title`."""

    resource: str
    no: int
    name: str
    display_name: str | None
    path: str
    title: str


# -- versions ------------------------------------------------------------------------------


def keep(tx: Tx, resource: str, version: int, name: str, text: str) -> None:
    tx.run(
        "insert into resource_version(resource, version, company, name, config, author, "
        "created_ms) values(?,?,?,?,?,?,?)",
        (resource, version, tx.company, name, text, tx.actor.key, tx.now_ms),
    )
    tx.run(
        "delete from resource_version where resource=? and version<=?",
        (resource, version - MAX_VERSIONS),
    )


def versions(rx: Rx, resource: str, *, limit: int, before: int | None = None) -> list[Version]:
    """Newest first, without their texts; `before` is the number of the last one seen."""
    select = (
        "select version, name, author, created_ms, length(config) from resource_version "
        "where resource=?"
    )
    rows = newest(rx, select, (resource,), limit=limit, before=before, by="version")
    return [Version(*row) for row in rows]


def find_version(rx: Rx, resource: str, number: int) -> Version | None:
    """With its text."""
    row = rx.one(
        "select version, name, author, created_ms, length(config), config from resource_version "
        "where resource=? and version=?",
        (resource, number),
    )
    return None if row is None else Version(*row)


def version(rx: Rx, resource: str, number: int) -> Version:
    """Raises `resource.version_unknown`."""
    row = find_version(rx, resource, number)
    if row is None:
        raise no_version(number)
    return row


def no_version(number: int) -> NotFound:
    return NotFound(
        "resource.version_unknown",
        f"no version {number} of it is kept",
        f"The newest {MAX_VERSIONS} are; see GET /resources/{{id}}/versions.",
    )


# -- tags and links ------------------------------------------------------------------------


def write(tx: Tx, resource: str, facets: Facets | None) -> None:
    """Make the tags and links of a note what its text says now (None: it has none)."""
    facets = facets or Facets()
    if tags_of(tx, resource) != facets.tags:
        tx.run("delete from resource_tag where resource=?", (resource,))
        for tag in facets.tags:
            tx.run(
                "insert into resource_tag(resource, tag, company) values(?,?,?)",
                (resource, tag, tx.company),
            )
    if tuple(titles_of(tx, resource)) != facets.links:
        tx.run("delete from resource_link where source=?", (resource,))
        for n, title in enumerate(facets.links):
            tx.run(
                "insert into resource_link(source, n, title, title_key, company) values(?,?,?,?,?)",
                (resource, n, title, title_key(title), tx.company),
            )


def tags_of(rx: Rx, resource: str) -> tuple[str, ...]:
    """Sorted as text; at most `notes.MAX_TAGS`."""
    rows = rx.all("select tag from resource_tag where resource=?", (resource,))
    return tuple(sorted(str(row[0]) for row in rows))


def titles_of(rx: Rx, resource: str) -> list[str]:
    rows = rx.all("select title from resource_link where source=? order by n", (resource,))
    return [str(row[0]) for row in rows]


def links_of(rx: Rx, company: str, resource: str) -> list[Link]:
    """In order of appearance. Of several resources of one title, the oldest is meant; one's own
    name goes before what others are shown as."""
    rows = rx.all(
        "select l.title, coalesce("
        "(select r.id from resource r where r.company=l.company and r.name_key=l.title_key "
        "and r.deleted_ms is null order by r.no limit 1), "
        "(select r.id from resource r where r.company=l.company and r.display_key=l.title_key "
        "and r.deleted_ms is null order by r.no limit 1)) "
        "from resource_link l where l.source=? and l.company=? order by l.n",
        (resource, company),
    )
    return [Link(*row) for row in rows]


def backlinks(
    rx: Rx, company: str, resource: str, *, limit: int, before: int | None = None
) -> list[Backlink]:
    """Notes that link to any title of this one, newest first; `before` as in lists."""
    rows = rx.all(
        "select s.id, s.no, s.name, s.display_name, s.path, min(l.title) from resource r "
        "join resource_link l on l.company=r.company "
        "and l.title_key in (r.name_key, r.display_key) "
        "join resource s on s.id=l.source and s.deleted_ms is null and s.no<? "
        "where r.id=? and r.company=? "
        "group by s.id, s.no, s.name, s.display_name, s.path order by s.no desc limit ?",
        (ABOVE_ALL if before is None else before, resource, company, limit),
    )
    return [Backlink(*row) for row in rows]
