"""Bytes between a run and a host: each piece is counted before it goes on."""

import asyncio
import contextlib
from typing import Final, NamedTuple

from homarus.base.errors import HomarusError
from homarus.egress.lease import Lease, Visit
from homarus.egress.secrets import Mask

PIECE_BYTES: Final = 65_536


class End(NamedTuple):
    """A connection as this side has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def both(lease: Lease, visit: Visit, run: End, host: End) -> None:
    """A tunnel, until one side is done and the other has said all, or a bound is reached.

    Raises `egress.bytes`.
    """
    up = asyncio.ensure_future(out(lease, visit, run.reader, host.writer))
    down = asyncio.ensure_future(back(lease, visit, host.reader, run.writer, Mask(())))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        if not down.done() and up.exception() is None:
            await down
    finally:
        for each in (up, down):
            each.cancel()
        ended = await asyncio.gather(up, down, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, HomarusError):
            raise outcome


async def out(
    lease: Lease, visit: Visit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    most: int | None = None,
) -> None:  # fmt: skip
    """What the run sends, or only the `most` bytes of a body. Raises `egress.bytes`."""
    left = most
    while left is None or left > 0:
        size = PIECE_BYTES if left is None else min(left, PIECE_BYTES)
        async with asyncio.timeout(lease.bounds.idle_s):
            data = await reader.read(size)
        if not data:
            break
        lease.count(visit, up=len(data))
        writer.write(data)
        await writer.drain()
        left = None if left is None else left - len(data)
    if most is not None:
        await writer.drain()
    elif writer.can_write_eof():
        writer.write_eof()


async def back(
    lease: Lease, visit: Visit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    mask: Mask,
) -> None:  # fmt: skip
    """What the host answers, its secret values masked. Raises `egress.bytes`."""
    while True:
        async with asyncio.timeout(lease.bounds.idle_s):
            data = await reader.read(PIECE_BYTES)
        if not data:
            break
        lease.count(visit, down=len(data))
        writer.write(mask.feed(data))
        await writer.drain()
    writer.write(mask.end())
    await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def shut(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        writer.close()
        await writer.wait_closed()
