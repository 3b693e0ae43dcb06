"""What the main space's guard reads and records: foreign texts, versions to commit, exposure."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Busy
from homarus.changes import sql
from homarus.changes.model import Change, Kind, NewChange
from homarus.flows import changing, documents, opening
from homarus.kernel import anchors
from homarus.kernel.documents import PIPELINES_FOLDER
from homarus.records import documents as records
from homarus.records import incidents
from homarus.records.documents import Entry, Version
from homarus.store.port import Rx, Tx

MAX_FOUND: Final = 200
"""Undecided texts of a company; more are kept as files and not as changes."""
MAX_COMPANIES: Final = 10_000
MAX_RUNS: Final = 100
MAX_EVENTS: Final = 2_000
EVERYTHING: Final = "*"
VERSIONS_A_TIME: Final = 20
REASON_CODE: Final = "governed_document_edited"


class Found(msgspec.Struct, frozen=True):
    """What lay at a governed path. `content` and not `deleted`: a text; neither: see `note`.
    `exposed`: an agent's process could have written it."""

    path: str
    content: str | None
    deleted: bool
    note: str
    exposed: bool


class Space(msgspec.Struct, frozen=True):
    """A company's main space as it should be."""

    company: str
    slug: str
    no: int
    entries: tuple[Entry, ...]


def companies(rx: Rx) -> list[tuple[str, str, int]]:
    """`(id, slug, number)` of all."""
    rows = rx.all(
        "select id, slug, no from company where no>0 and deleted_ms is null order by no limit ?",
        (MAX_COMPANIES,),
    )
    return [(i, slug, no) for i, slug, no in rows]


def space(rx: Rx, company: str, slug: str, no: int) -> Space:
    return Space(company, slug, no, tuple(records.index(rx, company)))


def text_of(rx: Rx, company: str, path: str) -> str | None:
    """The approved text; None: there is no such document (any more)."""
    row = records.by_path(rx, company, path)
    return None if row is None else row.content


def newer(rx: Rx, company: str, path: str, n: int) -> frozenset[str]:
    """Digests of the kept versions of a path after version `n`."""
    kept = [v for v in records.versions(rx, company, path) if v.n > n]
    return frozenset("" if v.removed else v.sha256 for v in kept)


def uncommitted(rx: Rx, company: str, committed: dict[str, int]) -> list[tuple[Version, str]]:
    """Versions without a commit, oldest first, each with its change's intent."""
    found: list[tuple[Version, str]] = []
    for entry in records.index(rx, company):
        done = committed.get(entry.path, 0)
        if entry.n <= done:
            continue
        for version in records.versions(rx, company, entry.path):
            if version.n > done:
                found.append((version, _intent(rx, company, version.change_no)))
    found.sort(key=lambda pair: (pair[0].at_ms, pair[0].path, pair[0].n))
    return found[:VERSIONS_A_TIME]


def _intent(rx: Rx, company: str, no: int | None) -> str:
    return "" if no is None else sql.need(rx, company, f"C-{no}").intent


def last_seal(rx: Rx, company: str) -> str:
    """`<number> <hash>` of the newest seal, for the history to hold; empty before the first."""
    for anchor in anchors.heads_to_anchor(rx):
        if anchor.company == company:
            return f"{anchor.no} {anchor.hash}"
    return ""


def kinds_since(rx: Rx, no: int, seq: int) -> tuple[int, dict[str, list[Any]]]:
    """Newest `seq` of a company's feed, and what happened after `seq` by kind, with its paths.

    The kind EVERYTHING when more happened than is worth reading.
    """
    rows = rx.all(
        "select seq, kind, case when kind='document_read' then data end from event "
        "where company_no=? and seq>? order by seq limit ?",
        (no, seq, MAX_EVENTS),
    )
    found: dict[str, list[Any]] = {}
    if len(rows) == MAX_EVENTS:
        return head_seq(rx, no), {EVERYTHING: []}
    for at, kind, data in rows:
        seq = max(seq, at)
        found.setdefault(kind, []).extend([] if data is None else [json.loads(data)["path"]])
    return seq, found


def head_seq(rx: Rx, no: int) -> int:
    row = rx.one("select event_seq from company_head where company_no=?", (no,))
    return 0 if row is None else int(row[0])


def ran_unsandboxed(rx: Rx, company: str, since_ms: int) -> bool:
    """Whether a command ran without a sandbox since then, or runs now and may."""
    rows = rx.all(
        "select r.facts, c.trusted from run r left join capability c "
        "on c.company=r.company and c.id=r.capability "
        "where r.company=? and (r.ended_ms is null or r.ended_ms>=?) limit ?",
        (company, since_ms, MAX_RUNS),
    )
    return any(
        bool(trusted) if facts is None else json.loads(facts).get("sandbox", "none") == "none"
        for facts, trusted in rows
    )


def keep(tx: Tx, found: Found) -> Change:
    """A foreign edit as change C-n with an incident, once for the same text.

    Raises `change.found_many`. Its remedy: approve it, or reject it (redline R4).
    """
    kind, patch = _patch(tx, found)
    before = sql.found_same(tx, tx.company, kind, patch)
    if before is not None:
        return before
    if sql.count_found(tx, tx.company) >= MAX_FOUND:
        raise Busy(
            "change.found_many",
            f"{MAX_FOUND} texts found on disk wait for a decision",
            "Approve or reject them: `homarus change list --status found`.",
        )
    what = "was deleted on disk" if found.deleted else found.note or "was edited on disk"
    change = changing.found(
        tx,
        NewChange(
            kind=kind,
            patch=patch,
            intent=f"{found.path} {what}, outside any change. Nobody has said why.",
            impact=f"Who reads {found.path}. The approved version is in force until this is "
            "approved and switched.",
            rollback_plan="Roll it back: the version before is kept.",
            validation="Compare it with the approved version.",
        ),
    )
    incidents.open_incident(
        tx,
        severity="critical" if found.exposed else "medium",
        reason_code=REASON_CODE,
        summary=f"{found.path} {what}. The approved version was restored; what was found is "
        f"{change.number}."
        + (" An agent's process could have written it." if found.exposed else ""),
        recommended_action={
            "approve": f"homarus change approve {change.number}",
            "reject": f"homarus change reject {change.number} REASON",
        },
        company_wide=True,
    )
    return change


def _patch(tx: Tx, found: Found) -> tuple[Kind, dict[str, Any]]:
    """Kind and patch of the change that would make it the approved version."""
    if found.content is not None and found.path.startswith(f"{PIPELINES_FOLDER}/"):
        return Kind.PIPELINE, {"text": found.content}
    now = records.by_path(tx, tx.company, found.path)
    patch: dict[str, Any] = {"base": None if now is None else now.sha256, "path": found.path}
    if found.deleted:
        patch["delete"] = True
    elif found.content is not None:
        patch["content"] = found.content
    else:
        patch["note"] = f"nothing to approve: {found.note}"[:500]
    return Kind.GOVERNED_DOCUMENT, patch


def adopt(tx: Tx, path: str, content: str | None) -> None:
    """A plain document's file was edited: that is how plain documents may be written too."""
    documents.write(tx, path, content)


def unfurnished(rx: Rx, company: str) -> bool:
    """Whether the company never had a document."""
    return not records.exist(rx, company)


def furnish(tx: Tx) -> None:
    """First documents for a company from before there were any."""
    if opening.furnish(tx, tx.company):
        tx.emit("document_changed", "", {"path": "", "version": "", "removed": False})
