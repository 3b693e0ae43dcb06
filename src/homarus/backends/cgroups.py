"""Groups of processes that the kernel counts and ends together (cgroup v2), where it lets us.

Nothing but the core of cgroup v2 is used: who is in a group, its CPU time, its end. That needs no
controller, so that the daemon may stay in the group that was delegated to it.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

PREFIX: Final = "homarus-run-"


def delegated() -> Path | None:
    """The folder below which this process may make groups; None: there is none. Root may write
    everywhere, so for root the mark counts that systemd leaves (`Delegate=yes`)."""
    try:
        own = next(at[3:] for at in _lines("/proc/self/cgroup") if at.startswith("0::"))
        mount = next(at.split()[4] for at in _lines("/proc/self/mountinfo") if " - cgroup2 " in at)
    except (OSError, StopIteration):
        return None
    folder = Path(mount, own.strip("/"))
    if not os.access(folder / "cgroup.procs", os.W_OK):
        return None
    return folder if os.geteuid() != 0 or _marked(folder) else None


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _marked(folder: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def sweep(folder: Path) -> None:
    """Remove the empty groups that an earlier daemon left."""
    for left in folder.glob(f"{PREFIX}*"):
        Group(left).remove()


class Group:
    """Raises nothing: what a group does not do, looking at the tree does (`trees.py`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def make(cls, parent: Path, root: int) -> "Group | None":
        folder = parent / f"{PREFIX}{os.getpid()}-{root}"
        with contextlib.suppress(OSError):
            folder.mkdir()
            return cls(folder)
        return None

    def add(self, pid: int) -> None:
        with contextlib.suppress(OSError):  # it has ended
            (self._folder / "cgroup.procs").write_text(str(pid))

    def pids(self) -> frozenset[int]:
        with contextlib.suppress(OSError):
            return frozenset(map(int, (self._folder / "cgroup.procs").read_text().split()))
        return frozenset()

    def cpu_s(self) -> float:
        """Of all that are or were in it, whoever waited for them."""
        with contextlib.suppress(OSError, ValueError):
            name, usage_us = (self._folder / "cpu.stat").read_text().split()[:2]
            return int(usage_us) / 1_000_000 if name == "usage_usec" else 0.0
        return 0.0

    def kill(self) -> None:
        """All at once, also those that are being started now (Linux 5.14)."""
        with contextlib.suppress(OSError):
            (self._folder / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.rmdir()
