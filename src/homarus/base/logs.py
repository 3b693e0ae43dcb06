"""Logs: JSON lines in `logs/homarus.log` (0600, rotated), warnings in plain words on stderr.

The level that is asked for is that of our own loggers. At its lowest a library tells what it sends
and gets: frames, headers, bodies, and the secrets in them. So no library is heard below INFO, and
those that speak a protocol not below WARNING (QUIET), whatever their own loggers are set to.

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
OWN: Final = "homarus"
"""Above all our own loggers in the standard library's tree; a line's `logger` is without it."""
QUIET: Final = frozenset({
    "aiohttp", "anthropic", "anyio", "apsw", "asyncio", "cryptography", "h11", "h2", "hpack",
    "httpcore", "httpcore2", "httptools", "httpx", "httpx2", "mcp", "openai", "psycopg",
    "psycopg_pool", "pydantic_ai", "requests", "urllib3", "uvicorn", "websockets",
})  # fmt: skip
"""First names of loggers that tell of connections: at INFO some name addresses with what is in
them, which may be a key."""

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _own(name: str = "") -> logging.Logger:
    """The logger that `structlog.get_logger(name)` writes to."""
    is_below = name == OWN or name.startswith(f"{OWN}.")
    return logging.getLogger(name if is_below or not name else f"{OWN}.{name}")


def _short(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    event["logger"] = event["logger"].removeprefix(f"{OWN}.")
    return event


def _is_heard(record: logging.LogRecord) -> bool:
    """Asked at the file and at the terminal: a library may set the level of its own loggers."""
    first = record.name.partition(".")[0]
    if first == OWN:
        return True
    return record.levelno >= (logging.WARNING if first in QUIET else logging.INFO)


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

    `level`: the least of our own loggers, one of LEVELS. `folder` None: no file. Raises OSError
    when the file cannot be opened.
    """
    shared: list[Any] = [
        structlog.stdlib.add_logger_name,
        _short,
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
        logger_factory=_own,
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
    for handler in handlers:
        handler.addFilter(_is_heard)
    root, own = logging.getLogger(), logging.getLogger(OWN)
    before = root.handlers[:], root.level, own.level
    root.handlers[:] = handlers
    set_level(level)

    def close() -> None:
        root.handlers[:], *_ = before
        root.setLevel(before[1])
        own.setLevel(before[2])
        for handler in handlers:
            handler.close()

    return close


def set_level(level: str) -> None:
    """The least level of our own loggers from now on; one of LEVELS. Others at INFO or above."""
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(OWN).setLevel(least)
    logging.getLogger().setLevel(max(least, logging.INFO))


def _formatter(shared: list[Any], render: Any) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def safe(error: BaseException) -> str:
    """One redacted line about an exception, for places that print it."""
    return redact_text(f"{type(error).__name__}: {error}")[:500]
