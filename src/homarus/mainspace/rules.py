"""What to do about one file of a main space. Pure."""

from enum import StrEnum
from typing import Final

import msgspec

ABSENT: Final = ""
"""Stands for the digest of a file that is not there."""
ODD: Final = "odd"
"""Stands for the digest of what is no readable text: a link, a folder, too large, no UTF-8."""


class Do(StrEnum):
    """`keep`: as it shall be. `write`: an older view of ours, or none yet. `foreign`: somebody
    else's doing, to be kept as a change before the view is written again."""

    KEEP = "keep"
    WRITE = "write"
    FOREIGN = "foreign"


class Written(msgspec.Struct, frozen=True):
    """What the daemon last put at a path: the document's version `n`, and its digest."""

    n: int
    sha256: str


def decide(wanted: Written, written: Written | None, seen: str, newer: frozenset[str]) -> Do:
    """`wanted`: the approved version; `seen`: digest of what lies there; `newer`: digests of kept
    versions that came after `written` (a crash may have left any of them).

    A file that equals an older version is foreign when we had already written a newer one.
    """
    if seen == wanted.sha256:
        return Do.KEEP
    if seen in newer and seen != ODD:
        return Do.WRITE
    if written is None:
        return Do.WRITE if seen == ABSENT else Do.FOREIGN
    if written.n < wanted.n and seen == written.sha256:
        return Do.WRITE
    return Do.FOREIGN
