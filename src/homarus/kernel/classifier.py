"""What a task is about, by its own words: pure, and modest about it (governance contract, 7).

A phrase is whole words in any case. The title counts in full; what else the task says counts a
quarter, and at most 1 in all, so that a long description never decides alone. Weights are chosen so
that a score above 3 (the default of `gates.threshold`) takes two independent signs or one phrase
that has one meaning only. Sources: the manual, sections 4 and 8; contract 11 for topic words.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

RULES_VERSION: Final = 1
BODY_WEIGHT: Final = 0.25
BODY_MOST: Final = 1.0
MAX_TITLE_WORDS: Final = 200
MAX_BODY_WORDS: Final = 400

Lexicon = Mapping[str, float]

ROLES: Final[Mapping[str, Lexicon]] = {
    "scoder": {
        "architecture": 2.0, "architecture design": 1.5, "system architecture": 1.5,
        "high availability": 2.0, "highly available": 2.0, "fault tolerance": 1.5,
        "disaster recovery": 1.5, "system design": 2.0, "technical design": 2.0,
        "technical solution": 1.5, "scheduling system": 0.75, "distributed system": 1.5,
        "scalability": 1.0, "sharding": 1.5, "failover": 1.5, "design": 0.75,
    },
    "coder": {
        "unit tests": 1.0, "refactor": 1.5, "bugfix": 1.5, "source code": 1.5, "codebase": 1.0,
        "compile": 1.0, "pull request": 1.5,
    },
    "pm": {
        "prd": 3.0, "product requirements": 3.0, "product requirement document": 1.0,
        "product roadmap": 2.5, "user stories": 2.0, "user story": 2.0, "product strategy": 2.5,
        "write": 0.25,
    },
    "pmo": {
        "program plan": 2.0, "portfolio": 1.0, "milestone plan": 2.0, "cross project": 1.5,
        "project governance": 2.0, "resource plan": 1.5,
    },
    "marketer": {
        "marketing copy": 2.5, "marketing campaign": 2.5, "press release": 2.0,
        "social media": 1.0, "seo": 1.0, "newsletter": 1.0,
    },
    "finance": {
        "expense reimbursement": 3.0, "reimbursement": 1.5, "pricing strategy": 1.5,
        "balance sheet": 2.5, "cash flow": 2.0, "tax return": 2.5, "financial statements": 2.5,
        "payroll": 2.0, "approve": 0.5,
    },
    "security": {
        "penetration test": 3.0, "threat model": 2.5, "vulnerability assessment": 2.5,
        "security audit": 2.5, "security incident": 2.0, "run": 0.25,
    },
    "legal": {
        "terms of service": 2.0, "privacy policy": 2.0, "legal review": 2.5, "legal opinion": 3.0,
        "contract clause": 2.0, "compliance review": 2.0, "licence agreement": 2.0, "draft": 0.25,
    },
    "brand": {
        "brand guidelines": 3.0, "brand identity": 2.5, "logo": 1.0, "brand voice": 2.5,
        "update": 0.25,
    },
}  # fmt: skip
"""Role -> phrase -> weight. Whose profession a task is; the coo's is `GOVERNANCE`."""

_CHANGE: Final = dict.fromkeys(
    ("modify", "change", "revise", "rewrite", "upgrade", "redesign", "redefine"), 1.0
)
GOVERNANCE: Final[Lexicon] = {
    "company mechanism": 3.0, "company mechanisms": 3.0, "agent rules": 3.0, "agent rule": 3.0,
    "agent onboarding": 2.0, "onboarding process": 1.0, "onboarding system": 1.0,
    "routing rules": 1.5, "agent routing": 2.0, "routing protocol": 1.5, "dispatch rules": 1.5,
    "redline": 2.5, "redlines": 2.5, "governance rules": 3.0, "governance mechanism": 3.0,
    "governance document": 2.5, "multi agent governance": 3.0, "multi agent specification": 3.0,
    "agent permissions": 2.5, "agents md": 1.5, **_CHANGE,
}  # fmt: skip
NEW_CAPABILITY: Final[Lexicon] = {
    "new capability": 4.0,
    "new mechanism": 4.0,
    "new feature": 4.0,
    "new skill": 4.0,
    "deep research": 2.0,
}
NEW_PRODUCT: Final[Lexicon] = {
    "new product line": 2.0,
    "new product": 2.0,
    "new module": 2.0,
    "new workflow": 1.5,
    "build": 1.0,
    "develop": 1.0,
    "implement": 1.0,
    "create": 0.75,
    "design": 0.75,
    "launch": 0.75,
}
_WEAK: Final = frozenset(
    {"design", "write", "approve", "run", "draft", "update", *_CHANGE, "build", "develop",
     "implement", "create", "launch"}
)  # fmt: skip
"""Words that only add to a sign, and are none themselves."""

