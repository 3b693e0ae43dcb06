"""Whether a line that was written elsewhere has the documented form. Pure.

What a model is shown is made of lines without looking twice, so no other ones may get in.
"""

import re
from typing import Any, Final

_KIND: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
OUTER: Final = frozenset({"type", "id", "parentId", "timestamp"})
"""What the view of a transcript says of each line itself."""


def is_line(kind: str, body: dict[str, Any]) -> bool:
    if not _KIND.fullmatch(kind) or OUTER & body.keys():
        return False
    match kind:
        case "message":
            return is_message(body.get("message"))
        case "compaction":
            kept = body.get("firstKeptEntryId")
            return isinstance(body.get("summary"), str) and isinstance(kept, str | None)
        case _:
            return True


def is_message(message: Any) -> bool:
    if not isinstance(message, dict):
        return False
    content = message.get("content")
    match message.get("role"):
        case "user":
            return isinstance(content, str) or _all(content, _is_shown)
        case "assistant":
            return _all(content, _is_said)
        case "toolResult":
            named = _texts(message, "toolCallId", "toolName")
            return named and isinstance(message.get("isError"), bool) and _all(content, _is_shown)
        case _:
            return False


def _all(content: Any, check: Any) -> bool:
    return isinstance(content, list) and all(isinstance(p, dict) and check(p) for p in content)


def _is_shown(part: dict[str, Any]) -> bool:
    match part.get("type"):
        case "text":
            return _texts(part, "text") and isinstance(part.get("source"), str | None)
        case "image":
            return _texts(part, "data", "mimeType")
        case _:
            return False


def _is_said(part: dict[str, Any]) -> bool:
    match part.get("type"):
        case "text":
            return _texts(part, "text")
        case "thinking":
            signature = part.get("thinkingSignature")
            return _texts(part, "thinking") and isinstance(signature, str | None)
        case "toolCall":
            return _texts(part, "id", "name") and isinstance(part.get("arguments"), dict | str)
        case _:
            return False


def _texts(value: dict[str, Any], *names: str) -> bool:
    return all(isinstance(value.get(name), str) for name in names)
