"""`logs/gateway_cron.log`: one JSON line for each step of a job's run, in files that rotate."""

import json
import logging
from pathlib import Path
from typing import Any, Final

from homarus.base.clock import Clock, iso_ms
from homarus.base.redact import redact_text
from homarus.base.rotate import RotatingFile

FILE: Final = "gateway_cron.log"


class CronLog:
    """Opened at the first line; `close` at the end."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._file: RotatingFile | None = None

    def line(self, event: str, **fields: Any) -> None:
        """A log that cannot be written holds up no job: the standard library says so on stderr."""
        now_ms = self._clock.now_ms()
        if self._file is None:
            self._file = RotatingFile(self._path, clock=lambda: self._clock.now_ms() / 1000)
        known = {name: value for name, value in fields.items() if value is not None}
        text = json.dumps({"at": iso_ms(now_ms), "event": event} | known, ensure_ascii=False)
        self._file.handle(logging.makeLogRecord({"msg": redact_text(text)}))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
