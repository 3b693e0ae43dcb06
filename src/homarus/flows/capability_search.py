"""Search of the company's capabilities for an intent."""

from typing import Final

import msgspec

from homarus.flows import intents
from homarus.store.port import Rx

MAX_ROWS: Final = 10_000
LEAST: Final = 2
"""Words that must be found, or all of a shorter intent's."""


class Hit(msgspec.Struct, frozen=True):
    id: str
    score: float
    matched: tuple[str, ...]


def search(rx: Rx, company: str, intent: str, limit: int = 10) -> list[Hit]:
    """The best first; nothing when nothing fits."""
    said = intents.words(intent)
    hits = []
    for id, title, about in rx.all(
        "select id, title, description from capability where company=? and enabled=1 limit ?",
        (company, MAX_ROWS),
    ):
        matched = said & intents.words(f"{id} {title} {about[:400]}".replace(".", " "))
        if matched and len(matched) >= min(LEAST, len(said)):
            hits.append(Hit(id, float(len(matched)), tuple(sorted(matched))))
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]
