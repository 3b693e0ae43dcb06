"""Suspicious secrets: keys of known form, and values of high entropy where a secret is named.

A value is never written out: at most its first four characters and its length.
"""

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import Result, count, main, show
from homarus.demo.jobs._walk import Walk, lines_of

LINE_CHARS_MAX = 4096
"""Only the beginning of a longer line is looked at."""
SHOWN_CHARS = 4
SHOWN_FROM_CHARS = 16
"""A shorter value is not shown at all."""
ENTROPY_BITS_MIN = 3.5
"""Bits per character from which a named value looks random; English text has about 2 to 3."""

KNOWN = tuple(
    (rule, re.compile(pattern))
    for rule, pattern in (
        ("private key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
        ("AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
        ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("Slack token", r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
        ("Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
        ("Stripe key", r"\b[rs]k_live_[0-9a-zA-Z]{16,}"),
        ("AI provider key", r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"),
        ("JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
        ("password in a URL", r"\b[a-z][a-z0-9+.-]{1,15}://[^\s:/@]{1,64}:([^\s:/@]{3,64})@"),
    )
)
_NAME = r"[a-z0-9_.-]{0,32}(?:secret|passw(?:or)?d|token|api_?-?key|private_?-?key)[a-z0-9_]{0,32}"
_QUOTED = re.compile(
    rf"""(?i){_NAME}["']?\s{{0,8}}(?::=|=>|=|:)\s{{0,8}}(?:"([^"\s]{{8,256}})"|'([^'\s]{{8,256}})')"""
)
_SETTING = re.compile(
    rf"(?i)\s{{0,64}}(?:export\s+)?{_NAME}\s{{0,8}}[:=]\s{{0,8}}([a-z0-9+/=_-]{{16,256}})\s*"
)
"""A line of a settings file. Without quotes a value must hold a digit, else it is code."""
_PLACEHOLDER = re.compile(
    r"(?i)example|placeholder|change.?me|your[_-]|dummy|redacted|^[x*.]+$|\$\{|\{\{|<|%\(|^\$"
)


def work(root: Path) -> Result:
    walk = Walk(root)
    rows: list[dict[str, Any]] = []
    for file in walk:
        text = walk.text(file)
        for number, line in enumerate(lines_of(text or ""), 1):
            for rule, value in suspicious(line[:LINE_CHARS_MAX]):
                rows.append(
                    {"path": show(file.path), "line": number, "rule": rule, "value": masked(value)}
                    | {"entropy_bits": round(entropy_bits(value), 2)}
                )
    rules = Counter(row["rule"] for row in rows)
    files = len({row["path"] for row in rows})
    summary = "nothing suspicious"
    if rows:
        each = ", ".join(f"{name} ({number})" for name, number in sorted(rules.items()))
        summary = f"{count(len(rows), 'suspicious value')} in {count(files, 'file')}: {each}"
    return Result(
        summary,
        sorted(rows, key=lambda row: (row["path"], row["line"], row["rule"], row["value"])),
        {"values": len(rows), "files": files},
        walk.skipped,
    )


def suspicious(line: str) -> list[tuple[str, str]]:
    """(rule, value) of each suspicious value; a value found by its form is not named again."""
    found = [
        (rule, match[match.lastindex or 0])
        for rule, pattern in KNOWN
        for match in pattern.finditer(line)
        if rule == "private key" or not _PLACEHOLDER.search(match[match.lastindex or 0])
    ]
    named = [match[1] or match[2] for match in _QUOTED.finditer(line)]
    if (setting := _SETTING.fullmatch(line)) and any(at.isdigit() for at in setting[1]):
        named.append(setting[1])
    for value in named:
        known = any(value in other or other in value for _, other in found)
        if not known and not _PLACEHOLDER.search(value) and entropy_bits(value) >= ENTROPY_BITS_MIN:
            found.append(("named value of high entropy", value))
    return found


def entropy_bits(value: str) -> float:
    """Shannon's entropy per character."""
    length = len(value)
    shares = [number / length for number in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)


def masked(value: str) -> str:
    shown = value[:SHOWN_CHARS] if len(value) >= SHOWN_FROM_CHARS else ""
    return f"{shown}… ({count(len(value), 'character')})"


if __name__ == "__main__":
    raise SystemExit(main("secrets", work))
