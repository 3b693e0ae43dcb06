"""Companies themselves: founding one, naming it, finding it by slug or id.

Founding is an act of the instance (company "", number 0): its receipt and `company_created` stand
in the instance's ledger and feed.
"""

import re
from typing import Final

import msgspec

from homarus.base import local_time
from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.kernel import settings
from homarus.store.port import Rx, Tx

TEMPLATES: Final = ("solo", "studio")
"""`solo` observes with one agent; `studio` enforces (design, 11)."""
DEFAULT_SLUG: Final = "default"
MAX_NAME: Final = 200
MAX_NOTES: Final = 20_000
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?")


class Company(msgspec.Struct, frozen=True):
    """A row of `company`. `no` is the short number in ids of events and receipts; `zone`: where
    its clock on the wall hangs."""

    no: int
    id: str
    slug: str
    name: str
    template: str
    context_notes: str | None
    created_ms: int
    zone: str = "UTC"


_COLUMNS: Final = "no, id, slug, name, template, context_notes, created_ms, zone"


def by_ref(rx: Rx, ref: str) -> Company | None:
    """A live company by slug or id."""
    column = "id" if is_uuid(ref) else "slug"
    row = rx.one(
        f"select {_COLUMNS} from company where {column}=? and deleted_ms is null and no>0",  # noqa: S608
        (ref,),
    )
    return None if row is None else Company(*row)


def need(rx: Rx, ref: str) -> Company:
    """Raises `company.unknown`."""
    company = by_ref(rx, ref)
    if company is None:
        raise NotFound(
            "company.unknown",
            f"no company {ref[:MAX_NAME]!r}",
            "List them: `homarus company list`.",
        )
    return company


def listed(rx: Rx, *, limit: int, after: int = 0) -> list[Company]:
    """In order of founding; `after` is the `no` of the last one seen."""
    rows = rx.all(
        f"select {_COLUMNS} from company where no>? and deleted_ms is null order by no limit ?",  # noqa: S608
        (after, limit),
    )
    return [Company(*row) for row in rows]


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME:
        raise Invalid(
            "company.name", "a company needs a name", f"Give one of 1 to {MAX_NAME} characters."
        )


def _check_notes(notes: str | None) -> None:
    if notes is not None and len(notes) > MAX_NOTES:
        raise Invalid("company.notes", "the notes are too long", f"At most {MAX_NOTES} characters.")


def slug_of(name: str) -> str:
    """A slug made from a name; may be empty when nothing of it fits."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48].strip("-")


def found(
    tx: Tx, slug: str, name: str, template: str = "studio", notes: str | None = None
) -> Company:
    """A new company with its feed and ledger. Runs in the instance (`tx.company` is "").

    Raises `company.slug`, `company.name`, `company.notes`, `company.template`, `company.exists`.
    """
    if tx.company != "":
        raise Invalid("company.instance", "companies are founded by the instance", "")
    if not _SLUG.fullmatch(slug):
        raise Invalid(
            "company.slug",
            f"{slug[:60]!r} cannot be a slug",
            "Use 1 to 48 of a-z, 0-9 and inner hyphens.",
        )
    _check_name(name)
    _check_notes(notes)
    if template not in TEMPLATES:
        raise Invalid(
            "company.template", f"unknown template {template[:60]!r}", f"One of {list(TEMPLATES)}."
        )
    if tx.one("select 1 from company where slug=?", (slug,)) is not None:
        raise Conflict("company.exists", f"there is a company {slug!r} already", "Use that one.")
    row = tx.one("select max(no) from company")
    company = Company(
        no=1 + (int(row[0]) if row is not None else 0),
        id=tx.new_id(),
        slug=slug,
        name=name.strip(),
        template=template,
        context_notes=notes,
        created_ms=tx.now_ms,
    )
    tx.run(
        "insert into company(no, id, slug, name, template, context_notes, created_ms, zone, level) "
        "values(?,?,?,?,?,?,?,?,?)",
        (*msgspec.structs.astuple(company), settings.LEVEL_OF_TEMPLATE[template]),
    )
    tx.run("insert into company_head(company_no) values(?)", (company.no,))
    tx.emit("company_created", company.id, {"slug": slug, "name": name, "template": template})
    return company


def ensure(tx: Tx, slug: str, name: str, template: str) -> Company:
    """The company of this slug, founded now if it is not there yet."""
    return by_ref(tx, slug) or found(tx, slug, name, template)


def update(
    tx: Tx,
    company: str,
    name: str | msgspec.UnsetType = msgspec.UNSET,
    notes: str | msgspec.UnsetType | None = msgspec.UNSET,
    zone: str | msgspec.UnsetType = msgspec.UNSET,
) -> Company:
    """Rename it, rewrite its context notes, set the zone of its clock.

    Raises `company.unknown`, `company.name`, `time.zone`.
    """
    before = need(tx, company)
    name = before.name if isinstance(name, msgspec.UnsetType) else name
    notes = before.context_notes if isinstance(notes, msgspec.UnsetType) else notes
    _check_name(name)
    _check_notes(notes)
    zone = before.zone if isinstance(zone, msgspec.UnsetType) else local_time.zone(zone).key
    tx.run(
        "update company set name=?, context_notes=?, zone=? where no=?",
        (name, notes, zone, before.no),
    )
    kind = "company_updated" if notes == before.context_notes else "company_context_updated"
    tx.emit(kind, before.id, {"name": name, "contextNotes": notes})
    return need(tx, company)
