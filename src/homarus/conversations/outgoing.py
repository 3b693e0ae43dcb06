"""What of a text leaves the house, and in which parts (channels contract, 15). Pure."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

MAX_PARTS: Final = 50
"""Of one delivery. What is longer is cut there, and says so."""
CUT: Final = "…"
NO_REPLY: Final = "NO_REPLY"
_INTERNAL: Final = re.compile(r"<internal>.*?(?:</internal>|\Z)", re.DOTALL | re.IGNORECASE)


class Rule(msgspec.Struct, frozen=True):
    """How a channel wants long texts: parts of at most `max_chars`, ended at the first of `breaks`
    that a part holds in its second half, else in the middle of a word."""

    max_chars: int = 4_096
    breaks: tuple[str, ...] = ("\n\n", "\n", " ")


def spoken(text: str) -> str:
    """Without what an agent keeps to itself; "": nothing is to be said."""
    left = _INTERNAL.sub("", text).strip()
    return "" if left == NO_REPLY else left


def parts(text: str, rule: Rule) -> list[str]:
    """In order, none empty, none longer than the rule allows; the same for the same text always."""
    found: list[str] = []
    rest = text.strip()
    while rest:
        if len(found) == MAX_PARTS - 1 and len(rest) > rule.max_chars:
            return [*found, rest[: rule.max_chars - len(CUT)] + CUT]
        end = len(rest) if len(rest) <= rule.max_chars else _end(rest, rule.max_chars, rule.breaks)
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return found


def _end(text: str, most: int, breaks: Sequence[str]) -> int:
    for mark in breaks:
        at = text.rfind(mark, (most + 1) // 2, most + 1)
        if at > 0:
            return at
    return most
