"""Anchors: a seal's number and hash, put where the store's owner does not rewrite them.

One JSON line each in `run/anchors.jsonl` (0600) and one log line. A ledger whose tail was cut no
longer has the seal that an anchor names (governance contract, 1).
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.store.port import Rx

log = structlog.get_logger("anchors")

FILE_NAME: Final = "anchors.jsonl"
MAX_LINE_BYTES: Final = 1_024
MAX_COMPANIES: Final = 100_000

_encode = msgspec.json.Encoder().encode


class Anchor(msgspec.Struct, frozen=True):
    """`company` id ("" is the instance), `no` and `hash` (hexadecimal) of its last seal then."""

    company: str
    no: int
    hash: str
    at: str


_decode = msgspec.json.Decoder(Anchor).decode


def heads_to_anchor(rx: Rx) -> list[Anchor]:
    """The last seal of each company that has one."""
    rows = rx.all(
        "select c.id, h.seal_no, h.seal_hash from company_head h "
        "join company c on c.no=h.company_no where h.seal_no>0 order by c.no limit ?",
        (MAX_COMPANIES,),
    )
    at = iso_ms(rx.now_ms)
    return [Anchor(company, no, bytes(digest).hex(), at) for company, no, digest in rows]


def append(path: Path, rows: Iterable[Anchor]) -> int:
    """Add what is not the company's newest anchor already, on disk when it returns; how many."""
    newest = {anchor.company: anchor.hash for anchor in read(path)}
    new = [row for row in rows if newest.get(row.company) != row.hash]
    if not new:
        return 0
    text = b"".join(_encode(row) + b"\n" for row in new)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    for row in new:
        log.info("anchored", company=row.company, seal=row.no, hash=row.hash)
    return len(new)


def read(path: Path) -> list[Anchor]:
    """All anchors, oldest first; none where there is no file.

    A line that a crash cut short is passed over when whole ones or nothing follow it. Raises
    `audit.anchors` for a line that is something else.
    """
    if not path.exists():
        return []
    with path.open("rb") as file:
        return parse(file)


def parse(lines: Iterable[bytes]) -> list[Anchor]:
    """Anchors from JSON lines. Raises `audit.anchors` naming the line."""
    found = []
    for n, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            if len(text) > MAX_LINE_BYTES:
                raise msgspec.DecodeError("line too long")
            found.append(_decode(text))
        except msgspec.DecodeError as error:
            if text.startswith(b'{"') and not text.endswith(b"}"):
                log.warning("anchor_torn", line=n)
                continue
            raise Invalid(
                "audit.anchors",
                f"line {n} is no anchor: {error}",
                "An anchor is one line of {company, no, hash, at}; restore the file.",
            ) from error
    return found
