"""Wiki documents: what the company writes down for its people, as Markdown in a tree.

Anybody who may write changes one; the rules of the company are documents of the main space
(`documents.py`), which change by an approved change alone. An edit names the version that it was
made from, so nobody overwrites what he has not seen. The latest versions of each are kept.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound, TooLarge
from homarus.base.ids import is_uuid, numbered
from homarus.records import rules
from homarus.store.paging import newest, when
from homarus.store.port import Rx, Tx

MAX_TITLE: Final = 200
MAX_BODY_BYTES: Final = 262_144
MAX_DOCS: Final = 10_000
MAX_DEPTH: Final = 16
VERSIONS_KEPT: Final = 10

_COLUMNS: Final = (
    "id, no, company, parent, title, body, version, created_by, updated_by, created_ms, "
    "updated_ms, deleted_ms"
)


class WikiDoc(msgspec.Struct, frozen=True, gc=False):
    """A row of `wiki_doc`; times in Unix ms. Lists leave `body` empty."""

    id: str
    no: int
    company: str
    parent: str | None
    title: str
    body: str
    version: int
    created_by: str
    updated_by: str
    created_ms: int
    updated_ms: int
    deleted_ms: int | None

    @property
    def number(self) -> str:
        return f"W-{self.no}"


class WikiVersion(msgspec.Struct, frozen=True, gc=False):
    """A row of `wiki_version`."""

    version: int
    title: str
    body: str
    by: str
    at_ms: int


class WikiChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. `parent` None puts it at the top."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    body: str | msgspec.UnsetType = msgspec.UNSET
    parent: str | msgspec.UnsetType | None = msgspec.UNSET


# -- reading -------------------------------------------------------------------------------


def by_id(rx: Rx, company: str, doc: str, *, deleted: bool = False) -> WikiDoc | None:
    row = rx.one(
        f"select {_COLUMNS} from wiki_doc where id=? and company=? "  # noqa: S608
        "and (?=1 or deleted_ms is null)",
        (doc, company, int(deleted)),
    )
    return None if row is None else WikiDoc(*row)


def need(rx: Rx, company: str, ref: str, *, deleted: bool = False) -> WikiDoc:
    """By id or number (`W-7`); `deleted`: also one that was removed. Raises `wiki.unknown`."""
    found = None
    if is_uuid(ref.lower()):
        found = by_id(rx, company, ref.lower(), deleted=deleted)
    elif (no := numbered(ref, "W")) is not None:
        row = rx.one(
            f"select {_COLUMNS} from wiki_doc where company=? and no=? "  # noqa: S608
            "and (?=1 or deleted_ms is null)",
            (company, no, int(deleted)),
        )
        found = None if row is None else WikiDoc(*row)
    if found is None:
        raise NotFound(
            "wiki.unknown",
            f"no wiki document {ref[:80]!r} in this company",
            "List them: `homarus wiki list`.",
        )
    return found


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    before: int | None = None,
    parent: str | None = None,
    roots: bool = False,
    search: str = "",
) -> list[WikiDoc]:
    """Newest first, without their bodies; `search` looks in titles and bodies; `before`: the `no`
    of the last one seen."""
    columns = _COLUMNS.replace("body", "''")
    found = "(search like ? escape '!' or lower(body) like ? escape '!')"
    select = f"select {columns} from wiki_doc where company=? and deleted_ms is null"  # noqa: S608
    filters = {
        **when("parent is null", roots),
        "parent=?": None if roots else parent,
        found: (rules.containing(search),) * 2 if search else None,
    }
    rows = newest(rx, select, (company,), filters, limit=limit, before=before)
    return [WikiDoc(*row) for row in rows]


def versions(rx: Rx, doc: str) -> list[WikiVersion]:
    """The kept ones, newest first, without their bodies."""
    rows = rx.all(
        "select version, title, '', by_actor, at_ms from wiki_version where doc=? "
        "order by version desc",
        (doc,),
    )
    return [WikiVersion(*row) for row in rows]


def version(rx: Rx, doc: str, number: int) -> WikiVersion:
    """Raises `wiki.version`."""
    row = rx.one(
        "select version, title, body, by_actor, at_ms from wiki_version where doc=? and version=?",
        (doc, number),
    )
    if row is None:
        raise NotFound(
            "wiki.version",
            f"version {number} is not kept",
            f"The last {VERSIONS_KEPT} are: `homarus wiki versions`.",
        )
    return WikiVersion(*row)


# -- writing -------------------------------------------------------------------------------


def create(tx: Tx, change: WikiChange) -> WikiDoc:
    """Emits `wiki_doc_created`. Raises `wiki.title|body|unknown|depth|many`."""
    if change.title is msgspec.UNSET:
        raise _bad_title("")
    values = {"body": "", "parent": None} | _checked(tx, change)
    if values["parent"] is not None:
        _room(tx, values["parent"], "")
    _one_more(tx)
    doc = tx.new_id()
    tx.run(
        f"insert into wiki_doc({_COLUMNS}, search) values({','.join('?' * 13)})",
        (
            doc, tx.number("wiki_doc"), tx.company, values["parent"], values["title"],
            values["body"], 1, tx.actor.key, tx.actor.key, tx.now_ms, tx.now_ms, None,
            values["search"],
        ),
    )  # fmt: skip
    _keep(tx, doc, 1, values["title"], values["body"])
    tx.emit("wiki_doc_created", doc, {"version": 1})
    return need(tx, tx.company, doc)


def update(tx: Tx, ref: str, base: int, change: WikiChange) -> WikiDoc:
    """Change what was read as version `base`. Emits `wiki_doc_updated`; nothing when it stays as it
    was.

    Raises `wiki.unknown`, `wiki.nothing`, `wiki.stale`, `wiki.title|body`, `wiki.cycle`,
    `wiki.depth`.
    """
    row = need(tx, tx.company, ref)
    if change == WikiChange():
        raise Invalid("wiki.nothing", "nothing to change", "Give a title, a body or a parent.")
    if base != row.version:
        raise Conflict(
            "wiki.stale",
            f"{row.number} is at version {row.version}, changed by {row.updated_by}; "
            f"this edit was made from version {base}",
            f"Read it again (`homarus wiki show {row.number}`) and edit that.",
            version=row.version,
        )
    values = _checked(tx, change)
    if values.get("parent") not in (None, row.parent):
        _room(tx, values["parent"], row.id)
    changed = {
        name: value
        for name, value in values.items()
        if name != "search" and value != getattr(row, name)
    }
    if not changed:
        return row
    now: dict[str, Any] = {
        "version": row.version + 1,
        "updated_by": tx.actor.key,
        "updated_ms": tx.now_ms,
    }
    if "title" in changed:
        now["search"] = values["search"]
    sets = ", ".join(f"{column}=?" for column in (*changed, *now))
    tx.run(f"update wiki_doc set {sets} where id=?", (*changed.values(), *now.values(), row.id))  # noqa: S608
    after = need(tx, tx.company, row.id)
    _keep(tx, row.id, after.version, after.title, after.body)
    tx.emit("wiki_doc_updated", row.id, {"fields": sorted(changed), "version": after.version})
    return after


def delete(tx: Tx, ref: str) -> WikiDoc:
    """Soft. Emits `wiki_doc_deleted`. Raises `wiki.unknown`, `wiki.children`."""
    row = need(tx, tx.company, ref)
    below = tx.one(
        "select no from wiki_doc where parent=? and deleted_ms is null limit 1", (row.id,)
    )
    if below is not None:
        raise Conflict(
            "wiki.children",
            f"W-{below[0]} lies below {row.number}",
            "Move or remove what lies below it first.",
        )
    tx.run(
        "update wiki_doc set deleted_ms=?, updated_ms=? where id=?", (tx.now_ms, tx.now_ms, row.id)
    )
    tx.emit("wiki_doc_deleted", row.id)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms)


def restore(tx: Tx, row: WikiDoc) -> WikiDoc:
    """A removed one is there again, where it lay, or at the top where that is gone. Emits
    `wiki_doc_created`. Raises `wiki.many`."""
    _one_more(tx)
    above = None if row.parent is None else by_id(tx, row.company, row.parent)
    tx.run(
        "update wiki_doc set deleted_ms=null, parent=?, updated_ms=? where id=?",
        (None if above is None else above.id, tx.now_ms, row.id),
    )
    tx.emit("wiki_doc_created", row.id, {"version": row.version})
    return need(tx, tx.company, row.id)


def _one_more(tx: Tx) -> None:
    """Raises `wiki.many`."""
    count = tx.one(
        "select count(*) from wiki_doc where company=? and deleted_ms is null", (tx.company,)
    )
    if count is not None and count[0] >= MAX_DOCS:
        raise Conflict("wiki.many", f"the company has {MAX_DOCS} wiki documents", "Remove some.")


def _keep(tx: Tx, doc: str, number: int, title: str, body: str) -> None:
    tx.run(
        "insert into wiki_version(doc, version, title, body, by_actor, at_ms) values(?,?,?,?,?,?)",
        (doc, number, title, body, tx.actor.key, tx.now_ms),
    )
    tx.run("delete from wiki_version where doc=? and version<=?", (doc, number - VERSIONS_KEPT))


def _room(tx: Tx, parent: str, moved: str) -> None:
    """Whether `moved` (with what lies below it) fits there. Raises `wiki.cycle`, `wiki.depth`."""
    depth = 0
    above: str | None = parent
    while above is not None and depth <= MAX_DEPTH:
        if above == moved:
            raise Invalid(
                "wiki.cycle", "a document cannot lie below itself", "Choose another parent."
            )
        row = tx.one("select parent from wiki_doc where id=?", (above,))
        above = None if row is None else row[0]
        depth += 1
    if depth + _height(tx, moved) > MAX_DEPTH:
        raise Invalid("wiki.depth", "documents nest too deeply", f"At most {MAX_DEPTH} levels.")


def _height(tx: Tx, doc: str) -> int:
    """Levels of a document with what lies below it."""
    level, height = [doc], 0
    while level and height <= MAX_DEPTH:
        marks = ",".join("?" * len(level))
        rows = tx.all(
            f"select id from wiki_doc where parent in ({marks}) and deleted_ms is null",  # noqa: S608
            level,
        )
        level = [row[0] for row in rows]
        height += 1
    return height


def _checked(tx: Tx, change: WikiChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if not isinstance(change.title, msgspec.UnsetType):
        title = change.title.strip()
        if not 0 < len(title) <= MAX_TITLE or not title.isprintable():
            raise _bad_title(title)
        values |= {"title": title, "search": title.lower()}
    if not isinstance(change.body, msgspec.UnsetType):
        values["body"] = _body(change.body)
    if not isinstance(change.parent, msgspec.UnsetType):
        parent = change.parent
        values["parent"] = None if parent is None else need(tx, tx.company, parent).id
    return values


def _body(text: str) -> str:
    size = len(text.encode())
    if size > MAX_BODY_BYTES:
        raise TooLarge(
            "wiki.body",
            f"the text has {size} bytes",
            f"At most {MAX_BODY_BYTES}: divide it into several documents.",
        )
    if "\0" in text:
        raise Invalid("wiki.body", "the text holds a null character", "Send plain Markdown.")
    return text


def _bad_title(title: str) -> Invalid:
    return Invalid(
        "wiki.title",
        f"{title[:60]!r} cannot be a title",
        f"One line of 1 to {MAX_TITLE} printable characters.",
    )
