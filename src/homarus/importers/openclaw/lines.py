"""Transcripts, line by line, in the form that ours have (gateway contract, 12.3).

    outline(...)   one pass: how many lines, which of them the model's context has
    lines(...)     a second pass: the lines themselves

A transcript is a tree there and a list here: each line becomes an entry at its place, and those
that lie beside the way from the newest line to the root are hidden from models. What cannot be
read, or has an unknown form, is kept as an entry of kind `custom`. No more than one line is in
memory.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.conversations import transcript, wellformed
from homarus.conversations.transcript import COMPACTION, CUSTOM, MESSAGE
from homarus.flows.importing import MAX_ENTRIES
from homarus.importers.openclaw import files
from homarus.importers.openclaw.files import Unusable

VERSIONS: Final = range(1, 5)
MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of a line that is looked at."""
MAX_SENT: Final = 300_000
"""Bytes of an entry; the rest of a longer line is left out and its entry says so."""
MAX_DEPTH: Final = 20
SHOWN: Final = 1_000
"""Lines that a model is shown at most when it goes on: the newest ones."""
KEPT_TEXT: Final = 2_000
IN_CONTEXT: Final = ("custom_message", "branch_summary")
"""Kinds that were shown to models over there, and are only kept here."""
KEPT: Final = "kept, but not shown to models"
_BLANKED: Final = "[redacted]"


class Outline(msgspec.Struct, frozen=True):
    """`seqs`: of the last line with each id; `hidden`: places of lines beside the way;
    `first_kept`: where the model's context begins; `notes`: how many lines
    of what could not be taken as is."""

    lines: int
    seqs: dict[str, int]
    hidden: frozenset[int]
    first_kept: int
    compactions: int
    notes: dict[str, int]
    started_ms: int


class Line(msgspec.Struct, frozen=True):
    """An entry, as it is sent. `at` in Unix ms."""

    kind: str
    body: dict[str, Any]
    at: int
    hidden: bool


class _Read(msgspec.Struct, frozen=True):
    """A line as it was read. `note`: why it is not taken as it is; "" otherwise."""

    value: dict[str, Any]
    size: int
    note: str = ""


def outline(root: Path, path: Path) -> Outline:
    """Raises Unusable."""
    rows: list[tuple[str | None, str | None]] = []
    seqs: dict[str, int] = {}
    notes: dict[str, int] = {}
    kept: list[tuple[int, str | None]] = []
    users: list[int] = []
    started = 0
    for read in _read(root, path):
        if read.value.get("type") == "session" and not read.note:
            started = started or _header(read.value)
            continue
        if len(rows) == MAX_ENTRIES:
            notes[f"beyond {MAX_ENTRIES} lines"] = notes.get(f"beyond {MAX_ENTRIES} lines", 0) + 1
            continue
        seq, id, parent = len(rows) + 1, _id(read.value, "id"), _id(read.value, "parentId")
        rows.append((id, parent))
        if id is not None:
            seqs[id] = seq
        kind, note = read.value.get("type"), read.note or _note(read)
        if note:
            notes[note] = notes.get(note, 0) + 1
        elif kind == COMPACTION:
            kept.append((seq, _id(read.value, "firstKeptEntryId")))
        elif kind == MESSAGE and read.value["message"]["role"] == "user":
            users.append(seq)
    way = _way(rows, seqs)
    hidden = frozenset(range(1, len(rows) + 1)) - way
    kept = [(seq, first) for seq, first in kept if seq in way]
    first = seqs.get(kept[-1][1] or "", kept[-1][0]) if kept else 1
    least = len(rows) + 1 - SHOWN
    if first < least:
        first = next((seq for seq in users if seq >= least), len(rows) + 1)
        notes["older than what a model is shown"] = first - 1
    return Outline(len(rows), seqs, hidden, first, len(kept), notes, started)


def lines(
    root: Path, path: Path, seen: Outline, session: str, *, secrets: frozenset[str], own: bool,
) -> Iterator[Line]:  # fmt: skip
    """The entries from 1 on, as many as the outline has. `session`: its id here; `secrets`: values
    that are blanked; `own`: what people say in it are its owner's words."""
    at, seq, before = seen.started_ms, 0, None
    blank = _blanker(secrets)
    for read in _read(root, path):
        if read.value.get("type") == "session" and not read.note:
            continue
        if seq == seen.lines:
            return
        seq += 1
        at = _ms(read.value.get("timestamp")) or at
        kind, body = _taken(read, seen, session, own)
        id, parent = _id(read.value, "id"), _id(read.value, "parentId")
        body |= {"importedId": id} if id is not None else {}
        body |= {"importedParentId": parent} if parent != before and parent is not None else {}
        before = id
        yield Line(kind, blank(body), at, seq in seen.hidden)


# -- reading ---------------------------------------------------------------------------------


def _read(root: Path, path: Path) -> Iterator[_Read]:
    """Every line that is not blank. Raises Unusable."""
    if not files.is_there(path):
        raise Unusable("its transcript is missing")
    files.check_plain(root, path)
    decode = msgspec.json.Decoder().decode
    try:
        with path.open("rb") as file:
            while raw := file.readline(MAX_LINE + 1):
                size = len(raw)
                if size > MAX_LINE and not raw.endswith(b"\n"):
                    while (more := file.readline(MAX_LINE)) and not more.endswith(b"\n"):
                        size += len(more)
                    yield _Read({}, size + len(more), "too long")
                    continue
                if not raw.strip():
                    continue
                torn = "torn" if not raw.endswith(b"\n") else "unreadable"
                try:
                    value = decode(raw)
                except (msgspec.DecodeError, RecursionError, ValueError):
                    value = None
                if isinstance(value, dict):
                    yield _Read(value, size)
                else:
                    text = raw[:KEPT_TEXT].decode("utf-8", "replace")
                    yield _Read({"text": text}, size, torn)
    except OSError as error:
        raise Unusable(files.why_not(error)) from error


