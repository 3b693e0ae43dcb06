"""What a bridge says while it runs: lines for people, or JSON lines; never a secret."""

import json
import sys
import time
from typing import Any, TextIO

from homarus.base.clock import iso_ms
from homarus.base.redact import redact


class Teller:
    """`{"at", "event", ...}` per line, or `event  name=value` with `as_json` False."""

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self._as_json = as_json
        self._stream = stream or sys.stdout

    def __call__(self, event: str, **facts: Any) -> None:
        clean = redact({name: value for name, value in facts.items() if value is not None})
        if self._as_json:
            line = {"at": iso_ms(time.time_ns() // 1_000_000), "event": event, **clean}
            text = json.dumps(line, ensure_ascii=False, default=str)
        else:
            words = " ".join(f"{name}={value}" for name, value in clean.items())
            text = f"{event}  {words}" if words else event
        printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        self._stream.write(printable + "\n")
        self._stream.flush()
