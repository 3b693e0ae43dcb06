"""Canonical JSON (RFC 8785), for digests of arguments and receipts."""

import hashlib
import json
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode
_ATOMS = frozenset({str, bool, type(None)})


def _plain(value: Any) -> bool:
    """True when the fast encoder's output is canonical: no floats, ASCII keys.

    Its text escapes are those of RFC 8785 for every character (a test compares them all). Loops and
    exact types first: this is asked of every digest.
    """
    if type(value) in _ATOMS:
        return True
    if isinstance(value, int):
        return -(2**53) < value < 2**53
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                return False
            if type(item) not in _ATOMS and not _plain(item):
                return False
        return True
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return isinstance(value, str)


def _number(value: float) -> str:
    """ECMAScript's Number::toString, as RFC 8785 section 3.2.2.3 demands."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("NaN and infinity have no JSON form")
    if value == 0:
        return "0"
    sign, magnitude = ("-", -value) if value < 0 else ("", value)
    mantissa, _, exponent = repr(magnitude).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    n, k = point, len(digits)
    if k <= n <= 21:
        text = digits + "0" * (n - k)
    elif 0 < n <= 21:
        text = f"{digits[:n]}.{digits[n:]}"
    elif -6 < n <= 0:
        text = "0." + "0" * -n + digits
    else:
        e = n - 1
        tail = f"e{'+' if e > 0 else '-'}{abs(e)}"
        text = f"{digits[0]}.{digits[1:]}{tail}" if k > 1 else digits + tail
    return sign + text


def _slow(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value) if -(2**53) < value < 2**53 else _number(float(value))
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_slow(item) for item in value) + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda k: k.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_slow(k)}:{_slow(value[k])}" for k in keys) + "}"
    raise TypeError(f"no canonical JSON for {type(value).__name__}")


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of plain JSON values. Raises ValueError (NaN) or TypeError (other types)."""
    if _plain(value):
        return _encode(value)
    return _slow(value).encode("utf-8", "surrogatepass")


def canonical_row(values: list[str | int | None]) -> bytes:
    """`canonical` for one flat row of texts and integers below 2^53: the ledger's hot path."""
    return _encode(values)


def digest(value: Any) -> bytes:
    """SHA-256 over the canonical form: 32 bytes."""
    return hashlib.sha256(canonical(value)).digest()
