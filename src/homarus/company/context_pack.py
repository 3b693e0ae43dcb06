"""The context pack: which texts an agent is given, in which order, within how many characters.

Pure: candidates in, pack out. The order is the contract's (control-plane contract, 11). The texts
themselves are read afterwards, so that no more of them is read than goes in (`context_sources.py`).
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import msgspec

DEFAULT_CHARS: Final = 12_000
MAX_CHARS: Final = 200_000
DEFAULT_CHARS_EACH: Final = 8_000


class Reason(IntEnum):
    """Why a resource is in the pack; the smaller goes first."""

    COMPANY_DOCTRINE = 0
    SHARED = 1
    SELECTED = 2
    LINKED = 3
    IN_SCOPE = 4


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A resource with a text of `chars` characters. `no` counts upwards in the company."""

    id: str
    no: int
    reason: Reason
    chars: int


class Part(msgspec.Struct, frozen=True, gc=False):
    """A resource of the pack: its first `chars` characters; `cut`: it has more."""

    id: str
    reason: Reason
    chars: int
    cut: bool


class Pack(msgspec.Struct, frozen=True):
    """`total`: how many resources could have gone in."""

    parts: tuple[Part, ...]
    total: int
    used_chars: int
    max_chars: int


def ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Each resource once, for its best reason; by reason, then newest first."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.id)
        if known is None or candidate.reason < known.reason:
            best[candidate.id] = candidate
    return sorted(best.values(), key=lambda c: (c.reason, -c.no))


def fill(
    candidates: Iterable[Candidate],
    *,
    max_chars: int = DEFAULT_CHARS,
    max_chars_each: int = DEFAULT_CHARS_EACH,
) -> Pack:
    """The pack. A text longer than `max_chars_each`, or than what is left, is cut there; when
    nothing is left, the rest stays out."""
    queue = ordered(candidates)
    parts: list[Part] = []
    left = max_chars
    for candidate in queue:
        chars = min(candidate.chars, max_chars_each, left)
        if chars > 0:
            parts.append(Part(candidate.id, candidate.reason, chars, chars < candidate.chars))
            left -= chars
    return Pack(tuple(parts), len(queue), max_chars - left, max_chars)
