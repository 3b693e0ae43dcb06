"""Target patterns: which targets a capability may be called on (governance contract, 6).

A pattern is URI-like: a literal scheme, `:`, and a rest in which `*` stands for anything within one
segment, `?` for one character of it, and `**`, at the end only, for all that follows. Segments end
at `/`. Matching takes time linear in the target.

    workspace:notes/*.md    https://api.example.com/v1/**    mirror:lark_base/tasks
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from homarus.base.errors import Invalid

MIRROR: Final = "mirror:"
MAX_TARGET: Final = 500
MAX_PATTERN: Final = 300
MAX_STARS: Final = 8
MAX_KEPT: Final = 4_096

_PATTERN: Final = re.compile(r"[a-z][a-z0-9+.-]{0,40}:[^\s\x00-\x1f\x7f\\]+")
_TARGET: Final = re.compile(r"[a-z][a-z0-9+.-]{0,40}:[^\s\x00-\x1f\x7f\\]*")
_CLIMBS: Final = re.compile(r"(?:^|[/:])\.\.(?:/|$)|%2e|%2f|%5c|%00", re.IGNORECASE)
WORKSPACE: Final = "workspace:"
"""The caller's own workspace: all of it may be named by one pattern."""


def fault(pattern: str, *, reads: bool) -> str | None:
    """What is wrong with a pattern, to stand after its text; None: nothing.

    Above effect read a pattern must say what it means: one that would match everything, or
    everything of a scheme but the caller's own workspace, is refused.
    """
    if len(pattern) > MAX_PATTERN or not _PATTERN.fullmatch(pattern):
        return f"is no pattern (a scheme, `:`, and up to {MAX_PATTERN} characters without spaces)"
    if "**" in pattern.removesuffix("**") or pattern.count("*") > MAX_STARS:
        return f"has `**` before its end, or more than {MAX_STARS} stars"
    if _CLIMBS.search(pattern):
        return "climbs out with `..` or an encoded character"
    scheme, _, rest = pattern.partition(":")
    if reads or f"{scheme}:" == WORKSPACE:
        return None
    if not re.sub(r"[^\w]", "", rest):
        return f"matches every target of {scheme}"
    if scheme in ("http", "https") and not re.match(r"//[^/*?]+(/|$)", rest):
        return "leaves the host open"
    return None


def check_target(target: str) -> str:
    """A target as a caller gives it. Raises `call.target`."""
    if len(target) > MAX_TARGET or not _TARGET.fullmatch(target) or _CLIMBS.search(target):
        raise Invalid(
            "call.target",
            f"{target[:100]!r} cannot be a target",
            f"Give a scheme and a path, such as `workspace:notes/a.md`: no spaces, no `..`, "
            f"at most {MAX_TARGET} characters.",
        )
    return target


@lru_cache(maxsize=MAX_KEPT)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Each star takes as little as lets its next literal follow, once and for all (an atomic
    group): no star crosses a `/`, so no longer take could help, and nothing is tried twice."""
    rest = pattern.endswith("**")
    head, *tails = (pattern[:-2] if rest else pattern).split("*")
    text = _literal(head)
    for i, tail in enumerate(tails):
        last = i == len(tails) - 1 and not rest
        text += f"[^/]*{_literal(tail)}" if last else f"(?>[^/]*?{_literal(tail)})"
    return re.compile(text + (".*" if rest else ""))


def _literal(text: str) -> str:
    return "[^/]".join(re.escape(part) for part in text.split("?"))


def matches(patterns: Iterable[str], target: str) -> bool:
    """Whether one of the patterns covers the whole target. A target that climbs matches none."""
    if _CLIMBS.search(target):
        return False
    return any(_compiled(pattern).fullmatch(target) for pattern in patterns)


def mirror_of(target: str) -> str | None:
    """`lark_base` of `mirror:lark_base/tasks`; None: the target is no mirror's."""
    if not target.startswith(MIRROR):
        return None
    return target.removeprefix(MIRROR).partition("/")[0]
