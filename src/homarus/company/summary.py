"""A company at a glance: its context notes, and how much of what it has."""

from typing import NamedTuple

from homarus.store.port import Rx


class Counts(NamedTuple):
    agents: int
    projects: int


def counts(rx: Rx, company: str) -> Counts:
    """Live agents and projects."""
    row = rx.one(
        "select (select count(*) from agent where company=? and deleted_ms is null), "
        "(select count(*) from project where company=? and deleted_ms is null)",
        (company, company),
    )
    return Counts(0, 0) if row is None else Counts(*row)


def context_notes(rx: Rx, company: str) -> str | None:
    """What every agent of the company is told at the start of a session."""
    row = rx.one("select context_notes from company where id=?", (company,))
    return None if row is None else row[0]
