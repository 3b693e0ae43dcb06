"""`Today.md`: what the day has, as links to the notes. Pure.

Links, not task lines: a line in two files counts twice in task queries (mirrors contract, 6.4).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from homarus.outbox.vault import names
from homarus.outbox.vault.manifest import Kept

NAME: Final = "Today.md"
ID: Final = "homarus:today"
MAX_LINES: Final = 200
FACTS: Final = ("state", "due", "start", "end")
"""Fields of an entity that the page is made of; times as the vault's clock shows them."""

_OVER: Final = ("done", "failed", "dead_letter", "archived")


def page(notes: Iterable[Kept], today: datetime) -> list[str]:
    """The parts of the region. `today`: any time of the day, by the vault's clock."""
    begin = today.replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = begin.isoformat(), (begin + timedelta(days=1)).isoformat()
    events: list[tuple[str, str, Kept]] = []
    due: list[tuple[str, str, Kept]] = []
    running: list[tuple[str, str, Kept]] = []
    for kept in notes:
        if kept.archived:
            continue
        facts = kept.facts
        start, end = facts.get("start", ""), facts.get("end", "")
        if kept.kind == "calendar_event" and start and start < last and (end or start) > first:
            events.append((start, kept.number, kept))
        elif kept.kind == "task" and facts.get("state") not in _OVER:
            if facts.get("due") and facts["due"] < last:
                due.append((facts["due"], kept.number, kept))
            elif facts.get("state") == "in_progress":
                running.append(("", kept.number, kept))
    return [
        f"# {begin:%Y-%m-%d}",
        *_section("Events", events, first),
        *_section("Due", due, first),
        *_section("In progress", running, first),
    ]


def _section(title: str, rows: list[tuple[str, str, Kept]], first: str) -> list[str]:
    lines = []
    for at, _, kept in sorted(rows)[:MAX_LINES]:
        stem = kept.path.rpartition("/")[2].removesuffix(names.SUFFIX)
        day, _, clock = at.partition("T")
        when = f"{clock[:5]} " if at >= first and clock else f"{day} " if day else ""
        lines.append(f"- {when}{names.link(stem, kept.title)}")
    if len(rows) > MAX_LINES:
        lines.append(f"- and {len(rows) - MAX_LINES} more")
    return [f"## {title}", "\n".join(lines)] if lines else []
