"""Names of notes that every system, Obsidian's links and its sync accept (mirrors contract, 6.2).

A note is called by its number and the words of its first title, `T-0192 Fix the door`. The number
makes it unique; the words never change afterwards, because an outside rename fixes no links.
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Final

MAX_BYTES: Final = 80
"""Of a name without `.md`, in UTF-8: with what a first conflict copy adds it is MOST_BYTES long."""
MOST_BYTES: Final = 119
"""Of any name, `.md` included."""
DIGITS: Final = 4
SUFFIX: Final = ".md"

_FORBIDDEN: Final = re.compile(r'[#^|:%\[\]<>"/\\?*\x00-\x1f\x7f]')
_BLANK: Final = re.compile(r"\s+")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.I)
_HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))

_OURS: Final = re.compile(r".* \(homarus conflict \d{8}T\d{6}Z(-\d+)?\)\.md", re.I | re.S)
_OTHERS: Final = (
    re.compile(r".*\(conflicted copy .*\)\.md", re.I | re.S),  # Obsidian Sync, Nextcloud
    re.compile(r".*'s conflicted copy .*\)\.md", re.I | re.S),  # Dropbox
    re.compile(r".*\.sync-conflict-\d{8}-\d{6}-[0-9a-z]+\.md", re.I | re.S),  # Syncthing
)


def file_stem(number: str, title: str) -> str:
    """`T-192`, `Fix: the door` -> `T-0192 Fix the door`."""
    prefix, dash, digits = number.partition("-")
    head = f"{prefix}-{digits.zfill(DIGITS)}" if dash and digits.isdigit() else slug(number, 40)
    words = slug(title, MAX_BYTES - len(head.encode()) - 1)
    return f"{head} {words}" if words else head


def slug(text: str, most_bytes: int) -> str:
    """The words of a title that may stand in a name; empty when none may."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(" " if unicodedata.category(c) in _HIDDEN else c for c in text)
    text = _BLANK.sub(" ", _FORBIDDEN.sub(" ", text)).strip(" .")
    return text.encode()[:most_bytes].decode("utf-8", "ignore").strip(" .")


def is_legal(name: str) -> bool:
    """Whether a file of this name lives on any system and can be linked to."""
    return (
        0 < len(name.encode("utf-8", "replace")) <= MOST_BYTES
        and not _FORBIDDEN.search(name)
        and name[0] not in ". "
        and name[-1] not in ". "
        and not _RESERVED.fullmatch(name)
        and unicodedata.normalize("NFC", name) == name
    )


def folded(name: str) -> str:
    """What two names have in common where a system holds them for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def conflict_stem(stem: str, at_ms: int, nth: int = 0) -> str:
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    more = f"-{nth}" if nth else ""
    tail = f" (homarus conflict {at:%Y%m%dT%H%M%SZ}{more})"
    return _cut(stem, MOST_BYTES - len(tail) - len(SUFFIX)) + tail


def _cut(stem: str, most_bytes: int) -> str:
    """A note that a person renamed may have a longer name than ours have."""
    return stem.encode()[:most_bytes].decode("utf-8", "ignore").rstrip(" .")


def is_ours(name: str) -> bool:
    """A conflict copy that this adapter made."""
    return _OURS.fullmatch(name) is not None


def is_others(name: str) -> bool:
    """A conflict copy that a sync service made: no note of anybody's, and reported."""
    return any(pattern.fullmatch(name) for pattern in _OTHERS)


def link(stem: str, title: str) -> str:
    """`[[T-0192 Fix the door|Fix the door]]`."""
    shown = _BLANK.sub(" ", re.sub(r"[\[\]|]", " ", title)).strip()
    return f"[[{stem}|{shown}]]" if shown else f"[[{stem}]]"
