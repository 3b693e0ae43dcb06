"""Server-sent events as both APIs send them."""

from typing import Any, Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode
DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE: Final = b": still here\n\n"


def event(data: Any, kind: str = "") -> bytes:
    head = f"event: {kind}\n".encode() if kind else b""
    return head + b"data: " + _encode(data) + b"\n\n"
