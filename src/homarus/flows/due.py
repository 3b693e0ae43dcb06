"""Where work is due: companies that a worker should visit now. Reads only."""

from homarus.store.port import Rx


def leases(rx: Rx, limit: int) -> list[str]:
    """Companies with a lease that has run out."""
    rows = rx.all(
        "select distinct company from task where lease_until_ms is not null "
        "and lease_until_ms<=? limit ?",
        (rx.now_ms, limit),
    )
    return [str(row[0]) for row in rows]
