"""Times as clients write them."""

from datetime import UTC, datetime
from typing import Final

from homarus.base.errors import Invalid

MAX_CHARS: Final = 40
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_ms(text: str | int, name: str) -> int:
    """Unix ms of an ISO-8601 time (without a zone: UTC), or of Unix ms themselves.

    A `+` that a query string lost counts as one. Raises `request.time`, naming the field.
    """
    if isinstance(text, int):
        return _bounded(text, name)
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) >= 10 and len(text) <= 15:
        return _bounded(int(text), name)
    if " " in text[19:]:
        text = text[:19] + text[19:].replace(" ", "+")
    try:
        if len(text) > MAX_CHARS:
            raise ValueError
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        whole = at - _EPOCH
    except (ValueError, OverflowError):
        raise Invalid(
            "request.time", f"`{name}` is not a time", "Write it as 2026-01-02T03:04:05.678Z."
        ) from None
    return _bounded((whole.days * 86_400 + whole.seconds) * 1000 + whole.microseconds // 1000, name)


def _bounded(at_ms: int, name: str) -> int:
    if not 0 <= at_ms < 2**53:
        raise Invalid("request.time", f"`{name}` is out of range", "Use a time after 1970.")
    return at_ms


def opt_ms(text: str | int | None, name: str) -> int | None:
    return None if text is None or text == "" else parse_ms(text, name)
