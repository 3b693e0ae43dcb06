"""What a turn had done of its task when the task left its hands: a note for whoever goes on."""

from typing import Final

from homarus.conversations import transcript, turns
from homarus.conversations.transcript import MESSAGE
from homarus.conversations.turns import Turn
from homarus.store.port import Rx, Tx
from homarus.tasks import service, sql
from homarus.tasks.model import Task

NEAR: Final = 40
"""Newest lines of a transcript that are looked through."""
MAX_TEXT: Final = 4_000
MAX_TOOLS: Final = 20


def of_claim(rx: Rx, task: Task) -> Turn | None:
    """The open turn that works under the task's present claim."""
    row = rx.one(
        "select id from turn where work=? and work_token=? and ended_ms is null",
        (task.id, task.token),
    )
    return None if row is None else turns.need(rx, task.company, row[0])


def said(rx: Rx, row: Turn) -> tuple[str, list[str]]:
    """The last words of a turn, and the tools that it has used, in order."""
    text, used = "", []
    for entry in transcript.newest(rx, row.session, NEAR):
        if entry.kind != MESSAGE or entry.turn != row.id:
            continue
        message = entry.message
        if message.get("role") == "toolResult":
            used.append(f"{message['toolName']}{' (failed)' if message['isError'] else ''}")
        elif message.get("role") == "assistant":
            words = "".join(p["text"] for p in message["content"] if p["type"] == "text")
            text = words.strip() or text
    return text[:MAX_TEXT], used[-MAX_TOOLS:]


def note(tx: Tx, task: Task, why: str) -> None:
    """Keep what there is of the present claim's turn; nothing where it had not begun."""
    row = of_claim(tx, task)
    if row is None:
        return
    text, used = said(tx, row)
    if not text and not used:
        return
    lines = [f"Partial work ({why})."]
    lines += [f"Tools used: {', '.join(used)}."] if used else []
    lines += [text] if text else []
    made = sql.add_note(tx, task.id, row.agent, "\n".join(lines), None)
    service.emit(tx, "task_note", task, n=made.id)
