"""Taking over a session from another system, piece by piece (`homarus import`).

    taken over, unfinished      ended, so that nobody speaks into the middle of it
    finished                    live under its key, or ended for good where the key is in use here

Its id follows from the agent and its id over there, and the place of each line is its place over
there: whoever sends the same piece again, changes nothing.
"""

import hashlib
from typing import Final

import msgspec

from homarus.base.errors import Conflict, Invalid
from homarus.base.ids import derived_id
from homarus.company import agents
from homarus.conversations import keys, sessions, transcript, turns, wellformed
from homarus.conversations.sessions import Session
from homarus.conversations.transcript import Line
from homarus.flows import session_life
from homarus.store.port import Tx

KINDS: Final = ("direct", "group", "thread")
MAX_LINES: Final = 50
"""Of one piece: a unit takes 5 ms (design, 4)."""
MAX_SOURCE: Final = 200
MAX_ENTRIES: Final = 1_000_000
MAX_COUNT: Final = 10**15


class End(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of a session when all its lines are there. `first_kept`: the model's context
    begins with this line; tokens as they were counted over there; times in Unix ms."""

    lines: int
    first_kept: int = 1
    compactions: int = 0
    label: str | None = None
    thinking: str | None = None
    queue_mode: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    context_tokens: int = 0
    created_ms: int = 0
    interaction_ms: int = 0


class Piece(msgspec.Struct, frozen=True):
    """`agent` by id or name; `source`: which system's, and its id there (`openclaw:5f0c…`);
    `first`: the place of the first of `lines`, from 1."""

    agent: str
    source: str
    key: str
    kind: str
    first: int
    lines: list[Line]
    end: End | None = None


def session_id(agent: str, source: str) -> str:
    """The id here of an agent's (its id) session from elsewhere."""
    return derived_id(agent, int.from_bytes(hashlib.sha256(source.encode()).digest()[:8]))


def take(tx: Tx, piece: Piece) -> Session:
    """Raises `agent.unknown`, `session.key`, `session.busy`, `session.entry_large`, `import.*`.
    Emits `session_opened` with the first piece, `session_taken_over` with each, and
    `session_changed` when it is live."""
    _check(piece)
    agent = agents.need(tx, tx.company, piece.agent)
    key = keys.resolve(piece.key, agent.name)
    row = sessions.by_id(tx, tx.company, session_id(agent.id, piece.source))
    if row is None:
        id = session_id(agent.id, piece.source)
        row = session_life.begin(tx, agent, key, piece.kind, ended_as=id)
    elif row.key != key:
        raise Conflict("import.key", f"it was taken over as {row.key}", "Keep its key.")
    tx.about(task=row.task)
    added = _add(tx, row, piece)
    if piece.end is not None:
        _finish(tx, sessions.need(tx, tx.company, row.id), piece.end, added)
    sessions.change(tx, row.id)
    tx.emit("session_taken_over", row.id, {"key": key, "added": added})
    return sessions.need(tx, tx.company, row.id)


def _check(piece: Piece) -> None:
    if piece.kind not in KINDS:
        raise Invalid("import.kind", f"no kind {piece.kind[:40]!r}", f"One of {list(KINDS)}.")
    if not 0 < len(piece.source) <= MAX_SOURCE:
        raise Invalid("import.source", "unusable source", f"1 to {MAX_SOURCE} characters.")
    last = piece.first + len(piece.lines) - 1
    if piece.first < 1 or len(piece.lines) > MAX_LINES or last > MAX_ENTRIES:
        raise Invalid(
            "import.lines", f"{len(piece.lines)} lines from {piece.first} on are too many",
            f"{MAX_LINES} in one piece, {MAX_ENTRIES} in a session.",
        )  # fmt: skip
    for seq, line in enumerate(piece.lines, piece.first):
        if not wellformed.is_line(line.kind, line.body) or not 0 <= line.created_ms <= MAX_COUNT:
            raise Invalid(
                "import.line", f"line {seq} ({line.kind[:40]!r}) has not the documented form",
                "Send what it says as a line of kind `custom`.",
            )  # fmt: skip


def _add(tx: Tx, row: Session, piece: Piece) -> int:
    """How many of the lines were not there yet."""
    if piece.first > row.entries + 1:
        raise Conflict(
            "import.gap", f"{row.entries} lines are there; {piece.first} is not the next",
            "Go on where it stands.",
        )  # fmt: skip
    last_there = min(row.entries, piece.first + len(piece.lines) - 1)
    there = max(0, last_there - piece.first + 1)
    new = piece.lines[there:]
    # The line before the new ones too: it tells whether somebody spoke here meanwhile.
    known = last_there if there else row.entries if new else 0
    if known and not is_taken_over(tx, row.id, known):
        raise Conflict(
            "import.went_on", f"{row.key} went on here since it was taken over",
            "Its newer lines of elsewhere cannot be put between.",
        )  # fmt: skip
    if not new:
        return 0
    if turns.open_of(tx, row.id):
        raise Conflict("session.busy", f"turns of {row.key} are open", "Wait for them.")
    transcript.take_over(tx, row.id, row.entries + 1, new)
    return len(new)


def is_taken_over(tx: Tx, session: str, seq: int) -> bool:
    """Whether the line at this place came from elsewhere."""
    return transcript.id_at(tx, session, seq) == transcript.taken_over_id(session, seq)


def _finish(tx: Tx, row: Session, end: End, added: int) -> None:
    """A session that goes on here already is left as it is."""
    if row.ended_ms is None and not added:
        return
    if row.entries != end.lines:
        raise Conflict(
            "import.unfinished", f"{row.entries} of {end.lines} lines are there", "Send the rest."
        )
    counts = (end.compactions, end.input_tokens, end.output_tokens, end.context_tokens,
              end.created_ms, end.interaction_ms)  # fmt: skip
    if not all(0 <= count <= MAX_COUNT for count in counts):
        raise Invalid("import.counts", "a count is out of range", f"0 to {MAX_COUNT}.")
    if not 1 <= end.first_kept <= end.lines + 1:
        raise Invalid("import.first_kept", f"no line {end.first_kept}", f"1 to {end.lines + 1}.")
    if end.thinking not in (None, *sessions.THINKING) or end.queue_mode not in (None, *turns.MODES):
        raise Invalid("import.setting", "no such thinking or queue mode", "Leave it out.")
    label = None if end.label is None else end.label[: sessions.MAX_LABEL] or None
    live = row.ended_ms is None or sessions.by_key(tx, tx.company, row.key) is None
    sessions.change(
        tx, row.id, first_kept=end.first_kept, compactions=end.compactions, label=label,
        thinking=end.thinking, queue_mode=end.queue_mode, input_tokens=end.input_tokens,
        output_tokens=end.output_tokens, context_tokens=end.context_tokens,
        created_ms=end.created_ms or row.created_ms, interaction_ms=end.interaction_ms,
        ended_ms=None if live else row.ended_ms,
    )  # fmt: skip
    if live:
        tx.emit("session_changed", row.id, {"fields": ["ended"]})
