"""A worker is woken by what comes, at once or after its rest, and loses none of it."""

import asyncio

import pytest

from homarus.base.waking import Wake

LONG_S = 30.0


@pytest.mark.parametrize("rest_s", [0.0, 0.01])
async def test_what_came_before_the_wait_ends_it(rest_s: float) -> None:
    wake = Wake(rest_s)
    wake.set({"company": 3})
    async with asyncio.timeout(LONG_S):
        await wake.wait(None)


async def test_what_comes_within_the_rest_is_one_wake_up() -> None:
    wake = Wake(0.01)
    resting = asyncio.create_task(wake.wait(None))
    await asyncio.sleep(0)
    for _ in range(5):
        wake.set()
    async with asyncio.timeout(LONG_S):
        await resting
    await wake.wait(0)  # nothing is left, so that only the time ends it


async def test_nothing_comes_and_the_time_ends_the_wait() -> None:
    await Wake().wait(0)


async def test_a_wait_can_be_cancelled() -> None:
    waiting = asyncio.create_task(Wake().wait(None))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
