"""What there is to do for each mirror: what the worker reads before its passes."""

from typing import Final

import msgspec

from homarus.flows import mirror_leases, mirror_rows, mirrors
from homarus.flows.mirror_rows import Due
from homarus.flows.mirrors import Mirror
from homarus.kernel import stop
from homarus.outbox.changes import as_change
from homarus.outbox.lane import Lane
from homarus.outbox.port import Change
from homarus.store.port import Rx

AT_A_PASS: Final = 100
"""Rows of a mirror, the top of what is due (governance contract, 9)."""
MAX_AT_WORK: Final = 1_000
CHECK_ROWS: Final = 5


class Look(msgspec.Struct, frozen=True):
    """What there is to do for one mirror; `next_ms`: when there is more."""

    row: Mirror
    due: list[Due]
    next_ms: int | None


def look(
    rx: Rx, more: dict[str, int], busy: frozenset[str]
) -> tuple[list[Look], dict[str, tuple[str, ...]]]:
    looks = [
        Look(row, [], None) if row.id in busy else _look_at(rx, row, more.get(row.id, 0))
        for row in mirrors.at_work(rx, MAX_AT_WORK)
    ]
    companies = {look.row.company for look in looks}
    return looks, {c: tuple(s.id for s in stop.active(rx, c)) for c in companies}


def _look_at(rx: Rx, row: Mirror, more: int) -> Look:
    """`more`: rows that will be passed over."""
    return Look(row, *mirror_rows.due(rx, row.id, AT_A_PASS + more))


def look_again(rx: Rx, row: Mirror, more: int) -> Look | None:
    found = mirrors.find(rx, row.company, row.id)
    if found is None or found.state != mirrors.ACTIVE:
        return None
    return _look_at(rx, found, more)


def without(look: Look, lane: Lane | None) -> Look:
    """Without the rows that the lane leaves alone for now, those that failed at last."""
    if lane is None:
        return msgspec.structs.replace(look, due=look.due[:AT_A_PASS])
    due = lane.ill.last([row for row in look.due if row.id not in lane.skip])[:AT_A_PASS]
    if not lane.skip:
        return msgspec.structs.replace(look, due=due)
    again_ms = min(lane.skip.values())
    next_ms = again_ms if look.next_ms is None else min(look.next_ms, again_ms)
    return Look(look.row, due, next_ms)


def samples(rx: Rx, row: Mirror) -> list[Change]:
    return [as_change(sample, row.company) for sample in mirror_leases.samples(rx, row, CHECK_ROWS)]
