"""Waiting units by company: in order within one, several companies at a time."""

import threading
from collections import deque

from homarus.store.engine import busy
from homarus.store.port import MAX_BATCH_UNITS, MAX_WAITING_UNITS
from homarus.store.unit import Unit


class CompanyQueues:
    """A company is with one writer at most, from `take` to `done`: its units keep their order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Unit]] = {}
        self._ready: deque[str] = deque()
        self._taken: set[str] = set()
        self._count = 0
        self._closed = False

    def put(self, unit: Unit) -> None:
        """Raises `store.busy` when the bound over all companies is reached."""
        company = unit.action.company
        with self._changed:
            if self._count >= MAX_WAITING_UNITS:
                raise busy("writes", MAX_WAITING_UNITS)
            self._count += 1
            queue = self._waiting.get(company)
            if queue is not None:
                queue.append(unit)
                return
            self._waiting[company] = deque([unit])
            if company not in self._taken:
                self._ready.append(company)
                self._changed.notify()

    def take(self) -> tuple[str, list[Unit]] | None:
        """The next company with all that waits for it, up to a batch; None: closed and empty."""
        with self._changed:
            while not self._ready:
                if self._closed:
                    return None
                self._changed.wait()
            company = self._ready.popleft()
            self._taken.add(company)
            return company, self._pop(company, MAX_BATCH_UNITS)

    def more(self, company: str, at_most: int) -> list[Unit]:
        """What has come for a taken company since."""
        with self._changed:
            return self._pop(company, at_most)

    def _pop(self, company: str, at_most: int) -> list[Unit]:
        queue = self._waiting.get(company)
        if queue is None:
            return []
        units = [queue.popleft() for _ in range(min(at_most, len(queue)))]
        if not queue:
            del self._waiting[company]
        self._count -= len(units)
        return units

    def done(self, company: str) -> None:
        """The writer lets go of the company."""
        with self._changed:
            self._taken.discard(company)
            if company in self._waiting:
                self._ready.append(company)
                self._changed.notify()

    def close(self) -> None:
        """No more will be put; takers get what is left, then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take_left(self) -> list[Unit]:
        with self._changed:
            left = [unit for queue in self._waiting.values() for unit in queue]
            self._waiting.clear()
            self._ready.clear()
            self._count = 0
            return left
