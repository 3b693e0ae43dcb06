"""What an intent says by its own words: pure, for the four steps of a preflight."""

import re
from functools import lru_cache
from typing import Final

from homarus.kernel.classifier import content_words

MAX_TEXTS: Final = 4_096
"""Texts whose words are kept: goals, skills and roles are asked for again and again."""

_STAGES: Final = frozenset({"stage", "phase", "pipeline", "milestone"})
_FILES: Final = re.compile(r"\b(\d{1,6})\s+(?:\w+\s+)?files?\b", re.IGNORECASE)


@lru_cache(maxsize=MAX_TEXTS)
def words(text: str) -> frozenset[str]:
    """The words that say what a text is about (`kernel.classifier`)."""
    return content_words(text)


def stages(said: frozenset[str]) -> bool:
    return not said.isdisjoint(_STAGES)


def files(text: str) -> int:
    """How many files it speaks of, as a number; 0: none."""
    return max((int(match[1]) for match in _FILES.finditer(text)), default=0)
