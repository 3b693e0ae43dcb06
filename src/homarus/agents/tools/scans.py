"""Tools over the calendar and the wiki: what an agent asks instead of scanning a mirror (R2)."""

from datetime import timedelta
from typing import Annotated, Final

import msgspec

from homarus.agents.tools.files import shown
from homarus.agents.tools.hands import Hands
from homarus.agents.tools.tool import Tool, number, told, words
from homarus.company import calendar
from homarus.flows.turn_tools import Result
from homarus.records import wiki
from homarus.store.port import Rx

MAX_LISTED: Final = 50
MAX_DAYS: Final = 366
_DAY_MS: Final = timedelta(days=1) // timedelta(milliseconds=1)


class CalendarArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    days: Annotated[int, number("How many days from now on.", 1, MAX_DAYS)] = 7
    limit: Annotated[int, number("How many, by their start.", 1, MAX_LISTED)] = 20


class SearchArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, words("In the title or the text; empty: the newest.", 200)] = ""
    limit: Annotated[int, number("How many, newest first.", 1, MAX_LISTED)] = 20


class DocArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    doc: Annotated[str, words("A wiki document: its number (W-7) or id.", 80, 1)]


def tools() -> tuple[Tool, ...]:
    return (
        Tool("calendar_list", "What the company's calendar has in the coming days.", _calendar,
             "read", "event:", CalendarArguments, harmless=True),
        Tool("doc_search", "Search the company's wiki; `doc_read` gives the text.", _search,
             "read", "wiki:", SearchArguments, harmless=True),
        Tool("doc_read", "Read a wiki document.", _read, "read", "wiki:<doc>", DocArguments,
             harmless=True),
    )  # fmt: skip


async def _calendar(given: CalendarArguments, hands: Hands) -> Result:
    company = hands.started.agent.company

    def coming(rx: Rx) -> list[calendar.CalendarEvent]:
        until_ms = rx.now_ms + given.days * _DAY_MS
        return calendar.listed(rx, company, limit=given.limit, from_ms=rx.now_ms, to_ms=until_ms)

    rows = await hands.store.read(coming)
    lines = [
        f"{row.number} {row.start} to {row.end} ({row.zone}): {row.title}"
        + (f", {row.location}" if row.location else "")
        for row in rows
    ]
    result = told("\n".join(lines) or "[none]", source="calendar", events=len(rows))
    return await hands.apply("read", shown, result, target="event:")


async def _search(given: SearchArguments, hands: Hands) -> Result:
    company = hands.started.agent.company
    rows = await hands.store.read(
        lambda rx: wiki.listed(rx, company, limit=given.limit, search=given.text)
    )
    lines = [f"{row.number}: {row.title}" for row in rows]
    result = told("\n".join(lines) or "[none]", source="wiki", docs=len(rows))
    return await hands.apply("read", shown, result, target="wiki:")


async def _read(given: DocArguments, hands: Hands) -> Result:
    row = await hands.store.read(wiki.need, hands.started.agent.company, given.doc)
    target = f"wiki:{row.id}"
    result = told(f"# {row.title}\n\n{row.body}", source=target, version=row.version)
    return await hands.apply("read", shown, result, target=target)
