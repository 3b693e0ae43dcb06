"""The watcher of `homarus.json`: an edit that is right counts, one that is wrong changes nothing.

    file left alone for a while -> read whole -> plan -> apply | restart | say what is wrong

Every edit takes this road, whoever made it; so does SIGHUP, by `check`. What came of it is in the
log and in `run/active-config`.
"""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from homarus.base.errors import HomarusError
from homarus.config import active
from homarus.config.files import signature
from homarus.config.problem import Place, Problem, Rejected
from homarus.config.read import Loaded, read
from homarus.config.reload import Plan, plan
from homarus.config.schema import FILE, Settings

log = structlog.get_logger("config")

POLL_S: Final = 1.0
MAX_WAITS: Final = 100
"""Rounds of `gateway.reload.debounceMs` that a file which changes all the time is waited for."""

Probe = Callable[[Settings], None]


class Reloader:
    """One a daemon. `run` is its task.

    `apply`: the daemon runs with these from now on. `restart`: ask for a restart in place.
    `probe`: raises HomarusError where a daemon could not listen by such settings.
    """

    def __init__(
        self, loaded: Loaded, apply: Callable[[Settings], None], restart: Callable[[], None],
        probe: Probe, poll_s: float = POLL_S,
    ) -> None:  # fmt: skip
        self.loaded = loaded
        self.running = loaded.settings
        self._origins = loaded.origins
        self._watched = loaded.files
        self.waiting: tuple[str, ...] = ()
        self.problems: tuple[Problem, ...] = ()
        self.on_taken: Callable[[str], None] = lambda digest: None
        """Told the digest of each edit that was taken."""
        self._apply = apply
        self._restart = restart
        self._probe = probe
        self._poll_s = poll_s
        self._seen: dict[Path, tuple[int, ...]] = {}  # nothing: an edit during the start counts
        self._looked = asyncio.Event()
        self._one = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled."""
        for note in self.loaded.notes:
            log.warning("config_note", place=str(note.place), key=note.path, text=note.text)
        async with self._one:
            await self._tell()
        if self.loaded.kept:
            await self.check()  # it was started in spite of an edit, which is told of
        while True:
            await asyncio.sleep(self._poll_s)
            if self.running.reload_mode != "off" and await self._settled():
                await self.check()

    async def looked(self) -> None:
        """Until an edit has been looked at: the signal of whoever waits for one to count."""
        await self._looked.wait()

    async def check(self, *, hold: bool = False) -> Plan | None:
        """Read the files now, and do what follows. None: they are wrong, and all stays. `hold`: a
        restart is left to the caller."""
        async with self._one:
            self._seen = await asyncio.to_thread(self._signatures)
            try:
                wanted = await asyncio.to_thread(self._read)
                found = plan(self.running, wanted.settings)
                if found.restarts:
                    await asyncio.to_thread(self._could_restart, wanted.settings)
            except Rejected as rejected:
                self._watched = tuple({*self._watched, *rejected.files})
                self._seen |= {
                    path: signature(path) for path in rejected.files if path not in self._seen
                }
                await self._refuse(rejected.problems)
                return None
            await self._take(wanted, found, hold)
            return found

    def acceptable(self) -> Loaded:
        """What a daemon would start with by the files as they are. Raises HomarusError."""
        wanted = self._read()
        self._could_restart(wanted.settings)
        return wanted

    def _read(self) -> Loaded:
        """Raises Rejected; also where a file that was there is gone: editors do that, and it comes
        back. A daemon that is started without one uses the defaults."""
        wanted = read(self.loaded.source)
        if self.loaded.digest and not wanted.digest:
            problem = Problem(
                "settings.file", "the file is gone", "Put it back; `{}` for the defaults.",
                place=Place(FILE), expected="a file, as there was",
            )  # fmt: skip
            raise Rejected([problem])
        return wanted

    def _could_restart(self, wanted: Settings) -> None:
        if (wanted.host, wanted.port) == (self.running.host, self.running.port):
            return
        try:
            self._probe(wanted)
        except HomarusError as error:
            problem = Problem(
                "settings.address", error.message, error.remedy, place=Place(FILE),
                path="gateway.port", expected="an address that can be had",
            )  # fmt: skip
            raise Rejected([problem]) from error

    async def _refuse(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        for problem in problems:
            log.error("config_rejected", why=problem.line())
        log.error("config_kept", text="The configuration in force stays as it was.")
        await self._tell()

    async def _take(self, wanted: Loaded, found: Plan, hold: bool) -> None:
        self.problems = ()
        edited = wanted.digest != self.loaded.digest
        self.waiting = found.waiting
        self.running = found.settings
        self.loaded = wanted
        self._watched = wanted.files
        self._seen = {p: self._seen.get(p, signature(p)) for p in wanted.files}
        kept = {key: self._origins[key] for key in found.waiting if key in self._origins}
        now = {key: at for key, at in wanted.origins.items() if key not in found.waiting}
        self._origins = now | kept
        if found.hot:
            self._apply(found.settings)
            log.info("config_applied", keys=list(found.hot))
        if found.restarts:
            log.warning("config_restarts", keys=[*found.hot, *found.restart])
        elif found.waiting:
            log.warning("config_waits_for_restart", keys=list(found.waiting))
        await self._tell()
        if edited:
            self.on_taken(wanted.digest)
        if found.restarts and not hold:
            self._restart()

    async def _tell(self) -> None:
        """Put it where commands read it. A full disk does not undo what counts already."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        said = active.Active(
            os.getpid(), at, self.loaded.digest, active.values(self.running, self._origins),
            self.waiting, tuple(problem.document() for problem in self.problems),
        )  # fmt: skip
        try:
            await asyncio.to_thread(active.write, self.running.home, said)
        except OSError as error:
            log.error("config_untold", why=str(error))
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    async def _settled(self) -> bool:
        """Whether a file was changed; returns when it has been left alone for a while."""
        now = await asyncio.to_thread(self._signatures)
        if now == self._seen:
            return False
        for _ in range(MAX_WAITS):
            await asyncio.sleep(self.running.reload_debounce_ms / 1000)
            before, now = now, await asyncio.to_thread(self._signatures)
            if before == now:
                break
        return now != self._seen

    def _signatures(self) -> dict[Path, tuple[int, ...]]:
        return {path: signature(path) for path in self._watched}
