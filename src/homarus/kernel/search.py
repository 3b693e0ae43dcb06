"""Search over the capability registry: BM25 in memory, the same on every engine (contract, 6).

A document is a capability's id, title, keywords (twice) and description. The score is BM25 times
the share of the intent's words that the capability knows, so that one common word in a long intent
is no hit. Below `registry.floor` (a governed setting) it is a miss.

An index belongs to one company and one stamp of its registry (`registry_stamp`), so it can never
be behind; the least used ones are dropped. The text of a row is taken apart once.
"""

import math
import re
import threading
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from homarus.kernel import settings
from homarus.store.port import Rx

FLOOR: Final = "registry.floor"
MAX_INTENT: Final = 2_000
MAX_LIMIT: Final = 100
MAX_INDEXES: Final = 32
MAX_TEXTS: Final = 20_000
MAX_ROWS: Final = 10_000
ENOUGH_WORDS: Final = 6
"""Words of an intent that must be known for its full score, where it has more than that."""

SMALLEST_CORPUS: Final = 16
"""A company with few capabilities counts as one with this many: a word is not common because there
is only one row."""

K1: Final = 1.2
B: Final = 0.75

_STOP: Final = """
    a an and are as at be by can do for from has have how i in into is it its me my of on or our
    please should so some that the their them then this to up us want we what when which who will
    with would you your
"""
_SAME: Final = (
    "edit modify change update alter amend adjust",
    "create make add new",
    "delete remove drop erase",
    "config configuration configure setting preference",
    "list enumerate inventory",
    "find search lookup query",
    "show display view",
    "send post deliver",
    "run execute launch",
    "check validate verify",
    "document doc",
    "repository repo",
    "directory folder",
)
"""Words that mean the same to a searcher, the one that stands for them first."""

STOP_WORDS: Final = frozenset(_STOP.split())
SYNONYMS: Final[Mapping[str, str]] = {
    word: group.split()[0] for group in _SAME for word in group.split()[1:]
}
_WORD: Final = re.compile(r"[^\W_]+")


class Hit(msgspec.Struct, frozen=True):
    """`score`: rounded to six places. `matched`: the intent's words that it knows, as searched."""

    id: str
    score: float
    matched: tuple[str, ...]


class Index(msgspec.Struct, frozen=True):
    """`postings`: word -> (place in `ids`, occurrences). `lengths`: words of each document."""

    ids: tuple[str, ...]
    lengths: tuple[int, ...]
    average: float
    postings: Mapping[str, list[tuple[int, int]]]


def words(text: str) -> list[str]:
    """What a text is searched by: lower case, without stop words, plurals and synonyms as one."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [_stem(word) for word in _WORD.findall(folded) if word not in STOP_WORDS]


@lru_cache(maxsize=MAX_TEXTS)
def _stem(word: str) -> str:
    known = SYNONYMS.get(word)
    if known is not None:
        return known
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return SYNONYMS.get(word, word)


@lru_cache(maxsize=MAX_TEXTS)
def _counted(text: str) -> tuple[int, tuple[tuple[str, int], ...]]:
    counts = Counter(words(text))
    return counts.total(), tuple(counts.items())


def build(documents: Iterable[tuple[str, str]]) -> Index:
    """Of `(id, text)`; the order in which they come makes no difference."""
    ids: list[str] = []
    lengths: list[int] = []
    postings: dict[str, list[tuple[int, int]]] = {}
    for place, (id_, text) in enumerate(sorted(documents)):
        length, counts = _counted(text)
        ids.append(id_)
        lengths.append(length)
        for word, count in counts:
            postings.setdefault(word, []).append((place, count))
    average = sum(lengths) / len(lengths) if lengths else 0.0
    return Index(tuple(ids), tuple(lengths), average, postings)


def rank(index: Index, intent: str, *, limit: int, floor: float) -> list[Hit]:
    """Best first, ties by id; nothing below `floor`. Pure."""
    asked = sorted(set(words(intent[:MAX_INTENT])))
    scores: dict[int, float] = {}
    known: dict[int, list[str]] = {}
    corpus = max(len(index.ids), SMALLEST_CORPUS)
    for word in asked:
        posting = index.postings.get(word)
        if posting is None:
            continue
        weight = math.log(1 + (corpus - len(posting) + 0.5) / (len(posting) + 0.5))
        for place, count in posting:
            norm = 1 - B + B * index.lengths[place] / index.average
            scores[place] = scores.get(place, 0.0) + weight * count * (K1 + 1) / (count + K1 * norm)
            known.setdefault(place, []).append(word)
    enough = min(len(asked), ENOUGH_WORDS)
    hits = [
        Hit(
            index.ids[place],
            round(score * min(1.0, len(known[place]) / enough), 6),
            tuple(known[place]),
        )
        for place, score in scores.items()
    ]
    hits.sort(key=lambda hit: (-hit.score, hit.id))
    return [hit for hit in hits[: max(0, min(limit, MAX_LIMIT))] if hit.score >= floor]


# -- over the rows ---------------------------------------------------------------------------

_indexes: OrderedDict[tuple[str, str], Index] = OrderedDict()
_guard: Final = threading.Lock()


def search(rx: Rx, company: str, intent: str, *, limit: int = 10) -> list[Hit]:
    """The enabled capabilities of the company that fit the intent, best first; a miss is empty."""
    floor = float(settings.value(rx, company, FLOOR))
    return rank(index_of(rx, company), intent, limit=limit, floor=floor)


def index_of(rx: Rx, company: str) -> Index:
    """The index of the company's registry as this transaction sees it."""
    row = rx.one("select stamp from registry_stamp where company=?", (company,))
    key = (company, "" if row is None else row[0])
    with _guard:
        index = _indexes.get(key)
        if index is not None and key[1]:
            _indexes.move_to_end(key)
            return index
    index = build(_documents(rx, company))
    with _guard:
        _indexes[key] = index
        while len(_indexes) > MAX_INDEXES:
            _indexes.popitem(last=False)
    return index


def _documents(rx: Rx, company: str) -> list[tuple[str, str]]:
    rows = rx.all(
        "select id, title, description, keywords from capability "
        "where company=? and enabled=1 limit ?",
        (company, MAX_ROWS),
    )
    return [
        (id_, f"{id_} {title} {' '.join([keywords] * 2)} {description}")
        for id_, title, description, keywords in rows
    ]


def warm(rx: Rx) -> None:
    """Make the indexes of companies whose registry changed, outside of any write."""
    for (company,) in rx.all(
        "select company from registry_stamp order by company limit ?", (MAX_INDEXES,)
    ):
        index_of(rx, company)