_WORD: Final = re.compile(r"[^\W_]+")
_VERBS: Final = frozenset(
    {"create", "make", "write", "run", "do", "use", "add", "update", "modify", "edit", "change",
     "build", "get", "set", "please", "need", "want", "help", "prepare", "produce", "perform"}
)  # fmt: skip
_SMALL: Final = frozenset(
    {"a", "an", "the", "of", "for", "to", "in", "on", "at", "with", "and", "or", "by", "from",
     "into", "our", "my", "your", "its", "their", "this", "that", "new", "is", "are", "be", "as",
     "it", "all"}
)  # fmt: skip


class Scores(msgspec.Struct, frozen=True):
    """`roles` holds only roles with a sign, best first; the rest are 0 where there is none."""

    roles: tuple[tuple[str, float], ...] = ()
    governance: float = 0.0
    new_capability: float = 0.0
    new_product: float = 0.0

    @property
    def best_role(self) -> tuple[str, float] | None:
        return self.roles[0] if self.roles else None


NOTHING: Final = Scores()


def words(text: str, most: int = MAX_TITLE_WORDS) -> list[str]:
    """Words of a text in lower case; hyphens and underscores part them."""
    found = []
    for match in _WORD.finditer(text):
        found.append(match[0].lower())
        if len(found) == most:
            break
    return found


def content_words(text: str) -> frozenset[str]:
    """The words that say what a text is about: no small words, no verbs of doing, no plurals."""
    return frozenset(
        singular(word) for word in words(text) if word not in _SMALL and word not in _VERBS
    )


def singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def coverage(intent: str, of: Iterable[str]) -> float:
    """How well a thing with these words answers an intent: twice the content words that it has,
    times their share of all. Two of two score 4, three of four 4.5, two of three 2.7."""
    wanted = content_words(intent)
    if not wanted:
        return 0.0
    found = len(wanted & {singular(word) for word in of})
    return 2.0 * found * found / len(wanted)


def classify(title: str, body: str = "") -> Scores:
    """The scores of a task's title and whatever else it says."""
    in_title = _phrases(words(title))
    in_body = _phrases(words(body, MAX_BODY_WORDS)) if body else frozenset()
    if not in_title and not in_body:
        return NOTHING
    roles = sorted(
        (
            (name, score)
            for name, lexicon in ROLES.items()
            if (score := _score(lexicon, in_title, in_body))
        ),
        key=lambda pair: (-pair[1], pair[0]),
    )
    return Scores(
        tuple(roles),
        _score(GOVERNANCE, in_title, in_body),
        _score(NEW_CAPABILITY, in_title, in_body),
        _score(NEW_PRODUCT, in_title, in_body),
    )


def _index() -> dict[str, tuple[tuple[str, ...], ...]]:
    """First word -> the phrases that begin with it."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for lexicon in (*ROLES.values(), GOVERNANCE, NEW_CAPABILITY, NEW_PRODUCT):
        for phrase in lexicon:
            parts = tuple(phrase.split())
            found.setdefault(parts[0], set()).add(parts)
    return {first: tuple(sorted(phrases)) for first, phrases in found.items()}


_BY_FIRST: Final = _index()


def _phrases(text: list[str]) -> frozenset[str]:
    """The known phrases in a text."""
    found = []
    for at, word in enumerate(text):
        for parts in _BY_FIRST.get(word, ()):
            if tuple(text[at : at + len(parts)]) == parts:
                found.append(" ".join(parts))
    return frozenset(found)


def _score(lexicon: Lexicon, in_title: frozenset[str], in_body: frozenset[str]) -> float:
    strong = [p for p in in_title if p in lexicon and p not in _WEAK]
    behind = [p for p in in_body - in_title if p in lexicon and p not in _WEAK]
    if not strong and not behind:
        return 0.0
    weak = max((lexicon[p] for p in in_title if p in lexicon and p in _WEAK), default=0.0)
    body = min(BODY_MOST, BODY_WEIGHT * sum(lexicon[p] for p in behind))
    title = sum(lexicon[p] for p in strong)
    return round(title + (weak if strong else 0.0) + body, 3)
