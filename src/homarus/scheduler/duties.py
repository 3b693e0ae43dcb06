"""Housekeeping that a job may run, by the names of `flows.scheduling.DUTIES`.

The daemon does most of it by itself as well; a job does it at a time that people choose, and leaves
a row that says when and how it went.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from homarus.base.clock import Clock, iso_ms
from homarus.base.errors import Unavailable
from homarus.dispatch.maintenance import Maintenance
from homarus.scheduler.works import Duty
from homarus.store import backup
from homarus.store.port import Store


class Duties:
    """`documents` compares the main space with its hashes (`mainspace/guard.py`)."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        home: Path,
        maintenance: Maintenance,
        documents: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._home = home
        self._maintenance = maintenance
        self._documents = documents

    def by_name(self) -> dict[str, Duty]:
        own = self._maintenance
        return {
            "retention": _quiet(
                own.sweep,
                own.forget_notes,
                own.forget_attempts,
                own.forget_runs,
                own.forget_deliveries,
            ),
            "contents": _quiet(own.sweep_contents),
            "backup": self.backup,
            "integrity": self.integrity,
            "documents": _quiet(self._documents),
            "trust": _quiet(own.recompute_trust),
            "anchors": _quiet(own.anchor),
        }

    async def backup(self) -> str:
        at_ms = self._clock.now_ms()
        name = iso_ms(at_ms).replace(":", "").replace("-", "").replace(".", "")
        made = await backup.take(self._store, self._home, self._home / backup.FOLDER / name, at_ms)
        return f"{name}: {made.manifest.bytes} bytes"

    async def integrity(self) -> str:
        """Raises `store.damaged`."""
        found = await self._store.check()
        if found != "ok":
            raise Unavailable("store.damaged", found, "Restore a backup: `homarus restore`.")
        return found


def _quiet(*steps: Callable[[], Awaitable[None]]) -> Duty:
    async def duty() -> None:
        for step in steps:
            await step()

    return duty
