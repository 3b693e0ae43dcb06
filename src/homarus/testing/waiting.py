"""Waiting for a fact that has no signal of its own, bounded.

`eventually` is for what this loop does itself, and lets it run; `seen` for what another process
writes to disk, which tells nobody: it is looked at every LOOK_S.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final

SOON_S: Final = 60.0
LOOK_S: Final = 0.02


async def eventually(condition: Callable[[], bool], within_s: float = SOON_S) -> None:
    """Let the loop run until `condition()` holds. Raises TimeoutError after `within_s`."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


def seen(condition: Callable[[], object], within_s: float = SOON_S) -> None:
    """Block until `condition()` is true of another process's files. Raises TimeoutError. Call it in
    a thread where a loop must go on."""
    end, never = time.monotonic() + within_s, threading.Event()
    while not condition():
        if time.monotonic() >= end:
            raise TimeoutError(f"it did not come about within {within_s:g} s")
        never.wait(LOOK_S)
