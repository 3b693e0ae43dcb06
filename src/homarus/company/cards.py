"""Project cards: what a new capability, feature or mechanism is mounted on (contract, 7: gate 2).

A card is named by its number (`C-7`) or with its project's (`P-2/C-7`).
"""

import re
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.company import projects
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

CLASSES: Final = ("normal", "governance")
STATUSES: Final = ("open", "closed")
MAX_TITLE: Final = 200
MAX_GOAL: Final = 10_000
MAX_COMPARED: Final = 200
"""Cards of a project that a task is compared with, the newest."""

_NUMBER: Final = re.compile(r"(?:P-\d{1,15}/)?C-(\d{1,15})\Z", re.IGNORECASE)
_COLUMNS: Final = (
    "id, no, company, project, title, words, goal, class, status, created_by, created_ms, "
    "updated_ms"
)


class Card(msgspec.Struct, frozen=True):
    """A row of `project_card`. `words`: the content words of its title."""

    id: str
    no: int
    company: str
    project: str
    title: str
    words: frozenset[str]
    goal: str
    class_: str
    status: str
    created_by: str
    created_ms: int
    updated_ms: int

    @property
    def number(self) -> str:
        return f"C-{self.no}"


class NewCard(msgspec.Struct, frozen=True):
    """`project` by id. `words`: the content words of the title (`kernel.classifier`)."""

    project: str
    title: str
    words: frozenset[str] = frozenset()
    goal: str = ""
    class_: str = "normal"


def _card(row: Row) -> Card:
    values: list[Any] = list(row)
    values[5] = frozenset(row[5].split())
    return Card(*values)


def find(rx: Rx, company: str, ref: str) -> Card | None:
    """By id, `C-7` or `P-2/C-7`."""
    named = _NUMBER.match(ref.strip())
    at: str | int
    if named is not None:
        where, at = "no=?", int(named[1])
    elif is_uuid(ref.lower()):
        where, at = "id=?", ref.lower()
    else:
        return None
    row = rx.one(f"select {_COLUMNS} from project_card where company=? and {where}", (company, at))  # noqa: S608
    return None if row is None else _card(row)


def need(rx: Rx, company: str, ref: str) -> Card:
    """Raises `card.unknown`."""
    card = find(rx, company, ref)
    if card is None:
        raise NotFound("card.unknown", f"no card {ref[:80]!r}", "See `homarus card list`.")
    return card


def listed(
    rx: Rx, company: str, *, limit: int, project: str | None = None, before: int | None = None
) -> list[Card]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {_COLUMNS} from project_card where company=?"  # noqa: S608
    rows = newest(rx, select, (company,), {"project=?": project}, limit=limit, before=before)
    return [_card(row) for row in rows]


def fitting(rx: Rx, project: str, words: frozenset[str]) -> Card | None:
    """The newest open card of the project all of whose words a task's title has."""
    rows = rx.all(
        f"select {_COLUMNS} from project_card where project=? and status='open' "  # noqa: S608
        "order by no desc limit ?",
        (project, MAX_COMPARED),
    )
    cards = (_card(row) for row in rows)
    return next((card for card in cards if len(card.words) > 1 and card.words <= words), None)


def create(tx: Tx, new: NewCard) -> Card:
    """Raises `card.title`, `card.goal`, `card.class`, `project.unknown`."""
    projects.need(tx, tx.company, new.project)
    if not 0 < len(new.title.strip()) <= MAX_TITLE:
        raise Invalid("card.title", "a card needs a title", f"1 to {MAX_TITLE} characters.")
    if len(new.goal) > MAX_GOAL:
        raise Invalid("card.goal", "the goal is too long", f"At most {MAX_GOAL} characters.")
    if new.class_ not in CLASSES:
        raise Invalid("card.class", f"no class {new.class_[:40]!r}", f"One of {list(CLASSES)}.")
    card = Card(
        id=tx.new_id(),
        no=tx.number("card"),
        company=tx.company,
        project=new.project,
        title=new.title.strip(),
        words=new.words,
        goal=new.goal,
        class_=new.class_,
        status="open",
        created_by=tx.actor.key,
        created_ms=tx.now_ms,
        updated_ms=tx.now_ms,
    )
    tx.run(
        f"insert into project_card({_COLUMNS}) values({','.join('?' * 12)})",
        (
            card.id, card.no, card.company, card.project, card.title,
            " ".join(sorted(card.words)), card.goal, card.class_, card.status, card.created_by,
            card.created_ms, card.updated_ms,
        ),
    )  # fmt: skip
    tx.emit("card_created", card.id, {"number": card.number, "title": card.title})
    return card
