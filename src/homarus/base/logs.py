"""Logs: JSON lines in `logs/homarus.log` (0600, rotated), warnings in plain words on stderr.

Everything passes the redaction, the standard library's loggers too. Traces carry file and line,
never the values of local variables: those hold secrets.
"""

import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.redact import redact, redact_text
from homarus.base.rotate import FILE, RotatingFile
from homarus.base.structlog_alone import structlog

MAX_TRACE_CHARS: Final = 16_000
LEVELS: Final = ("debug", "info", "warning", "error")

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _trace(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """`exc_info` becomes `trace`: frames and messages, no values."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()[1]
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        event["trace"] = "".join(traceback.format_exception(found))[-MAX_TRACE_CHARS:]
    return event


def _redacted(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    kept = {k: event.pop(k) for k in ("_record", "_from_structlog") if k in event}
    clean: dict[str, Any] = redact(event)
    return clean | kept


def _as_json(_logger: Any, _name: str, event: dict[str, Any]) -> str:
    return _encode(event).decode()


def _as_words(_logger: Any, _name: str, event: dict[str, Any]) -> str:
    """`warning store slow_unit capability=task.claim ms=7.1`: for a person at a terminal."""
    event.pop("at", None)
    event.pop("trace", None)
    head = [str(event.pop(key, "")) for key in ("level", "logger", "event")]
    return " ".join([word for word in head if word] + [f"{k}={v}" for k, v in event.items()])


def configure(folder: Path | None, level: str = "info", stderr: bool = True) -> Callable[[], None]:
    """Send all logs of the process to `folder` and stderr; returns the function that closes them.

    `folder` None: no file. Raises OSError when the file cannot be opened.
    """
    shared: list[Any] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _trace,
        _redacted,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handlers: list[logging.Handler] = []
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = RotatingFile(folder / FILE)
        file.setFormatter(_formatter(shared, _as_json))
        handlers.append(file)
    if stderr:
        console = logging.StreamHandler(sys.stderr)
        console.setLevel(logging.WARNING)
        console.setFormatter(_formatter(shared, _as_words))
        handlers.append(console)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = handlers
    root.setLevel(level.upper())

    def close() -> None:
        root.handlers[:], _ = before
        root.setLevel(before[1])
        for handler in handlers:
            handler.close()

    return close


def set_level(level: str) -> None:
    """The least level from now on; one of LEVELS."""
    logging.getLogger().setLevel(level.upper())


def _formatter(shared: list[Any], render: Any) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def safe(error: BaseException) -> str:
    """One redacted line about an exception, for places that print it."""
    return redact_text(f"{type(error).__name__}: {error}")[:500]
