"""What an intent says by its own words: pure, for the four steps of a preflight."""

import re
from functools import lru_cache
from typing import Final

MAX_WORDS: Final = 200
MAX_TEXTS: Final = 4_096
"""Texts whose words are kept: goals, skills and roles are asked for again and again."""

_WORD: Final = re.compile(r"[^\W_]+")
_SMALL: Final = frozenset(
    {
        "a", "all", "an", "and", "are", "as", "at", "be", "by", "for", "from", "help", "i", "in",
        "into", "is", "it", "its", "my", "need", "of", "on", "or", "our", "please", "that", "the",
        "their", "this", "to", "want", "we", "with", "you", "your",
    }
)  # fmt: skip
_GOVERNANCE: Final = (
    frozenset({"redline"}),
    frozenset({"redlines"}),
    frozenset({"company", "mechanism"}),
    frozenset({"agent", "rules"}),
    frozenset({"agent", "onboarding"}),
    frozenset({"routing", "rules"}),
    frozenset({"governance", "document"}),
    frozenset({"governance", "rules"}),
    frozenset({"agents", "md"}),
)
_NEW: Final = frozenset({"capability", "feature", "mechanism", "product", "module", "workflow"})
_STAGES: Final = frozenset({"stage", "stages", "phase", "phases", "pipeline", "milestones"})
_FILES: Final = re.compile(r"\b(\d{1,6})\s+(?:\w+\s+)?files?\b", re.IGNORECASE)


@lru_cache(maxsize=MAX_TEXTS)
def words(text: str) -> frozenset[str]:
    """Its words in lower case without the small ones; at most MAX_WORDS."""
    found: set[str] = set()
    for match in _WORD.finditer(text):
        word = match[0].lower()
        if word not in _SMALL:
            found.add(word)
            if len(found) == MAX_WORDS:
                break
    return frozenset(found)


def about_governance(said: frozenset[str]) -> bool:
    """Company mechanism, agent rules, routing, onboarding (gate 4)."""
    return any(sign <= said for sign in _GOVERNANCE)


def new_thing(said: frozenset[str]) -> bool:
    """A new capability, feature or mechanism (gates 2 and 3)."""
    return "new" in said and not said.isdisjoint(_NEW)


def stages(said: frozenset[str]) -> bool:
    return not said.isdisjoint(_STAGES)


def files(text: str) -> int:
    """How many files it speaks of, as a number; 0: none."""
    return max((int(match[1]) for match in _FILES.finditer(text)), default=0)