def _header(value: dict[str, Any]) -> int:
    version = value.get("version", 1)
    if version not in VERSIONS:
        raise Unusable(f"its version {str(version)[:20]} is unknown")
    return _ms(value.get("timestamp"))


def _id(value: dict[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) and 0 < len(found) <= 128 else None


def _ms(text: Any) -> int:
    if not isinstance(text, str) or len(text) > 40:
        return 0
    try:
        at = datetime.fromisoformat(text)
        return max(0, int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000))
    except (ValueError, OverflowError):
        return 0


def _way(rows: list[tuple[str | None, str | None]], seqs: dict[str, int]) -> set[int]:
    """Places from the newest line to the root. A line without a parent that is there follows the
    one before it, unless it is a root; lines without id are on the way where their neighbours
    are."""
    way: set[int] = set()
    seq = len(rows)
    while seq > 0 and seq not in way:
        way.add(seq)
        id, parent = rows[seq - 1]
        above = seqs.get(parent or "", 0)
        # A parent stands before its child; whatever else is written there leads nowhere.
        if 0 < above < seq:
            seq = above
        elif id is not None and parent is None:
            return way
        else:
            seq -= 1
    return way


# -- the form that ours have -----------------------------------------------------------------


def _note(read: _Read) -> str:
    """Why a line cannot be taken as it is; "": it can."""
    value = read.value
    kind, body = value.get("type"), _body(value)
    if kind == MESSAGE:
        body = {"message": _message(value.get("message"), own=True)}
    if not isinstance(kind, str) or not wellformed.is_line(kind, body):
        return "of an unknown form"
    if _deep(body, 0):
        return "nested too deep"
    if read.size > MAX_SENT and len(msgspec.json.encode(_without_images(body))) > MAX_SENT:
        return "too long"
    return KEPT if kind in IN_CONTEXT else ""


def _taken(read: _Read, seen: Outline, session: str, own: bool) -> tuple[str, dict[str, Any]]:
    value, note = read.value, read.note or _note(read)
    if note not in ("", KEPT):
        text = msgspec.json.encode(value).decode()
        kept = value if len(text) <= MAX_SENT and not _deep(value, 0) else text[:KEPT_TEXT]
        return CUSTOM, {"customType": "import-note",
                        "data": {"why": note, "bytes": read.size, "line": kept}}  # fmt: skip
    kind, body = str(value["type"]), _body(value)
    if kind == MESSAGE:
        body["message"] = _message(value["message"], own=own)
    elif kind == COMPACTION:
        first = seen.seqs.get(body.get("firstKeptEntryId") or "")
        kept_id = None if first is None else transcript.taken_over_id(session, first)
        body["firstKeptEntryId"] = kept_id
    return kind, _without_images(body) if read.size > MAX_SENT else body


def _body(value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in wellformed.OUTER}


def _message(message: Any, *, own: bool) -> Any:
    """As ours are: an answer's content is a list, thoughts are unsigned (a signature counts only
    with the account that it was made for), and others' words name their source."""
    if not isinstance(message, dict):
        return message
    content, role = message.get("content"), message.get("role")
    if role == "user" and not own:
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if isinstance(parts, list):
            content = [
                p | {"source": "somebody, before this was imported"}
                if isinstance(p, dict) and p.get("type") == "text" else p
                for p in parts
            ]  # fmt: skip
    if role in ("assistant", "toolResult") and isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if role == "assistant" and isinstance(content, list):
        content = [_unsigned(part) for part in content]
    more = {"isError": bool(message.get("isError"))} if role == "toolResult" else {}
    return message | {"content": content} | more


def _unsigned(part: Any) -> Any:
    if not isinstance(part, dict) or part.get("type") != "thinking":
        return part
    return {name: value for name, value in part.items() if name != "thinkingSignature"}


def _deep(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > MAX_DEPTH or any(_deep(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return depth > MAX_DEPTH or any(_deep(item, depth + 1) for item in value)
    return False


def _without_images(body: dict[str, Any]) -> dict[str, Any]:
    message = body.get("message")
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return body
    parts = [
        {"type": "text", "text": f"[an image of {len(str(part.get('data')))} characters, left out]"}
        if isinstance(part, dict) and part.get("type") == "image" else part
        for part in message["content"]
    ]  # fmt: skip
    return body | {"message": message | {"content": parts}}


def _blanker(secrets: frozenset[str]) -> Any:
    """Makes copies without those values, and without NUL, which no store keeps."""
    words = sorted(secrets, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, words))) if words else None

    def blank(value: Any) -> Any:
        match value:
            case str():
                text = value.replace("\x00", "\ufffd") if "\x00" in value else value
                return pattern.sub(_BLANKED, text) if pattern else text
            case dict():
                return {blank(name): blank(item) for name, item in value.items()}
            case list():
                return [blank(item) for item in value]
            case _:
                return value

    return blank
