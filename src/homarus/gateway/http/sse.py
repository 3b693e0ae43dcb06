"""Server-sent events as both APIs send them."""

from typing import Any, Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode
DONE: Final = b"data: [DONE]\n\n"


def waiting(approvals: tuple[str, ...]) -> bytes:
    """A comment, which clients pass over: the connection lives."""
    if not approvals:
        return b": still here\n\n"
    return f": waits for approval {', '.join(approvals)}\n\n".encode()


def event(data: Any, kind: str = "") -> bytes:
    head = f"event: {kind}\n".encode() if kind else b""
    return head + b"data: " + _encode(data) + b"\n\n"
