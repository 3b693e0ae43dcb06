"""Lines of a transcript as this wire has them (gateway contract, 6)."""

from collections.abc import Iterable
from typing import Any, Final

from homarus.conversations import turns
from homarus.conversations.transcript import COMPACTION, MESSAGE, Entry
from homarus.flows import chatting
from homarus.store.port import Rx

SAID: Final = ":user"
"""End of the key of what a person said: it is `<run id>:user`."""
Doc = dict[str, Any]


def messages(rx: Rx, company: str, rows: Iterable[Entry]) -> list[Doc]:
    """Lines with what history adds to them. A turn is named as its client named the run."""
    runs: dict[str, str] = {}
    return [_message(row, _run(rx, company, row.turn, runs)) for row in rows]


def message(rx: Rx, company: str, row: Entry) -> Doc:
    return messages(rx, company, [row])[0]


def _run(rx: Rx, company: str, turn: str | None, known: dict[str, str]) -> str | None:
    if turn is None:
        return None
    if turn not in known:
        row = turns.by_id(rx, company, turn)
        known[turn] = turn if row is None else chatting.run_of(row)
    return known[turn]


def _message(row: Entry, run: str | None) -> Doc:
    about = {"id": row.id, "seq": row.seq, "recordTimestampMs": row.created_ms}
    if run is not None:
        about["runId"] = run
    if row.kind != MESSAGE:
        text = str(row.body.get("summary") or "")
        kind = "compaction" if row.kind == COMPACTION else row.kind
        return {
            "role": "system", "content": [{"type": "text", "text": text}],
            "timestamp": row.created_ms, "__openclaw": about | {"kind": kind},
        }  # fmt: skip
    found = {"timestamp": row.created_ms} | row.message | {"__openclaw": about}
    key = found.get("idempotencyKey")
    if isinstance(key, str):
        turn = key.removesuffix(SAID)
        found["idempotencyKey"] = f"{chatting.run_in(turn) or turn}{SAID}"
    return found


def text_of(row: Entry) -> str:
    """What a message says; "" for anything else."""
    if row.kind != MESSAGE:
        return ""
    content = row.message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(
        str(part.get("text") or "") for part in content or () if part.get("type") == "text"
    )
