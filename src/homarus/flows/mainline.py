"""Steps 3 and 4 of a preflight: where the work belongs, and whether it needs a project card."""

from typing import Any, Final

import msgspec

from homarus.flows import intents
from homarus.store.port import Rx

MAX_PROJECTS: Final = 100
"""Active projects that are looked at, the newest first."""

GOAL_CHARS: Final = 200
LEAST: Final = 0.34
"""Share of an intent's words that a project's goal must hold to be its place."""

FILES: Final = 10
AGENTS: Final = 3
"""From here on, work is large enough for a card."""

_ACTIVE: Final = (
    "select id, no, substr(goal, 1, 200) from project where company=? and status='active' "
    "and deleted_ms is null order by no desc limit ?"
)


class Place(msgspec.Struct, frozen=True):
    """`project` None: a new one."""

    project: str | None
    score: float
    candidates: tuple[tuple[str, str, float], ...] = ()

    def evidence(self) -> dict[str, Any]:
        return {
            "project": self.project or "new",
            "score": self.score,
            "candidates": [
                {"project": project, "goal": goal, "score": score}
                for project, goal, score in self.candidates
            ],
        }


class Card(msgspec.Struct, frozen=True):
    """`signs`: what speaks for one; `scale`: what was counted; `card`: the number of one that the
    project has for it."""

    signs: tuple[str, ...]
    scale: dict[str, Any]
    card: str | None = None

    @property
    def needed(self) -> bool:
        return bool(self.signs) and self.card is None

    def evidence(self) -> dict[str, Any]:
        return {
            "needed": self.needed,
            "signs": list(self.signs),
            "scale": self.scale,
            "card": self.card,
        }


def place(rx: Rx, company: str, said: frozenset[str], project: str | None) -> Place:
    """The task's own project, else the active one whose goal says most of the intent."""
    if project is not None:
        return Place(project, 1.0)
    if not said:
        return Place(None, 0.0)
    found = []
    for id, _, goal in rx.all(_ACTIVE, (company, MAX_PROJECTS)):
        score = round(len(said & intents.words(goal)) / len(said), 3)
        if score:
            found.append((id, goal, score))
    found.sort(key=lambda item: -item[2])
    best = found[0] if found and found[0][2] >= LEAST else None
    return Place(best and best[0], best[2] if best else 0.0, tuple(found[:3]))


def card(
    intent: str, said: frozenset[str], *, agents: int, is_new: bool, number: str | None
) -> Card:
    """Pure. `agents`: how many the intent concerns; `is_new`: it is about a new capability, feature
    or mechanism; `number`: of a card that fits already."""
    files, staged = intents.files(intent), intents.stages(said)
    signs = [
        text
        for is_so, text in (
            (is_new, "a new capability, feature or mechanism"),
            (staged, "several stages"),
            (files >= FILES, f"{files} files"),
            (agents >= AGENTS, f"{agents} agents"),
        )
        if is_so
    ]
    scale = {"files": files, "agents": agents, "stages": staged, "newCapability": is_new}
    return Card(tuple(signs), scale, number)


def level_of(*, other: bool, large: bool, governance: bool) -> int:
    """The level of the route, 0 to 3 (governance contract, 7): another's profession is L1, a card
    or a pipeline L2, governance L3."""
    if governance:
        return 3
    if large:
        return 2
    return 1 if other else 0
