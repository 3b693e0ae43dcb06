"""Paths of documents in a company's main space, and which of them are governed (redline R4).

A path is below `company/<slug>/`, with `/`, of plain segments: no look-alike of another path can be
written. What governs a company is governed wherever a row says so, and always at the places below.
"""

import re
from typing import Final

from homarus.base.errors import Invalid

GOVERNED: Final = "governed"
PLAIN: Final = "plain"

MAX_PATH: Final = 200
MAX_SEGMENTS: Final = 5

AGENTS_FILE: Final = "AGENTS.md"
CAPABILITIES_FILE: Final = "capabilities.yaml"
PIPELINES_FOLDER: Final = "pipelines"
VIEWS: Final = ("ACTIVE_ROSTER.md", "INDEX.json")
"""Generated files of the main space: nobody writes them but the daemon."""

KIND_OF_FOLDER: Final = {
    "wiki": "wiki",
    "sop": "sop",
    "rules": "rule",
    "cards": "card",
    PIPELINES_FOLDER: "rule",
}
"""What lies below these folders is governed."""
KIND_OF_FILE: Final = {AGENTS_FILE.casefold(): "agents", CAPABILITIES_FILE.casefold(): "rule"}

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._ -]{0,98}[A-Za-z0-9_-])?")


def is_path(path: str) -> bool:
    """Whether it is the one way to write a document's path."""
    segments = path.split("/")
    return (
        len(path) <= MAX_PATH
        and len(segments) <= MAX_SEGMENTS
        and all(_SEGMENT.fullmatch(segment) for segment in segments)
    )


def check_path(path: str) -> str:
    """The path itself. Raises `document.path`, `document.view`."""
    if not is_path(path):
        raise Invalid(
            "document.path",
            f"{path[:MAX_PATH]!r} cannot be a document's path",
            f"Give up to {MAX_SEGMENTS} names of A-Z, a-z, 0-9, `. _ -` with / between them, such "
            "as `rules/house.md`; no `..`, no name that begins with a dot.",
        )
    if path.casefold() in {view.casefold() for view in VIEWS}:
        raise Invalid(
            "document.view",
            f"{path} is generated from the company's records",
            "Change what it shows: agents, projects, documents.",
        )
    return path


def kind_of(path: str) -> str | None:
    """What a governed place holds: `rule`, `sop`, `wiki`, `card`, `agents`; None: no such place."""
    folded = path.casefold()
    first, slash, _ = folded.partition("/")
    return KIND_OF_FOLDER.get(first) if slash else KIND_OF_FILE.get(folded)


def class_of(path: str) -> str:
    """The class of a document that has no row yet."""
    return PLAIN if kind_of(path) is None else GOVERNED
