"""Server-sent events out of a reply's lines (WHATWG HTML, 9.2): `(event, data)`, in order."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from homarus.base.errors import TooLarge

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024


def parse(lines: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    """`data` as JSON. Comments and unfinished events are left out. Raises `client.too_large`."""
    data: list[bytes] = []
    kind, size = "message", 0
    for raw in lines:
        size += len(raw)
        if size > MAX_EVENT_BYTES:
            raise TooLarge("client.too_large", f"an event passes {MAX_EVENT_BYTES} bytes", "")
        line = raw.rstrip(b"\r\n")
        if not line:
            if data:
                yield kind, json.loads(b"\n".join(data))
            kind, data, size = "message", [], 0
        elif line.startswith(b"event:"):
            kind = line[6:].strip().decode("utf-8", "replace")
        elif line.startswith(b"data:"):
            data.append(line[5:].strip())
