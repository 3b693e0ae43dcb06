"""Wrong secrets by address: after MAX_FAILURES within WINDOW_S none is tried for LOCKOUT_S."""

from collections import OrderedDict, deque
from typing import Final

MAX_FAILURES: Final = 10
WINDOW_S: Final = 60.0
LOCKOUT_S: Final = 300.0
MAX_ADDRESSES: Final = 10_000


class Limiter:
    """Times in seconds of one clock. The address that failed longest ago is forgotten first."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long the address is locked out; 0: not."""
        times = self._failed.get(address)
        if times is None or len(times) < MAX_FAILURES:
            return 0.0
        return max(0.0, times[-1] + LOCKOUT_S - now_s)

    def failed(self, address: str, now_s: float) -> None:
        times = self._failed.setdefault(address, deque(maxlen=MAX_FAILURES))
        while times and times[0] < now_s - WINDOW_S:
            times.popleft()
        times.append(now_s)
        self._failed.move_to_end(address)
        while len(self._failed) > MAX_ADDRESSES:
            self._failed.popitem(last=False)
