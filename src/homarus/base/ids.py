"""Ids: UUIDv7, text at every edge.

Rows of the two big append-only tables (events, receipts) store no id. Theirs is made from the
row's address, so that it costs neither a column nor an index: the 74 free bits of the UUIDv7
carry the company's number (32 bits), the table (1 bit) and the row's `seq` (41 bits); see
docs/adr/0006-ids-of-rows.md.
"""

import hashlib
import os
import re
import time
from enum import IntEnum
from typing import Final
from uuid import UUID

COMPANY_BITS: Final = 32
SEQ_BITS: Final = 41
MAX_DIGITS: Final = 15
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SEQ_MASK: Final = (1 << SEQ_BITS) - 1
_LOW62: Final = (1 << 62) - 1
_VERSION: Final = 7 << 76
_VARIANT: Final = 2 << 62


def _text(value: int) -> str:
    h = f"{value:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def _assemble(at_ms: int, free: int) -> str:
    """A UUIDv7 from 48 bits of Unix milliseconds and 74 free bits (RFC 9562, 5.7)."""
    high = (at_ms & 0xFFFFFFFFFFFF) << 80
    return _text(high | _VERSION | ((free >> 62) << 64) | _VARIANT | (free & _LOW62))


def new_id(at_ms: int | None = None) -> str:
    """A fresh random UUIDv7; `at_ms` defaults to the wall clock."""
    if at_ms is None:
        at_ms = time.time_ns() // 1_000_000
    return _assemble(at_ms, int.from_bytes(os.urandom(10), "big") >> 6)


class Kind(IntEnum):
    """Which of the two tables a derived id points into."""

    EVENT = 0
    RECEIPT = 1


def event_id(at_ms: int, company_no: int, seq: int) -> str:
    """The id of an event, from its address."""
    return _assemble(at_ms, (((company_no << 1) | Kind.EVENT) << SEQ_BITS) | seq)


def receipt_id(at_ms: int, company_no: int, seq: int) -> str:
    """The id of a receipt, from its address."""
    return _assemble(at_ms, (((company_no << 1) | Kind.RECEIPT) << SEQ_BITS) | seq)


def row_address(text: str) -> tuple[Kind, int, int]:
    """`(kind, company_no, seq)` of a derived id. Raises ValueError if it is no UUIDv7."""
    value = UUID(text).int
    if (value >> 76) & 0xF != 7:
        raise ValueError(f"not a UUIDv7: {text}")
    free = (((value >> 64) & 0xFFF) << 62) | (value & _LOW62)
    above = free >> SEQ_BITS
    return Kind(above & 1), above >> 1, free & _SEQ_MASK


def time_of(text: str) -> int:
    """The Unix milliseconds in a UUIDv7 (RFC 9562, 5.7)."""
    return UUID(text).int >> 80


def is_uuid(text: object) -> bool:
    """True for the canonical 36-character lower-case form of any UUID, and nothing else."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def to_blob(text: str | None) -> bytes | None:
    """The 16 bytes of a UUID text, for compact columns."""
    return None if text is None else bytes.fromhex(text.replace("-", ""))


def from_blob(blob: bytes | None) -> str | None:
    """The inverse of `to_blob`."""
    return None if blob is None else _text(int.from_bytes(blob, "big"))


def numbered(ref: str, letter: str) -> int | None:
    """The number in a person's reference to a row: 192 in `T-192` for the letter `T`, in any case
    and with blanks around it; None: it is no such reference (at most MAX_DIGITS digits)."""
    kind, dash, digits = ref.strip().partition("-")
    if kind.upper() != letter or not dash or len(digits) > MAX_DIGITS:
        return None
    return int(digits) if digits.isascii() and digits.isdecimal() else None


def derived_id(of: str, n: int) -> str:
    """The id of the `n`-th thing that belongs to another row: that row's time, bits of a hash."""
    digest = hashlib.blake2b(f"{of}/{n}".encode(), digest_size=10).digest()
    return _assemble(UUID(of).int >> 80, int.from_bytes(digest, "big") >> 6)
