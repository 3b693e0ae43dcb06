"""Side by side, each to its end."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def together(awaited: Iterable[Awaitable[T]]) -> list[T]:
    """Each to its end; then the first error among them is raised."""
    ended = await asyncio.gather(*awaited, return_exceptions=True)
    values = []
    for each in ended:
        if isinstance(each, BaseException):
            raise each
        values.append(each)
    return values
