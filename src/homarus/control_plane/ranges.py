"""Which part of a file a request wants (RFC 9110, 14): one range of bytes, or all of it."""

import re
from collections.abc import Mapping
from typing import Final

from homarus.base.errors import HomarusError

_ONE: Final = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


class OutOfRange(HomarusError):
    """The file has no such bytes."""

    status = 416


def wanted(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """`(first byte, number of bytes)`; None: the whole file, also for what we do not serve in parts
    (several ranges, other units) and for a part of a file that changed since (`If-Range`).

    Raises `download.range`.
    """
    found = _ONE.fullmatch(headers.get("range", ""))
    if found is None or found[0].strip() == "bytes=-" or headers.get("if-range", etag) != etag:
        return None
    first, last = found[1], found[2]
    if first == "":
        count = min(int(last), size)
        start, end = size - count, size
    else:
        start, end = int(first), size if last == "" else min(int(last) + 1, size)
        if last != "" and int(last) < start:
            return None
    if start >= end:
        raise OutOfRange(
            "download.range", f"the file has {size} bytes and no such part", "Ask for less."
        )
    return start, end - start
