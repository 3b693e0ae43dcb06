"""A command held to bounds over its whole tree of processes, not each process by itself.

    meter = Meter()
    result = await meter.run_command(Bounds(...), command, layers, trusted=False)

A thread looks at all watched trees each LOOK_S, more often as a bound comes near, while there are
any. A tree over a bound is killed, without a TERM before it. The resource limits of each process
(`limits.py`) stand behind, for a daemon that is slow to look. `trees.py` says what belongs to one.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import psutil
import structlog

from homarus.backends import cgroups, local
from homarus.backends.layers import SandboxLayers
from homarus.backends.trees import Bounds, Over, Tree, newer
from homarus.base.process import ProcessHandle

log = structlog.get_logger("metered")

LOOK_S: Final = 0.1
"""Governance contract, 8."""
LEAST_LOOK_S: Final = 0.01
CORES: Final = os.cpu_count() or 1
ROOT_LOOKS: Final = 50
"""A tree over its bound: so many looks later its root is killed too."""
END_LOOKS: Final = 500
"""A tree whose root has ended is left alone then, whoever of it lives."""
END_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredResult(local.CommandResult):
    """`cpu_ms` and `peak_rss_bytes` are of the whole tree. `over`: the bound that it passed, for
    which it was ended."""

    over: Over | None

    @property
    def ok(self) -> bool:
        return self.over is None and self.reason == "exited" and self.exit_code == 0

    def facts(self) -> dict[str, Any]:
        return local.CommandResult.facts(self) | {"over": self.over}


@dataclass(slots=True, eq=False)
class _Watched:
    """`looks`: since it is being ended. `left`: its root has ended; called when nobody is left."""

    tree: Tree
    looks: int = 0
    left: Callable[[], None] | None = None


class Meter:
    """One a daemon; its thread runs while a tree is watched. `groups`: where each tree gets a group
    of the kernel's (`cgroups.delegated()`)."""

    def __init__(self, groups: Path | None = None) -> None:
        self._groups = groups
        if groups is not None:
            cgroups.sweep(groups)
        self._lock = threading.Lock()
        self._watched: list[_Watched] = []
        self._strangers: set[int] = set()
        self._wake = threading.Event()
        self._running = False

    async def run_command(
        self,
        bounds: Bounds,
        command: local.SandboxedCommand,
        layers: SandboxLayers,
        *,
        trusted: bool,
        on_start: Callable[[ProcessHandle], None] | None = None,
    ) -> MeteredResult:
        """As `local.run_command`; afterwards nobody of its tree is left."""
        watched: list[_Watched] = []

        def started(handle: ProcessHandle) -> None:
            watched.append(self._watch(handle.pid, bounds))
            if on_start is not None:
                on_start(handle)

        whole = replace(command, whole_tree=True)
        try:
            result = await local.run_command(whole, layers, trusted=trusted, on_start=started)
        finally:
            for one in watched:
                await self._leave(one)
        return _metered(result, watched[0].tree)

    def _watch(self, root: int, bounds: Bounds) -> _Watched:
        group = None if self._groups is None else cgroups.Group.make(self._groups, root)
        one = _Watched(Tree(root, bounds, group))
        with self._lock:
            self._watched.append(one)
            self._strangers = set()  # its first children may have been taken for such
            if not self._running:
                self._running = True
                threading.Thread(target=self._look_on, name="meter", daemon=True).start()
        self._wake.set()
        return one

    async def _leave(self, one: _Watched) -> None:
        """Its root has ended: have whoever is left ended too."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()

        def resolve() -> None:
            if not gone.done():
                gone.set_result(None)

        def done() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(resolve)

        one.left = done
        self._wake.set()
        try:
            async with asyncio.timeout(END_S):
                await gone
        except TimeoutError:
            log.warning("tree_not_ended", root=one.tree.root)
            self._forget(one)

    def _forget(self, one: _Watched) -> None:
        with self._lock:
            if one in self._watched:
                self._watched.remove(one)

    # -- the thread ------------------------------------------------------------------------

    def _look_on(self) -> None:
        while True:
            with self._lock:
                watched = list(self._watched)
                self._running = bool(watched)
            if not watched:
                return
            wait_s = LOOK_S
            try:
                wait_s = self._look(watched)
            except Exception:  # a fault here must not end the looking
                log.exception("meter_failed")
            self._wake.wait(wait_s)
            self._wake.clear()

    def _look(self, watched: list[_Watched]) -> float:
        """One look at all of them; when the next is due."""
        strangers = self._strangers
        lefts = [one.left for one in watched]
        known = [one.tree.read() for one in watched]
        pids = psutil.pids()
        new = newer(pid for pid in pids if pid not in strangers and not _of_any(watched, pid))
        waits = []
        for one, rows, left in zip(watched, known, lefts, strict=True):
            one.tree.count(rows | one.tree.adopt(new))
            waits.append(self._judge(one, left))
        found = {pid for pid in pids if not _of_any(watched, pid)}
        with self._lock:
            if self._strangers is strangers:
                self._strangers = found
        return min(waits)

    def _judge(self, one: _Watched, left: Callable[[], None] | None) -> float:
        """Ends it where it has passed a bound, or its root has ended."""
        tree = one.tree
        if not tree.rootless and tree.over is None:
            tree.over = tree.use.over(tree.bounds)
        if not tree.rootless and tree.over is None:
            least_s = (tree.bounds.cpu_s - tree.use.cpu_s) / CORES
            return min(LOOK_S, max(LEAST_LOOK_S, least_s))
        one.looks += 1
        tree.kill(root=one.looks > ROOT_LOOKS)
        if left is not None and (not tree.living or one.looks > END_LOOKS):
            self._forget(one)
            if tree.group is not None:
                tree.group.remove()
            left()
        return LEAST_LOOK_S


def _of_any(watched: list[_Watched], pid: int) -> bool:
    return any(pid in one.tree for one in watched)


def _metered(result: local.CommandResult, tree: Tree) -> MeteredResult:
    values = {at.name: getattr(result, at.name) for at in fields(result)}
    values["cpu_ms"] = max(result.cpu_ms or 0, round(tree.use.cpu_s * 1_000))
    values["peak_rss_bytes"] = max(result.peak_rss_bytes or 0, tree.use.peak_bytes) or None
    return MeteredResult(**values, over=tree.over or _by_limits(values, tree.bounds))


def _by_limits(values: dict[str, Any], bounds: Bounds) -> Over | None:
    """The bound it ran into between two looks, where the system's own limits ended it."""
    code, number = values["exit_code"], values["signal"]
    if values["reason"] not in ("exited", "killed") or code == 0:
        return None
    if signal.SIGXCPU in (number, (code or 0) - 128) or values["cpu_ms"] >= bounds.cpu_s * 1_000:
        return "cpu"
    return "memory" if (values["peak_rss_bytes"] or 0) > bounds.memory_bytes else None
