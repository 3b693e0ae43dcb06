"""The SQLite store: one writer thread, group commit, a few readers.

The writer takes every waiting unit, runs each in a savepoint of one transaction, seals the ledgers
it touched, commits once (`synchronous=FULL`), then settles all futures in one wake-up. So an
acknowledged write is on disk, and no unit sees half of another (design, 4).
"""

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import structlog

from homarus.base.clock import Clock, SystemClock
from homarus.base.errors import HomarusError, Unavailable
from homarus.base.failpoint import failpoint
from homarus.store.engine import Engine, busy, stopping
from homarus.store.heads import Heads
from homarus.store.migrations import load
from homarus.store.port import (
    MAX_BATCH_S,
    MAX_BATCH_UNITS,
    MAX_WAITING_READS,
    MAX_WAITING_UNITS,
    READ_HARD_CPU_S,
    UNIT_HARD_CPU_S,
    UNIT_SOFT_S,
    Governor,
    Rx,
    Ts,
)
from homarus.store.sqlite import files
from homarus.store.sqlite.tx import CpuLimit, SqliteRx, SqliteTx, engine_error
from homarus.store.unit import BatchLost, Unit, bad_value, execute, outcome_unknown, unexpected

log = structlog.get_logger("store")
T = TypeVar("T")

READERS: Final = 2
STOP_S: Final = 10.0


