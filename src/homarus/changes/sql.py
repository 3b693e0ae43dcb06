"""The rows of change records and of their reviews."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.changes.model import MAX_REVIEWS, Change, Failure, Kind, Review, Status
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

_COLUMNS: Final = (
    "id, company, no, kind, target, intent, impact, rollback_plan, validation, patch, major, "
    "aspects, status, author, author_persons, failures, approver, self_approved, confirm_ms, "
    "previous, switch_no, created_ms, updated_ms, approved_ms, switched_ms"
)
_SHORT: Final = _COLUMNS.replace(" patch,", " '{}',").replace(" previous,", " null,")
"""Without the long texts, for lists."""
_REVIEW: Final = "n, perspective, opinion, comment, answer, reviewer, at_ms"


def _change(row: Row) -> Change:
    v = list(row)
    v[3], v[12] = Kind(v[3]), Status(v[12])
    v[9] = json.loads(v[9])
    v[10], v[17] = bool(v[10]), bool(v[17])
    v[11] = tuple(json.loads(v[11]))
    v[14] = frozenset(json.loads(v[14]))
    v[15] = tuple(Failure(*pair) for pair in json.loads(v[15]))
    v[19] = None if v[19] is None else json.loads(v[19])
    return Change(*v)


def need(rx: Rx, company: str, ref: str) -> Change:
    """By id or number (`C-3`), with its reviews. Raises `change.unknown`."""
    row = None
    if is_uuid(ref.lower()):
        row = rx.one(
            f"select {_COLUMNS} from change_record where id=? and company=?",  # noqa: S608
            (ref.lower(), company),
        )
    elif (no := numbered(ref, "C")) is not None:
        row = rx.one(
            f"select {_COLUMNS} from change_record where company=? and no=?",  # noqa: S608
            (company, no),
        )
    if row is None:
        raise NotFound(
            "change.unknown",
            f"no change {ref[:80]!r} in this company",
            "List them: `homarus change list`.",
        )
    change = _change(row)
    return msgspec.structs.replace(change, reviews=reviews(rx, change.id))


def reviews(rx: Rx, change: str) -> tuple[Review, ...]:
    rows = rx.all(
        f"select {_REVIEW} from change_review where change_id=? order by n limit ?",  # noqa: S608
        (change, MAX_REVIEWS),
    )
    return tuple(Review(*row) for row in rows)


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    before: int | None = None,
    status: str | None = None,
    kind: str | None = None,
) -> list[Change]:
    """Newest first, without patches and reviews; `before` is the `no` of the last one seen."""
    select = f"select {_SHORT} from change_record where company=?"  # noqa: S608
    filters = {"status=?": status, "kind=?": kind}
    rows = newest(rx, select, (company,), filters, limit=limit, before=before)
    return [_change(row) for row in rows]


def found_same(rx: Rx, company: str, kind: Kind, patch: dict[str, Any]) -> Change | None:
    """The undecided text found on disk that is the same as this one."""
    row = rx.one(
        f"select {_COLUMNS} from change_record where company=? and status='found' "  # noqa: S608
        "and kind=? and patch=? limit 1",
        (company, str(kind), json.dumps(patch)),
    )
    return None if row is None else _change(row)


def count_found(rx: Rx, company: str) -> int:
    row = rx.one(
        "select count(*) from change_record where company=? and status='found'", (company,)
    )
    return 0 if row is None else int(row[0])


def insert(tx: Tx, change: Change) -> None:
    values = msgspec.structs.asdict(change)
    values.pop("reviews")
    values["author_persons"] = json.dumps(sorted(change.author_persons))
    values["failures"] = _failures(change.failures)
    for name in ("patch", "aspects"):
        values[name] = json.dumps(values[name])
    values["previous"] = None
    for name in ("major", "self_approved"):
        values[name] = int(values[name])
    for name in ("kind", "status"):
        values[name] = str(values[name])
    tx.run(
        f"insert into change_record({', '.join(values)}) values({','.join('?' * len(values))})",
        tuple(values.values()),
    )


def update(tx: Tx, change: Change, status: Status, **values: Any) -> Change:
    """Move it from the status in which it was read. Raises `change.raced`."""
    values |= {"status": str(status), "updated_ms": tx.now_ms}
    if "failures" in values:
        values["failures"] = _failures(values["failures"])
    if "previous" in values:
        values["previous"] = json.dumps(values["previous"])
    sets = ", ".join(f"{column}=?" for column in values)
    changed = tx.run(
        f"update change_record set {sets} where id=? and status=?",  # noqa: S608
        (*values.values(), change.id, str(change.status)),
    )
    if not changed:
        raise Conflict("change.raced", f"{change.number} has just been moved", "Look again.")
    return need(tx, tx.company, change.id)


def _failures(failures: tuple[Failure, ...]) -> str:
    return json.dumps([[failure.path, failure.message] for failure in failures])


def add_review(
    tx: Tx, change: Change, perspective: str, opinion: str, comment: str, reviewer: str
) -> None:
    """Raises `change.reviews` past MAX_REVIEWS."""
    n = len(change.reviews) + 1
    if n > MAX_REVIEWS:
        raise Conflict(
            "change.reviews", f"{change.number} has {MAX_REVIEWS} reviews", "Propose it anew."
        )
    tx.run(
        f"insert into change_review(change_id, {_REVIEW}) values(?,?,?,?,?,?,?,?)",
        (change.id, n, perspective, opinion, comment, None, reviewer, tx.now_ms),
    )


def answer_review(tx: Tx, change: Change, n: int, answer: str) -> bool:
    return bool(
        tx.run(
            "update change_review set answer=? where change_id=? and n=?", (answer, change.id, n)
        )
    )


def last_switched(rx: Rx, company: str, kind: Kind, target: str) -> Change | None:
    """The change of this thing that was put in force last and is still in force."""
    row = rx.one(
        f"select {_COLUMNS} from change_record where company=? and kind=? and target=? "  # noqa: S608
        "and status='switched' order by switch_no desc limit 1",
        (company, str(kind), target),
    )
    return None if row is None else _change(row)
