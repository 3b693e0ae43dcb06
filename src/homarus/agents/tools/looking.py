"""Searching text in a workspace: bounded in time, size and hits, and linear in the text.

A pattern is matched by a finite automaton (the Rust `regex` syntax, through the JSON Schema
validator that the core has, docs/adr/0011): no pattern makes it backtrack, and one that would
become too large is refused. A literal needs no pattern at all.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.agents.tools.space import Content, Space
from homarus.base.errors import HomarusError, Invalid
from homarus.kernel import preflights

MAX_PATTERN: Final = 500
MAX_HITS: Final = 200
MAX_FILE_BYTES: Final = 1_048_576
MAX_BYTES: Final = 64 * 1_048_576
MAX_LINE: Final = 300
"""Characters of a line that are shown."""
MAX_MATCHED: Final = 100_000
"""Characters of a line that are looked at."""
MAX_S: Final = 5.0
PATTERN_BYTES: Final = 1_048_576
"""What a pattern may become."""

Matches = Callable[[str], bool]


class Hit(msgspec.Struct, frozen=True):
    """`line` counts from 1."""

    path: str
    line: int
    text: str


class Hits(msgspec.Struct, frozen=True):
    """`ended`: why it is not all: hits, bytes, time; None: it is."""

    hits: tuple[Hit, ...]
    files: int
    ended: str | None = None


def matcher(text: str, *, regex: bool, any_case: bool) -> Matches:
    """Raises `search.pattern`."""
    if not 0 < len(text) <= MAX_PATTERN:
        raise Invalid("search.pattern", "unusable pattern", f"1 to {MAX_PATTERN} characters.")
    if regex:
        return _compiled(f"(?i){text}" if any_case else text)
    if any_case:
        wanted = text.casefold()
        return lambda line: wanted in line.casefold()
    return lambda line: text in line


def _compiled(pattern: str) -> Matches:
    import jsonschema_rs

    options = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=PATTERN_BYTES)
    schema: dict[str, Any] = {"pattern": pattern}
    try:
        validator = jsonschema_rs.Draft202012Validator(
            schema, offline=True, pattern_options=options
        )
    except (jsonschema_rs.ValidationError, ValueError) as error:
        said = str(getattr(error, "message", error)).splitlines()[0][:200]
        raise Invalid(
            "search.pattern",
            f"the pattern cannot be used: {said}",
            "Look-around and back-references are not offered; or search literally (regex: false).",
        ) from None
    matches: Matches = validator.is_valid
    return matches


def search(
    space: Space, path: str, matches: Matches, glob: str | None, max_s: float = MAX_S
) -> Hits:
    """Lines of text files that match, in the order of their paths. Blocks: call it in a thread."""
    end = time.monotonic() + max_s
    hits: list[Hit] = []
    files = seen_bytes = 0
    for entry in space.files(path):
        if time.monotonic() > end:
            return Hits(tuple(hits), files, "time")
        if glob is not None and not _fits(glob, entry.path):
            continue
        try:
            found = space.read(entry.path, MAX_FILE_BYTES)
        except HomarusError:
            continue
        files += 1
        seen_bytes += len(found.data)
        ended = _in_file(found, matches, hits, end)
        if ended is None and seen_bytes > MAX_BYTES:
            ended = "bytes"
        if ended is not None:
            return Hits(tuple(hits), files, ended)
    return Hits(tuple(hits), files)


def _fits(glob: str, path: str) -> bool:
    """`*.md` names files anywhere, `notes/*.md` and `notes/**` by their whole path. Linear."""
    whole = path if "/" in glob else path.rpartition("/")[2]
    return preflights.matches(glob, whole, "/")


def _in_file(found: Content, matches: Matches, hits: list[Hit], end: float) -> str | None:
    if b"\0" in found.data[:4_096]:
        return None
    text = found.data.decode("utf-8", "replace")
    for n, line in enumerate(text.split("\n"), 1):
        if matches(line[:MAX_MATCHED]):
            if len(hits) == MAX_HITS:
                return "hits"
            hits.append(Hit(found.path, n, line.strip()[:MAX_LINE]))
        if n % 256 == 0 and time.monotonic() > end:
            return "time"
    return None