class SqliteStore(Engine):
    """See `homarus.store.port.Store`. `home` is the state directory."""

    def __init__(self, home: Path, governor: Governor, clock: Clock | None = None) -> None:
        super().__init__()
        self.path = home / "local-ssot" / "ssot.db"
        self.url = "sqlite"
        self._governor = governor
        self._clock = clock or SystemClock()
        self._lock = files.InstanceLock(home / "run" / files.LOCK_FILE)
        self._run_folder = home / "run"
        self._queue: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._reading = 0

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Lock, check, migrate, open. Raises `store.*` with the file untouched."""
        self._loop = asyncio.get_running_loop()
        self._lock.take()
        try:
            files.check_restored(self._run_folder)
            conn = self._open()
        except BaseException:
            self._lock.drop()
            raise
        self._writer = threading.Thread(target=self._write_loop, args=(conn,), name="store-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._writer.start()
        try:
            await self.read(_first_look)
        except BaseException:
            await self.stop()
            raise

    def _open(self) -> apsw.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.check_file(self.path)
            if not self.path.exists():
                files.create(self.path)
            known = load("sqlite")
            look = files.open_reader(self.path)
            try:
                files.check_version(look, known)
            finally:
                look.close()
            conn = files.open_writer(self.path)
            try:
                files.migrate(conn, known)
            except BaseException:
                conn.close()
                raise
        except OSError as raised:
            raise files.folder_error(raised) from raised
        except apsw.Error as raised:
            error = engine_error(raised) or Unavailable(
                "store.io", f"the store could not be opened: {raised}", files.RESTORE
            )
            raise error from raised
        return conn

    async def stop(self) -> None:
        """Take no more, finish what waits, close. The lock is kept while the writer still works."""
        self._stopping = True
        if self._readers is not None:
            await asyncio.to_thread(self._readers.shutdown)
        self._queue.put(None)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.join, STOP_S)
            if self._writer.is_alive():
                log.error("writer_still_busy", waited_s=STOP_S)
                return
        self._lock.drop()

    async def check(self) -> str:
        """`quick_check` on a reader, after ready; the answer shows in `health`."""
        self._checked = await self._submit_read(_quick_check, (), limit_s=math.inf)
        if self._checked != "ok":
            self._fatal = Unavailable("store.corrupt", "the store's file is damaged", files.RESTORE)
            log.error("store_corrupt", check=self._checked)
        return self._checked

    # -- writing ---------------------------------------------------------------------------

    def _put(self, unit: Unit) -> None:
        if self._queue.qsize() >= MAX_WAITING_UNITS:
            raise busy("writes", MAX_WAITING_UNITS)
        self._queue.put(unit)

    def _take_left(self) -> list[Unit]:
        left: list[Unit] = []
        while True:
            try:
                unit = self._queue.get_nowait()
            except queue.Empty:
                return left
            if unit is not None:
                left.append(unit)

    def _write_loop(self, conn: apsw.Connection) -> None:
        tx = SqliteTx(conn, self._clock)
        heads = Heads(tx)
        batch: list[Unit] = []
        try:
            while True:
                first = self._queue.get()
                if first is None:
                    break
                batch = [first]
                self._commit(conn, tx, heads, batch)
        except BaseException as raised:
            log.critical("writer_failed", exc_info=raised)
            self._fatal = Unavailable(
                "store.writer_failed", "the store's writer stopped", "Restart the daemon."
            )
            self._fail(batch, self._fatal)
        finally:
            self._closed = True
            self._fail_left()
            conn.close()

    def _commit(self, conn: apsw.Connection, tx: SqliteTx, heads: Heads, batch: list[Unit]) -> None:
        """Run and commit a batch. A unit that takes the transaction down does so once: it is set
        apart as spoiled, and its neighbours run again."""
        taking = True
        while True:
            try:
                told = self._transaction(conn, tx, heads, batch, taking)
            except Exception as raised:  # noqa: BLE001 - the writer supervises batches
                self._roll_back(conn, tx, heads)
                if not _set_apart(raised, batch):
                    self._lost(batch, raised)
                    return
                taking = False
                continue
            self._trouble = None
            self.batches += 1
            self.units += len(batch)
            self._settle(batch, told)
            return

    def _transaction(
        self, conn: apsw.Connection, tx: SqliteTx, heads: Heads, batch: list[Unit], taking: bool
    ) -> dict[str, int]:
        """One transaction: the batch, and all that wait by then up to the named bounds."""
        began = time.perf_counter()
        conn.execute("begin immediate")
        for unit in batch:
            self._run_unit(tx, heads, unit)
        while taking and len(batch) < MAX_BATCH_UNITS and time.perf_counter() - began < MAX_BATCH_S:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._queue.put(None)
                break
            batch.append(more)
            self._run_unit(tx, heads, more)
        touched = heads.touched()
        for head in touched:
            tx.head = head
            self._governor.seal(tx)
        heads.save()
        failpoint("store.before_commit")
        try:
            conn.execute("commit")
        except apsw.IOError as raised:
            raise BatchLost(outcome_unknown("the disk answered with an error")) from raised
        failpoint("store.after_commit")
        return {head.company: head.event_seq for head in touched}

    def _run_unit(self, tx: SqliteTx, heads: Heads, unit: Unit) -> None:
        began = time.perf_counter()
        tx.limit.start(UNIT_HARD_CPU_S)
        try:
            tx.begin(unit.action, heads.get(unit.action.company))
            execute(tx, self._governor, unit)
        except HomarusError as error:
            unit.error = error
        except BatchLost as lost:
            if lost.by_unit:
                lost.unit = unit
            raise
        finally:
            tx.limit.clear()
        took = time.perf_counter() - began
        if took > UNIT_SOFT_S:
            log.warning(
                "slow_unit",
                capability=unit.action.capability,
                ms=round(took * 1000, 1),
                trace_id=tx.trace,
            )

    def _roll_back(self, conn: apsw.Connection, tx: SqliteTx, heads: Heads) -> None:
        if conn.in_transaction:
            conn.execute("rollback")
        heads.clear()
        self._governor.forget()

    def _lost(self, batch: list[Unit], raised: Exception) -> None:
        """The batch was not committed: nobody is told otherwise, and the daemon goes on."""
        match raised:
            case BatchLost():
                error = raised.error
            case HomarusError():
                error = raised
            case _:
                error = engine_error(raised) or unexpected(raised)
        self._trouble = error
        log.error("batch_lost", code=error.code, units=len(batch), exc_info=raised)
        self._fail(batch, error)

    # -- reading ---------------------------------------------------------------------------

    async def read(self, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> T:
        return await self._submit_read(fn, args)

    async def _submit_read(
        self, fn: Callable[..., T], args: tuple[Any, ...], limit_s: float = READ_HARD_CPU_S
    ) -> T:
        if self._readers is None or self._stopping:
            raise stopping()
        if self._reading >= MAX_WAITING_READS:
            raise busy("reads", MAX_WAITING_READS)
        self._reading += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, self._read, fn, args, limit_s)
        finally:
            self._reading -= 1

    def _read(self, fn: Callable[..., T], args: tuple[Any, ...], limit_s: float) -> T:
        local = self._local
        if not hasattr(local, "conn"):
            local.conn = files.open_reader(self.path)
            local.rx = SqliteRx(local.conn, self._clock.now_ms)
            local.limit = CpuLimit(local.conn)
        conn, rx = local.conn, local.rx
        local.limit.start(limit_s, None if limit_s < math.inf else lambda: self._stopping)
        rx.begin()
        try:
            conn.execute("begin")
            return fn(rx, *args)
        except apsw.InterruptError as raised:
            if self._stopping:
                raise stopping() from raised
            raise Unavailable(
                "store.read_too_long", "the query took too long", "Ask for less at once."
            ) from raised
        except (apsw.Error, UnicodeEncodeError, OverflowError) as raised:
            error = engine_error(raised) or bad_value(raised)
            if error is None:
                raise
            raise error from raised
        finally:
            local.limit.clear()
            if conn.in_transaction:
                conn.execute("rollback")

    async def snapshot(self, target: Path) -> None:
        """A consistent, compact copy of the store in a new file (0600), while writes go on.

        Raises `backup.exists`, `backup.failed`; then nothing is left at `target`.
        """

        await asyncio.to_thread(files.copy_store, self.path, target)


def _set_apart(raised: Exception, batch: list[Unit]) -> bool:
    """Mark the one unit whose fault it was; False: no such unit, or it was marked already."""
    if not isinstance(raised, BatchLost) or raised.unit is None or raised.unit.spoiled is not None:
        return False
    raised.unit.spoiled = raised.error
    return raised.unit in batch


def _first_look(rx: Rx) -> None:
    rx.one("select count(*) from meta")


def _quick_check(rx: SqliteRx) -> str:
    return "; ".join(str(row[0]) for row in rx.all("pragma quick_check(5)"))
