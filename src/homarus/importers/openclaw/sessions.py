"""`sessions.json`: which session each key has, and what was set for it (gateway contract, 12.2)."""

import re
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.conversations import keys, turns
from homarus.conversations.sessions import THINKING
from homarus.importers.openclaw import files
from homarus.importers.openclaw.files import Finding, Unusable

INDEX: Final = "sessions.json"
DATABASE: Final = "openclaw-agent.sqlite"
SUFFIX: Final = ".jsonl"
MAX_SESSIONS: Final = 10_000
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_THREAD: Final = re.compile(r":(thread|topic):")


class Session(msgspec.Struct, frozen=True):
    """`id`: its transcript's name over there; `key` in full, as it is here; `file` below the
    source; tokens and times (Unix ms) as they were counted over there, 0 where not."""

    agent: str
    id: str
    key: str
    kind: str
    file: str
    label: str | None = None
    thinking: str | None = None
    queue_mode: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    context_tokens: int = 0
    started_ms: int = 0
    interaction_ms: int = 0


def read(root: Path, agent: str, folder: str) -> tuple[list[Session], list[Finding]]:
    """An agent's, by key. `agent`: its name here; `folder`: its folder's name."""
    place = f"agents/{folder}/sessions"
    found = _other_stores(root, folder)
    try:
        rows = files.json_object(root, root / place / INDEX)
    except FileNotFoundError:
        rows = {}
    except Unusable as error:
        rows = {}
        found.append(Finding(f"{place}/{INDEX}", str(error), "Its transcripts have no keys."))
    taken: dict[str, Session] = {}
    keys_taken: set[str] = set()
    for key, row in sorted(rows.items())[:MAX_SESSIONS]:
        try:
            session = _session(agent, place, key, row)
            if session.id in taken:
                raise Unusable(f"its session {session.id} is also that of {taken[session.id].key}")
            if session.key in keys_taken:
                raise Unusable(f"another one has the key {session.key} too")
        except Unusable as error:
            found.append(Finding(f"{place}/{INDEX}: {key[:120]}", str(error)))
            continue
        taken[session.id] = session
        keys_taken.add(session.key)
    if len(rows) > MAX_SESSIONS:
        found.append(Finding(f"{place}/{INDEX}", f"only {MAX_SESSIONS} sessions are taken"))
    found += _without_key(root, place, {session.file for session in taken.values()})
    return list(taken.values()), found


def _other_stores(root: Path, folder: str) -> list[Finding]:
    path = f"agents/{folder}/agent/{DATABASE}"
    if not files.is_folder((root / path).parent) or not (root / path).exists():
        return []
    return [Finding(path, "sessions of this newer generation lie in a database, which is not read",
                    "Only what still lies in sessions.json and *.jsonl is taken.")]  # fmt: skip


def _without_key(root: Path, place: str, known: set[str]) -> list[Finding]:
    names = [name for name in files.names(root / place) if SUFFIX in name]
    over = [name for name in names if not name.endswith(SUFFIX)]
    lost = [name for name in names if name.endswith(SUFFIX) and f"{place}/{name}" not in known]
    found = []
    if over:
        found.append(Finding(f"{place}/*{SUFFIX}.*", f"{len(over)} transcripts of ended sessions",
                             "Keep the directory; they are not taken."))  # fmt: skip
    if lost:
        shown = ", ".join(lost[:3]) + (", …" if len(lost) > 3 else "")
        found.append(Finding(f"{place}/*{SUFFIX}", f"no key names {len(lost)} of them: {shown}"))
    return found


def _session(agent: str, place: str, key: str, row: Any) -> Session:
    """Raises Unusable."""
    if not isinstance(row, dict):
        raise Unusable("the entry is no object")
    id = row.get("sessionId")
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise Unusable("the entry has no usable sessionId")
    named = row.get("sessionFile")
    # Often an absolute path of the machine it was written on: only its name counts.
    name = f"{id}{SUFFIX}"
    if isinstance(named, str) and named:
        name = PurePosixPath(named.replace("\\", "/")).name
    id = name.removesuffix(SUFFIX)  # a topic's has one of its own
    if not _ID.fullmatch(id):
        raise Unusable("the entry has no usable sessionFile")
    try:
        full = keys.resolve(key, agent)
    except Invalid as error:
        raise Unusable(error.message) from None
    return Session(
        agent=agent, id=id, key=full, kind=_kind(full, row.get("chatType")),
        file=f"{place}/{name}", label=_label(row), thinking=_one_of(row, "thinkingLevel", THINKING),
        queue_mode=_one_of(row, "queueMode", turns.MODES), input_tokens=_count(row, "inputTokens"),
        output_tokens=_count(row, "outputTokens"), context_tokens=_count(row, "totalTokens"),
        started_ms=_count(row, "sessionStartedAt") or _count(row, "createdAt"),
        interaction_ms=_count(row, "lastInteractionAt") or _count(row, "updatedAt"),
    )  # fmt: skip


def _kind(key: str, chat: Any) -> str:
    if _THREAD.search(key):
        return "thread"
    return "group" if chat in ("group", "room", "channel") else "direct"


def _label(row: dict[str, Any]) -> str | None:
    for name in ("label", "displayName", "subject"):
        if isinstance(value := row.get(name), str) and value.strip():
            return value.strip()
    return None


def _one_of(row: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str | None:
    value = row.get(name)
    return value if value in allowed else None


def _count(row: dict[str, Any], name: str) -> int:
    value = row.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    return int(value) if 0 <= value < 10**15 else 0
