"""What a tree of processes uses: the children of a root, theirs, and whoever outlived a parent.

A process belongs to a tree when its parent does. In the sandbox's own process namespace, and under
`supervise.py` outside it, an orphan's new parent is in the tree as well, so that a double fork or a
new session does not lead out of it. What was seen once is remembered, whatever becomes of the root.
Where the kernel groups processes for us (`cgroups.py`), whoever is in the group belongs to it too.

CPU time is the kernel's: of each living process its own and that of the children that it waited
for. A process that nobody waits for takes its time along; what was seen of that counts on.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import psutil

from homarus.backends.cgroups import Group

Over = Literal["cpu", "memory", "processes"]
OURS: Final = 5
"""Processes of ours in a tree at most: two of bubblewrap, `timeout`, the relay, `supervise.py`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a whole tree may use: CPU seconds, resident bytes (what processes share counts for
    each), processes at once."""

    cpu_s: float
    memory_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One process as it was seen. `waited_s`: CPU time of the children that it waited for, and of
    theirs. A zombie has ended, and nobody has waited for it yet."""

    own_s: float
    waited_s: float
    resident_bytes: int
    zombie: bool = False


class Use:
    """What a tree has used so far. `count` takes its processes as they are now, parents first:
    whoever ends in between is then missing in one look, and never counted twice."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.peak_bytes = 0
        self._last: Mapping[int, Row] = {}
        self._lost_s = 0.0

    def count(self, rows: Mapping[int, Row]) -> None:
        gone_s = sum(row.own_s + row.waited_s for pid, row in self._last.items() if pid not in rows)
        waited_s = sum(
            row.waited_s - self._last[pid].waited_s
            for pid, row in rows.items()
            if pid in self._last
        )
        self._lost_s = max(0.0, self._lost_s + gone_s - waited_s)
        now_s = sum(row.own_s + row.waited_s for row in rows.values())
        self.cpu_s = max(self.cpu_s, now_s + self._lost_s)
        self.peak_bytes = max(self.peak_bytes, sum(row.resident_bytes for row in rows.values()))
        self._last = dict(rows)

    def over(self, bounds: Bounds) -> Over | None:
        """Which bound the last look found passed."""
        if self.cpu_s >= bounds.cpu_s:
            return "cpu"
        if self.peak_bytes > bounds.memory_bytes:
            return "memory"
        return "processes" if len(self._last) > bounds.processes + OURS else None


class Tree:
    """The processes below `root`, and the root."""

    def __init__(self, root: int, bounds: Bounds, group: Group | None = None) -> None:
        self.root = root
        self.group = group
        self.bounds = bounds
        self.use = Use()
        self.over: Over | None = None
        self._members: dict[int, psutil.Process] = {}
        self._living: set[int] = set()
        with contextlib.suppress(psutil.NoSuchProcess):
            self._members[root] = psutil.Process(root)

    def __contains__(self, pid: int) -> bool:
        return pid in self._members

    @property
    def rootless(self) -> bool:
        return self.root not in self._living

    @property
    def living(self) -> bool:
        """Whether the last look found anybody beside the root who has not ended."""
        return bool(self._living - {self.root})

    def read(self) -> dict[int, Row]:
        """Its known processes now; who has ended is no longer known."""
        rows: dict[int, Row] = {}
        for pid, process in list(self._members.items()):
            row = read(process)
            if row is None:
                del self._members[pid]
            else:
                rows[pid] = row
        return rows

    def adopt(self, newer: Mapping[int, "Newer"]) -> dict[int, Row]:
        """Takes in those of `newer` that descend from it."""
        rows: dict[int, Row] = {}
        left = dict(newer)
        grouped = self.group.pids() if self.group is not None else frozenset()
        while found := [
            pid for pid, one in left.items() if one.parent in self._members or pid in grouped
        ]:
            for pid in found:
                process = left.pop(pid).process
                row = read(process)
                if row is not None:
                    self._members[pid] = process
                    rows[pid] = row
        if self.group is not None:
            for pid in self._members.keys() - grouped:
                self.group.add(pid)
        return rows

    def count(self, rows: Mapping[int, Row]) -> None:
        self._living = {pid for pid, row in rows.items() if not row.zombie}
        self.use.count(rows)
        if self.group is not None:
            self.use.cpu_s = max(self.use.cpu_s, self.group.cpu_s())

    def kill(self, *, root: bool) -> None:
        """KILL, parents first: in a process namespace the first one takes all others along. The
        root is spared at first: it waits for the others and knows what they used. A group ends as
        one, and its root with it."""
        if self.group is not None:
            self.group.kill()
        for pid, process in self._members.items():
            if pid in self._living and (root or pid != self.root):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    process.kill()


@dataclass(frozen=True, slots=True)
class Newer:
    """A process that no look has seen before."""

    process: psutil.Process
    parent: int


def newer(pids: Iterable[int]) -> dict[int, Newer]:
    found: dict[int, Newer] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(pid)
            found[pid] = Newer(process, process.ppid())
    return found


def read(process: psutil.Process) -> Row | None:
    """None: it is gone, or not ours to see."""
    try:
        with process.oneshot():
            times = process.cpu_times()
            return Row(
                own_s=times.user + times.system,
                waited_s=times.children_user + times.children_system,
                resident_bytes=process.memory_info().rss,
                zombie=process.status() == psutil.STATUS_ZOMBIE,
            )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
