"""Waiting for a fact that has no signal of its own: bounded, without sleeping."""

import asyncio
from collections.abc import Callable
from typing import Final

SOON_S: Final = 10.0


async def eventually(condition: Callable[[], bool], within_s: float = SOON_S) -> None:
    """Let the loop run until `condition()` holds. Raises TimeoutError after `within_s`."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
