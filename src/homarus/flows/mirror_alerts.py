"""A mirror that needs a person: one incident at a time, however many of its rows are concerned.

What is told because it lasts, a target that is not well or a change that does not get through, is
looked for now and then (`news`), and its incident is resolved when it is over.
"""

from typing import Final

from homarus.flows import mirrors
from homarus.flows.mirrors import Mirror
from homarus.kernel import stop
from homarus.records import incidents
from homarus.records.incidents import Incident
from homarus.store.port import Rx, Tx

FAILED: Final = "mirror_failed"
HELD: Final = "mirror_held"
LATE: Final = "mirror_late"
LASTING: Final = (HELD, LATE)
WAIT_MS: Final = 600_000
"""A target that is down, or a change that is due, is waited for so long before anybody is told."""

_OLD: Final = (
    "select error_msg from outbox_v2 where mirror_id=? "
    "and status in ('pending', 'processing', 'unknown') and created_at<=?"
)


def tell(tx: Tx, mirror: str, reason: str, what: str) -> None:
    """Open an incident about the mirror, unless one is."""
    row = mirrors.find(tx, tx.company, mirror)
    if row is None or _told(tx, row) is not None:
        return
    opened = incidents.open_incident(
        tx, severity="medium", reason_code=reason, summary=f"mirror {row.name}: {what}",
        recommended_action={"look": f"homarus mirror status {row.name}",
                            "rows": f"homarus outbox list --mirror {row.name}"},
        company_wide=True,
    )  # fmt: skip
    tx.run("update mirror set incident=? where id=?", (opened.id, row.id))


def over(tx: Tx, row: Mirror) -> None:
    """Nobody needs to see to it any more."""
    told = _told(tx, row)
    if told is not None:
        incidents.update(tx, told.id, status="resolved")


def news(rx: Rx, limit: int) -> list[Mirror]:
    """Active mirrors about which an incident is to be opened or resolved (`see_to`)."""
    return [row for row in mirrors.at_work(rx, limit) if _changed(_told(rx, row), _lasts(rx, row))]


def see_to(tx: Tx, mirror: str) -> None:
    row = mirrors.need(tx, tx.company, mirror)
    lasts = _lasts(tx, row)
    if not _changed(_told(tx, row), lasts):
        return
    if lasts is None:
        over(tx, row)
    else:
        tell(tx, row.id, *lasts)


def _changed(told: Incident | None, lasts: tuple[str, str] | None) -> bool:
    if told is None:
        return lasts is not None
    return lasts is None and told.reason_code in LASTING


def _told(rx: Rx, row: Mirror) -> Incident | None:
    """The incident that is open about it."""
    known = None if row.incident is None else incidents.by_id(rx, row.company, row.incident)
    return None if known is None or known.status == "resolved" else known


def _lasts(rx: Rx, row: Mirror) -> tuple[str, str] | None:
    """What has gone on for too long, as reason and words."""
    if row.state != mirrors.ACTIVE:
        return None
    if row.held is not None and row.held_ms is not None and rx.now_ms - row.held_ms >= WAIT_MS:
        return HELD, row.held
    late = _late(rx, row)
    return None if late is None else (LATE, late)


def _late(rx: Rx, row: Mirror) -> str | None:
    """Why the oldest change waits longer than the mirror's delay and WAIT_MS. What a STOP holds,
    and what only waits its turn while others get through, is not late."""
    before_ms = rx.now_ms - row.delay_ms - WAIT_MS
    stops = stop.active(rx, row.company)
    if row.updated_ms > before_ms or any(each.scope == "company" for each in stops):
        return None
    minutes = (row.delay_ms + WAIT_MS) // 60_000
    tried = rx.one(f"{_OLD} and tries>0 limit 1", (row.id, before_ms))
    if tried is not None:
        return f"a change waits for more than {minutes} minutes: {tried[0] or 'no answer yet'}"
    if stops or (row.last_ok_ms or 0) > rx.now_ms - WAIT_MS:
        return None
    waits = rx.one(f"{_OLD} limit 1", (row.id, before_ms))
    return None if waits is None else f"no change was sent for more than {minutes} minutes"
