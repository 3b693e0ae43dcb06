"""What wakes a worker: commits, and the time at the latest."""

import asyncio
from typing import Final

REST_S: Final = 0.01
"""For workers to whom a hundredth of a second is nothing, because what they start takes longer."""


class Wake:
    """Of one worker. What comes while it works or rests is one wake-up; nothing is lost.

    `rest_s`: how long it rests after each look, so that a burst of commits costs a few looks and
    not one each. The first commit after a quiet time is seen at once.
    """

    def __init__(self, rest_s: float = 0.0) -> None:
        self._rest_s = rest_s
        self._event = asyncio.Event()

    def set(self, *_: object) -> None:
        """Whatever is given is not looked at: this may listen to the store as it is."""
        self._event.set()

    async def wait(self, most_s: float | None) -> None:
        """Until woken, `most_s` seconds at most; None: as long as it takes."""
        if self._rest_s:
            await asyncio.sleep(self._rest_s)
        try:
            async with asyncio.timeout(most_s):  # `wait_for` may lose a cancellation (Python 3.11)
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
