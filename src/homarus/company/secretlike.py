"""Does a text that everybody reads look as if it held a secret? Pure, and knowingly approximate.

It catches what people paste into the wrong field. What it takes wrongly for a secret, its writer
may mark as meant (`allowSecretLike`).
"""

import re
from typing import Final

import msgspec

from homarus.base.errors import Invalid

MAX_LOOKS: Final = 500
"""Places that are looked at for one pattern: it helps the careless, it does not stop the sly."""
_BEFORE: Final = 24
_AFTER: Final = 400

_NAMES: Final = ("passw", "passphrase", "pwd", "secret", "key", "token")
PATTERNS: Final = (
    ("a private key", ("-----begin",), r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"),
    ("a Homarus access token", ("ec_", "ea_", "ho_", "hs_"), r"\b(?:ec|ea|ho|hs)_[0-9a-f]{48}\b"),
    (
        "a GitHub token",
        ("gho_", "ghp_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})",
    ),
    ("a GitLab token", ("glpat-",), r"\bglpat-[\w-]{20,}"),
    ("a Slack token", ("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("an AWS access key", ("akia", "asia"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("a Google API key", ("aiza",), r"\bAIza[\w-]{35}"),
    ("a Stripe key", ("k_live_", "k_test_"), r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("an API key (`sk-…`)", ("sk-",), r"\bsk-(?=[\w-]{0,200}\d)[\w-]{16,}"),
    ("a signed token (JWT)", ("eyj",), r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    (
        "credentials in an address",
        ("://",),
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:([^\s/:@]{4,200})@",
    ),
    (
        "a password or key",
        _NAMES,
        r"(?i)(?<![a-z0-9])(?:password|passwd|passphrase|pwd|secret|api[_-]?key|access[_-]?key|"
        r"client[_-]?secret|auth[_-]?token|access[_-]?token|private[_-]?key)"
        r"[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?([^\s\"',;]{4,200})",
    ),
)
"""What it looks like; words (in lower case) of which one is in it; how it looks. Where a pattern
has a group, the group is the value. The words keep half a megabyte of text within milliseconds."""

_COMPILED: Final = tuple((what, words, re.compile(how)) for what, words, how in PATTERNS)

_PLACEHOLDER: Final = re.compile(
    r"(?i)[<\[({$%*].*|\*+|x{3,}|\.{3,}|…+|secret://.*|env[:.].*|see\b.*|none|null|true|false|"
    r"string|required|optional|redacted|changeme|your[_-].*|example.*"
)


class Found(msgspec.Struct, frozen=True):
    """`what` it looks like, and where: `at`, counted in characters from 1."""

    what: str
    at: int


def look(text: str) -> Found | None:
    """The first kind of secret that a text seems to hold. Never says what it is itself."""
    low = text.lower()
    for what, words, pattern in _COMPILED:
        for word in words:
            found = _around(text, low, word, pattern)
            if found is not None:
                return Found(what, found)
    return None


def _around(text: str, low: str, word: str, pattern: re.Pattern[str]) -> int | None:
    """Where the pattern is, near one of the places of `word`."""
    place = low.find(word)
    for _ in range(MAX_LOOKS):
        if place < 0:
            return None
        match = pattern.search(text, max(0, place - _BEFORE), place + _AFTER)
        if match is not None and not (pattern.groups and _PLACEHOLDER.fullmatch(match[1])):
            return match.start() + 1
        place = low.find(word, place + len(word))
    return None


def refuse(fields: dict[str, str | None], right: str) -> None:
    """Raises `resource.secret_like` when one of these open fields looks like a secret.

    `fields`: their names on the wire; `right`: the field where secrets belong.
    """
    for field, text in fields.items():
        found = look(text) if text else None
        if found is not None:
            raise Invalid(
                "resource.secret_like",
                f"`{field}` looks as if it held {found.what} (at character {found.at}); "
                "everybody in the company reads that field",
                f"Put it into `{right}`, which is kept sealed and given out by a lease only. "
                "If it is none, send `allowSecretLike: true`.",
                field=field,
                use=right,
            )
