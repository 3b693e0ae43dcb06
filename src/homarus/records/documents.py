"""Documents of the main space: the approved text is the row, the file a view of it (design, 9).

The last ten versions of each are kept. Who may change which is the kernel's business (redline R4)
and that of change records.
"""

import hashlib
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound, TooLarge
from homarus.kernel.documents import GOVERNED, PLAIN, check_path, kind_of
from homarus.store.port import Row, Rx, Tx

MAX_DOCUMENT_BYTES: Final = 262_144
MAX_DOCUMENTS: Final = 5_000
MAX_TITLE: Final = 200
VERSIONS_KEPT: Final = 10
FIRST_VERSION: Final = "1.0.0"
STATES: Final = ("Draft", "Final")

_COLUMNS: Final = (
    "path, class, kind, title, sha256, content, version, state, approved_ms, change_no, deleted_ms"
)
_VERSION: Final = "path, n, sha256, content, version, state, removed, change_no, by_actor, at_ms"


class Document(msgspec.Struct, frozen=True):
    """A row of `document`. `sha256` hexadecimal, of the text in UTF-8."""

    path: str
    cls: str
    kind: str
    title: str
    sha256: str
    content: str
    version: str
    state: str
    approved_ms: int
    change_no: int | None
    deleted_ms: int | None

    @property
    def governed(self) -> bool:
        return self.cls == GOVERNED


class Version(msgspec.Struct, frozen=True):
    """A kept version. `removed`: from here on there was no such document."""

    path: str
    n: int
    sha256: str
    content: str
    version: str
    state: str
    removed: bool
    change_no: int | None
    by: str
    at_ms: int


class NewText(msgspec.Struct, frozen=True):
    """What becomes of a document. `content` None: it is removed."""

    path: str
    content: str | None
    cls: str = PLAIN
    title: str = ""
    version: str = FIRST_VERSION
    state: str = "Final"
    change_no: int | None = None


def digest(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


def check_text(content: str) -> str:
    """Raises `document.size`, `document.text`."""
    try:
        size = len(content.encode())
    except UnicodeEncodeError:
        raise Invalid("document.text", "the text is no Unicode", "Send UTF-8.") from None
    if size > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            "document.size",
            f"the text has {size} bytes, more than {MAX_DOCUMENT_BYTES}",
            "Split it; files that are no documents are artifacts.",
        )
    if "\0" in content:
        raise Invalid("document.text", "the text holds the character U+0000", "Leave it out.")
    return content


def _document(row: Row) -> Document:
    values = list(row)
    values[4] = bytes(values[4]).hex()
    return Document(*values)


def _version(row: Row) -> Version:
    values = list(row)
    values[2] = bytes(values[2]).hex()
    values[6] = bool(values[6])
    return Version(*values)


def by_path(rx: Rx, company: str, path: str, *, deleted: bool = False) -> Document | None:
    row = rx.one(
        f"select {_COLUMNS} from document where company=? and path=? "  # noqa: S608
        "and (?=1 or deleted_ms is null)",
        (company, path, int(deleted)),
    )
    return None if row is None else _document(row)


def need(rx: Rx, company: str, path: str) -> Document:
    """Raises `document.unknown`."""
    found = by_path(rx, company, path)
    if found is None:
        raise NotFound(
            "document.unknown", f"no document {path[:200]!r}", "See `homarus document list`."
        )
    return found


def listed(rx: Rx, company: str, *, limit: int, after: str = "") -> list[Document]:
    """By path; `after` is the last one seen."""
    rows = rx.all(
        f"select {_COLUMNS} from document where company=? and path>? and deleted_ms is null "  # noqa: S608
        "order by path limit ?",
        (company, after, limit),
    )
    return [_document(row) for row in rows]


def exist(rx: Rx, company: str) -> bool:
    """Whether the company has, or ever had, a document."""
    return rx.one("select 1 from document where company=? limit 1", (company,)) is not None


def versions(rx: Rx, company: str, path: str) -> list[Version]:
    """Newest first, at most VERSIONS_KEPT."""
    rows = rx.all(
        f"select {_VERSION} from document_version where company=? and path=? "  # noqa: S608
        "order by n desc limit ?",
        (company, path, VERSIONS_KEPT),
    )
    return [_version(row) for row in rows]


class Entry(msgspec.Struct, frozen=True):
    """What shall lie on disk: the newest version `n` of a path; `live` False: nothing."""

    path: str
    governed: bool
    sha256: str
    n: int
    live: bool


