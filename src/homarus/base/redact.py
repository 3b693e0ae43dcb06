"""Secrets leave no trace: what a log line, an error or a report may not carry is blanked here.

Recognised: access tokens by their prefix, bearer headers, `secret://` values are names and stay,
and the values of keys whose name says that they are secret.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

BLANK: Final = "[redacted]"
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 200

_TOKEN: Final = re.compile(r"\b(ec|ea|ho|hs|whs|oac)_[0-9A-Za-z]{8,}")
_WHOLE: Final = re.compile(r"\b(ec|ea|ho|hs|whs|oac)_[0-9a-f]{48,64}\b")
_WHOLE_BYTES: Final = re.compile(rb"\b(ec|ea|ho|hs|whs|oac)_[0-9a-f]{48,64}\b")
_PREFIXES: Final = (b"ec_", b"ea_", b"ho_", b"hs_", b"whs_", b"oac_")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]+")
_ASSIGNED: Final = re.compile(
    r"(?i)([\"']?\b[\w-]*(?:secret|token|password|passwd|api[_-]?key|authorization|cookie)[\w-]*[\"']?"
    r"\s*[=:](?!//)\s*)(\"[^\"]*\"|'[^']*'|[^\s,;}\]]+)"
)
_SESSION: Final = re.compile(r"\b(homarus_session)=[^\s\"',;]+")
_SECRET_KEY: Final = re.compile(
    r"(?i)(secret|password|passwd|authorization|api_?key|private_?key|cookie)|(^|_)token$|Token$"
)


def redact_text(text: str) -> str:
    """`text` without tokens, bearer values and `password=…` pairs."""
    text = _TOKEN.sub(lambda m: f"{m[1]}_{BLANK}", text)
    text = _BEARER.sub(lambda m: f"{m[1]} {BLANK}", text)
    text = _ASSIGNED.sub(lambda m: m[1] + BLANK, text)
    return _SESSION.sub(lambda m: f"{m[1]}={BLANK}", text)


def redact_tokens(text: str) -> str:
    """`text` without whole access tokens, every other word as it was: for what is kept or echoed.

    A message or a name may speak of `token: …`; a live token in it helps nobody but a thief.
    """
    return _WHOLE.sub(r"\1_" + BLANK, text) if "_" in text else text


def redact_token_bytes(raw: bytes) -> bytes:
    """The same for JSON that was not decoded yet; it stays JSON."""
    if not any(prefix in raw for prefix in _PREFIXES):
        return raw
    return _WHOLE_BYTES.sub(rb"\1_" + BLANK.encode(), raw)


def is_secret_key(key: str) -> bool:
    """Whether the value under this key is blanked whatever it looks like."""
    return _SECRET_KEY.search(key) is not None


def redact(value: Any, depth: int = 0) -> Any:
    """A copy of plain data (dicts, lists, text, bytes) without secrets, bounded."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        if depth >= MAX_DEPTH:
            return BLANK
        return {
            str(k): BLANK if is_secret_key(str(k)) and v is not None else redact(v, depth + 1)
            for k, v in list(value.items())[:MAX_ITEMS]
        }
    if isinstance(value, list | tuple):
        if depth >= MAX_DEPTH:
            return BLANK
        return [redact(item, depth + 1) for item in value[:MAX_ITEMS]]
    return value
