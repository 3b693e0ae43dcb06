"""A mirror that needs a person: one incident at a time, however many of its rows fail."""

from typing import Final

from homarus.records import incidents
from homarus.store.port import Tx

FAILED: Final = "mirror_failed"
HELD: Final = "mirror_held"
HELD_MS: Final = 600_000
"""A target that is down is waited for so long before anybody is told."""


def tell(tx: Tx, mirror: str, reason: str, what: str) -> None:
    """Open an incident about the mirror, unless one is."""
    row = tx.one("select name, incident from mirror where id=?", (mirror,))
    if row is None:
        return
    if row[1] is not None:
        known = incidents.by_id(tx, tx.company, row[1])
        if known is not None and known.status != "resolved":
            return
    opened = incidents.open_incident(
        tx, severity="medium", reason_code=reason, summary=f"mirror {row[0]}: {what}",
        recommended_action={"look": f"homarus mirror status {row[0]}",
                            "rows": f"homarus outbox list --mirror {row[0]} --status failed"},
        company_wide=True,
    )  # fmt: skip
    tx.run("update mirror set incident=? where id=?", (opened.id, mirror))
