"""What tools say, within bounds, and refusals in the words of a result. Pure."""

import json
from typing import Any, Final

from homarus.base.errors import HomarusError
from homarus.base.redact import redact_tokens
from homarus.flows.turn_tools import Result

MAX_CHARS: Final = 40_000
"""Text of one result; of more, the first three quarters of this and the last are kept."""
MAX_PARTS: Final = 20
MAX_IMAGE_CHARS: Final = 1_400_000
MAX_DETAILS: Final = 20_000


def bounded(result: Result) -> Result:
    """A result that fits into a transcript line and a request."""
    left = MAX_CHARS
    content: list[dict[str, Any]] = []
    for part in result.content[:MAX_PARTS]:
        if part.get("type") == "image":
            large = len(str(part.get("data", ""))) > MAX_IMAGE_CHARS
            content.append({"type": "text", "text": "[an image that is too large]"} if large
                           else part)  # fmt: skip
            continue
        text = cut(str(part.get("text", "")), left)
        left = max(0, left - len(text))
        content.append({"type": "text", "text": text})
    if len(result.content) > MAX_PARTS:
        content.append({"type": "text", "text": f"[{len(result.content) - MAX_PARTS} more parts]"})
    details = result.details
    if details is not None and len(json.dumps(details, default=str)) > MAX_DETAILS:
        details = None
    return Result(tuple(content), result.is_error, details)


def cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    head, tail = most * 3 // 4, most // 4
    left_out = len(text) - head - tail
    mark = f"\n[… {left_out} of {len(text)} characters left out …]\n"
    return f"{text[:head]}{mark}{text[len(text) - tail :] if tail else ''}"


def told(error: HomarusError) -> str:
    """A refusal or fault for the model: code, what happened, what to do. It may repeat what the
    model wrote, tokens among it."""
    return redact_tokens(str(error))


def failed(error: HomarusError) -> Result:
    """The same as a result. Its details are for programs; no model sees them. A rule's refusal
    names the rule and the receipt that says so."""
    about: dict[str, Any] = {"error": error.code, "status": error.status, "remedy": error.remedy}
    for name in ("rule", "receipt"):
        if error.details.get(name) is not None:
            about[name] = error.details[name]
    return Result(({"type": "text", "text": told(error)},), True, about)
