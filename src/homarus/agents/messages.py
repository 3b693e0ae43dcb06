"""The conversation for a model, from the lines of its transcript.

What tools, other agents and relayed people said is data, and is marked so.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from homarus.agents.port import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UserMessage,
)
from homarus.agents.texts import untrusted
from homarus.conversations.transcript import COMPACTION, MESSAGE, Entry


class Aside(NamedTuple):
    """What somebody whom nobody vouches for (`source`) would have done in this turn."""

    turn: str
    source: str
    text: str


def messages_of(
    entries: Sequence[Entry], foreign: dict[str, str], aside: Aside | None = None
) -> tuple[Message, ...]:
    """The conversation for a model: the last summary first, then lines in order. Lines of one
    person in a row are one message; a call without result, and a result without call, is left
    out. `aside` stands before its turn's first line, or last where that is none of these."""
    last = next((e for e in reversed(entries) if e.kind == COMPACTION), None)
    first = 0 if last is None else _first_kept(entries, last)
    found: list[Message] = []
    if last is not None:
        told = untrusted("summary", str(last.body.get("summary", "")))
        found.append(UserMessage((Text(f"What was said before, summed up:\n{told}"),)))
    for entry in entries:
        if entry.kind == MESSAGE and entry.seq >= first:
            message = _message(entry, foreign)
            if aside is not None and isinstance(message, UserMessage) and entry.turn == aside.turn:
                _add(found, _told_aside(aside))
                aside = None
            if message is not None:
                _add(found, message)
    if aside is not None:
        _add(found, _told_aside(aside))
    return _paired(found)


def _told_aside(aside: Aside) -> UserMessage:
    told = untrusted(aside.source, aside.text)
    return UserMessage((Text(f"Whoever asks this would have it done so:\n{told}"),))


def _first_kept(entries: Sequence[Entry], compaction: Entry) -> int:
    kept = compaction.body.get("firstKeptEntryId")
    return next((e.seq for e in entries if e.id == kept), 0)


def _add(found: list[Message], message: Message) -> None:
    before = found[-1] if found else None
    if isinstance(before, UserMessage) and isinstance(message, UserMessage):
        found[-1] = UserMessage((*before.content, *message.content))
    else:
        found.append(message)


def _message(entry: Entry, foreign: dict[str, str]) -> Message | None:
    message = entry.message
    match message.get("role"):
        case "user":
            asker = foreign.get(entry.turn or "")
            return UserMessage(tuple(_shown(part, asker) for part in parts_of(message["content"])))
        case "assistant":
            parts = tuple(_said(part) for part in message["content"] if _usable(part))
            return AssistantMessage(parts) if parts else None
        case "toolResult":
            name = str(message["toolName"])
            content = tuple(_shown(part, name) for part in parts_of(message["content"]))
            return ToolResult(message["toolCallId"], name, content, bool(message["isError"]))
        case _:
            return None


def parts_of(content: Any) -> list[dict[str, Any]]:
    """Of a line's content, which may be plain text."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _shown(part: dict[str, Any], source: str | None) -> Text | Image:
    """`source`: whose word it is, when nobody vouches for it; a part may name its own."""
    if part.get("type") == "image":
        return Image(str(part.get("mimeType") or "image/png"), str(part.get("data") or ""))
    text, source = str(part.get("text", "")), part.get("source") or source
    return Text(text if source is None else untrusted(source, text))


def _usable(part: dict[str, Any]) -> bool:
    return part["type"] != "thinking" or bool(part.get("thinkingSignature"))


def _said(part: dict[str, Any]) -> Text | Thinking | ToolCall:
    match part["type"]:
        case "thinking":
            return Thinking(part["thinking"], part.get("thinkingSignature"))
        case "toolCall":
            given = part["arguments"]
            return ToolCall(part["id"], part["name"],
                            given if isinstance(given, str) else json.dumps(given))  # fmt: skip
        case _:
            return Text(part["text"])


def _paired(found: list[Message]) -> tuple[Message, ...]:
    answered = {m.call for m in found if isinstance(m, ToolResult)}
    asked: set[str] = set()
    kept: list[Message] = []
    for message in found:
        if isinstance(message, AssistantMessage):
            parts = tuple(p for p in message.content
                          if not isinstance(p, ToolCall) or p.id in answered)  # fmt: skip
            asked |= {p.id for p in parts if isinstance(p, ToolCall)}
            if parts:
                kept.append(AssistantMessage(parts))
        elif not isinstance(message, ToolResult) or message.call in asked:
            kept.append(message)
    return tuple(kept)