def index(rx: Rx, company: str) -> list[Entry]:
    """Every document that there is or was, by path."""
    rows = rx.all(
        "select d.path, d.class, d.sha256, d.deleted_ms, max(v.n) from document d "
        "join document_version v on v.company=d.company and v.path=d.path where d.company=? "
        "group by d.path, d.class, d.sha256, d.deleted_ms order by d.path limit ?",
        (company, 2 * MAX_DOCUMENTS),
    )
    return [
        Entry(path, cls == GOVERNED, bytes(sha).hex(), n, deleted is None)
        for path, cls, sha, deleted, n in rows
    ]


def put(tx: Tx, new: NewText) -> Document | None:
    """Put a version in force; the document, or None when it is removed now.

    Raises `document.path|view|text|size|title|state|case|many|unknown`. Emits `document_changed`.
    """
    write(tx, tx.company, new)
    tx.emit(
        "document_changed",
        "",
        {"path": new.path, "version": new.version, "removed": new.content is None},
    )
    return by_path(tx, tx.company, new.path)


def write(tx: Tx, company: str, new: NewText) -> None:
    """The rows alone, of any company: a company that is being founded has no feed yet."""
    check_path(new.path)
    if len(new.title) > MAX_TITLE:
        raise Invalid("document.title", "the title is too long", f"At most {MAX_TITLE}.")
    if new.state not in STATES:
        raise Invalid("document.state", f"no state {new.state[:60]!r}", f"One of {list(STATES)}.")
    before = by_path(tx, company, new.path, deleted=True)
    live = before is not None and before.deleted_ms is None
    if new.content is None:
        if not live:
            need(tx, company, new.path)
        tx.run(
            "update document set deleted_ms=?, change_no=? where company=? and path=?",
            (tx.now_ms, new.change_no, company, new.path),
        )
    else:
        check_text(new.content)
        if not live:
            _check_room(tx, company, new.path)
        _upsert(tx, company, new, before)
    _keep(tx, company, new, before)


def _check_room(tx: Tx, company: str, path: str) -> None:
    row = tx.one(
        "select path from document where company=? and lower(path)=lower(?) and path<>? "
        "and deleted_ms is null",
        (company, path, path),
    )
    if row is not None:
        raise Conflict(
            "document.case", f"{path} differs from {row[0]} in case alone", f"Use {row[0]}."
        )
    count = tx.one(
        "select count(*) from document where company=? and deleted_ms is null", (company,)
    )
    if count is not None and count[0] >= MAX_DOCUMENTS:
        raise Conflict("document.many", f"there are {MAX_DOCUMENTS} documents", "Remove some.")


def _upsert(tx: Tx, company: str, new: NewText, before: Document | None) -> None:
    title = new.title or ("" if before is None else before.title)
    tx.run(
        "insert into document(company, path, class, kind, title, sha256, content, version, state, "
        "approved_ms, change_no) values(?,?,?,?,?,?,?,?,?,?,?) "
        "on conflict(company, path) do update set class=excluded.class, kind=excluded.kind, "
        "title=excluded.title, sha256=excluded.sha256, content=excluded.content, "
        "version=excluded.version, state=excluded.state, approved_ms=excluded.approved_ms, "
        "change_no=excluded.change_no, deleted_ms=null",
        (
            company, new.path, new.cls, kind_of(new.path) or "document", title,
            digest(new.content or ""), new.content, new.version, new.state, tx.now_ms,
            new.change_no,
        ),
    )  # fmt: skip


def _keep(tx: Tx, company: str, new: NewText, before: Document | None) -> None:
    """The version as history, and no more than VERSIONS_KEPT of them."""
    row = tx.one(
        "select coalesce(max(n), 0) from document_version where company=? and path=?",
        (company, new.path),
    )
    n = 1 + (0 if row is None else int(row[0]))
    content = new.content
    if content is None:
        content = "" if before is None else before.content
    values: tuple[Any, ...] = (
        company, new.path, n, digest(content), content, new.version, new.state,
        int(new.content is None), new.change_no, tx.actor.key, tx.now_ms,
    )  # fmt: skip
    tx.run(
        f"insert into document_version(company, {_VERSION}) values(?,?,?,?,?,?,?,?,?,?,?)", values
    )
    tx.run(
        "delete from document_version where company=? and path=? and n<=?",
        (company, new.path, n - VERSIONS_KEPT),
    )
