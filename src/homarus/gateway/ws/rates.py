"""How often a client may call a method: MAX_CALLS within WINDOW_S (gateway contract, 3)."""

from collections import deque
from typing import Final

from homarus.base.recent import Recent

MAX_CALLS: Final = 30
WINDOW_S: Final = 60.0
MAX_CLIENTS: Final = 1_000


class Rates:
    """Times in seconds of one clock. Who called longest ago is forgotten first."""

    def __init__(self) -> None:
        self._calls: Recent[tuple[str, str], deque[float]] = Recent(MAX_CLIENTS)

    def wait_s(self, method: str, client: str, now_s: float) -> float:
        """0: the call counts, and may be done; else how long until there is room."""
        who = (method, client)
        times = self._calls[who] = self._calls.get(who) or deque(maxlen=MAX_CALLS)
        if len(times) == MAX_CALLS and times[0] + WINDOW_S > now_s:
            return times[0] + WINDOW_S - now_s
        times.append(now_s)
        return 0.0
