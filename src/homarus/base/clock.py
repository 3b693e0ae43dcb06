"""Time as an argument. Leases and schedules never read the wall clock themselves."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time in Unix milliseconds (UTC). Implementations never go backwards."""

    def now_ms(self) -> int: ...


class SystemClock:
    """The wall clock at start plus the monotonic clock since.

    A wall clock that is stepped back (or forward) while the daemon runs therefore neither extends
    nor ends a lease (governance contract, 13).
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000

    def drift_ms(self) -> int:
        """How far the system's wall clock now stands ahead of ours; shown by `doctor`."""
        return time.time_ns() // 1_000_000 - self.now_ms()


def iso_ms(at_ms: int) -> str:
    """`2026-01-02T03:04:05.678Z` (control-plane contract, 1)."""
    seconds, ms = divmod(at_ms, 1000)
    t = time.gmtime(seconds)
    return (
        f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}"
        f"T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}.{ms:03d}Z"
    )


def raw_ms(at_ms: int) -> str:
    """`2026-01-02 03:04:05.678000`, the form of raw rows (control-plane contract, 1)."""
    return iso_ms(at_ms)[:-1].replace("T", " ") + "000"
