"""The valid names nearest to one that is not, for errors that tell the fix."""

import difflib
from collections.abc import Iterable
from typing import Final

MAX_NEAREST: Final = 3
MAX_COMPARED: Final = 300
MAX_NAME: Final = 100
CUTOFF: Final = 0.5


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three of `known`, best first; of very many names the first 300 are compared."""
    names = [each for each, _ in zip(known, range(MAX_COMPARED), strict=False)]
    return difflib.get_close_matches(name[:MAX_NAME], names, n=MAX_NEAREST, cutoff=CUTOFF)


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """`Did you mean a or b?`, or `otherwise` where nothing is near."""
    near = nearest(name, known)
    return f"Did you mean {' or '.join(near)}?" if near else otherwise
