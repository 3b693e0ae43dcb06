"""How many calls a target still takes: at most so many in each window that ends now."""

from collections import deque

from homarus.outbox.port import Limit


class Budget:
    """Of one mirror. Times in Unix ms of the daemon's clock."""

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._most = max((limit.calls for limit in limits), default=0)
        self._spent: deque[int] = deque(maxlen=max(self._most, 1))

    def spend(self, now_ms: int) -> None:
        """One call is made."""
        if self._limits:
            self._spent.append(now_ms)

    def wait_ms(self, now_ms: int) -> int:
        """How long until the next call may be made; 0: now."""
        waits = [0]
        for limit in self._limits:
            if len(self._spent) >= limit.calls:
                since_ms = now_ms - self._spent[-limit.calls]
                waits.append(round(limit.window_s * 1000) - since_ms)
        return max(waits)

    def free(self, now_ms: int, most: int) -> int:
        """How many calls may be made at once now, `most` at the most."""
        left = most
        for limit in self._limits:
            window_ms = round(limit.window_s * 1000)
            used = sum(1 for at_ms in self._spent if now_ms - at_ms < window_ms)
            left = min(left, limit.calls - used)
        return max(left, 0)
