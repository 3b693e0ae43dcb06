"""The SQLite store: one writer thread, group commit, a few readers.

The writer takes every waiting unit, runs each in a savepoint of one transaction, seals the ledgers
it touched, commits once (`synchronous=FULL`), then settles all futures in one wake-up. So an
acknowledged write is on disk, and no unit sees half of another (design, 4).
"""

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import structlog

from homarus.base.action import Action
from homarus.base.clock import Clock, SystemClock
from homarus.base.errors import Busy, HomarusError, Unavailable
from homarus.base.failpoint import failpoint
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
    Key,
    Listener,
    Reply,
)
from homarus.store.sqlite import files
from homarus.store.sqlite.tx import CpuLimit, SqliteRx, SqliteTx, engine_error
from homarus.store.unit import BatchLost, Unit, execute, unexpected

log = structlog.get_logger("store")
T = TypeVar("T")

READERS: Final = 2
STOP_S: Final = 10.0


class SqliteStore:
    """See `homarus.store.port.Store`. `home` is the state directory."""

    def __init__(self, home: Path, governor: Governor, clock: Clock | None = None) -> None:
        self.path = home / "local-ssot" / "ssot.db"
        self.url = "sqlite"
        self._governor = governor
        self._clock = clock or SystemClock()
        self._lock = files.InstanceLock(home / "run" / "daemon.lock")
        self._queue: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._reading = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Listener] = []
        self._stopping = False
        self._fatal: HomarusError | None = None
        self._trouble: HomarusError | None = None
        self._checked = "pending"
        self.batches = 0
        self.units = 0

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Lock, check, migrate, open. Raises `store.*` with the file untouched."""
        self._loop = asyncio.get_running_loop()
        self._lock.take()
        try:
            conn = self._open()
        except BaseException:
            self._lock.drop()
            raise
        self._writer = threading.Thread(target=self._write_loop, args=(conn,), name="store-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._writer.start()
        await self.read(lambda rx: rx.one("select count(*) from meta"))

    def _open(self) -> apsw.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.path.exists():
                files.create(self.path)
            files.check_file(self.path)
            known = load("sqlite")
            look = files.open_reader(self.path)
            try:
                files.check_version(look, known)
            finally:
                look.close()
            conn = files.open_writer(self.path)
            files.migrate(conn, known)
        except (apsw.Error, OSError) as raised:
            error = engine_error(raised) or Unavailable(
                "store.io", f"the store could not be opened: {raised}", files.RESTORE
            )
            raise error from raised
        return conn

    async def stop(self) -> None:
        """Take no more, finish what waits, anchor nothing, close."""
        self._stopping = True
        self._queue.put(None)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.join, STOP_S)
        if self._readers is not None:
            await asyncio.to_thread(self._readers.shutdown)
        self._lock.drop()

    def health(self) -> dict[str, Any]:
        """`{"state": "ok"|"red", "check": "pending"|"ok"|…, "error"?: code}`."""
        trouble = self._fatal or self._trouble
        facts: dict[str, Any] = {"state": "red" if trouble else "ok", "check": self._checked}
        if trouble is not None:
            facts |= {"error": trouble.code, "message": trouble.message, "remedy": trouble.remedy}
        return facts

    async def check(self) -> str:
        """`quick_check` on a reader, after ready; the answer shows in `health`."""

        def quick_check(rx: SqliteRx) -> str:
            rows = rx.all("pragma quick_check(5)")
            return "; ".join(str(row[0]) for row in rows)

        self._checked = await self._submit_read(quick_check, (), limit_s=float("inf"))
        if self._checked != "ok":
            self._fatal = Unavailable("store.corrupt", "the store's file is damaged", files.RESTORE)
            log.error("store_corrupt", check=self._checked)
        return self._checked

    # -- writing ---------------------------------------------------------------------------

    def write(self, action: Action, fn: Callable[..., T], *args: Any) -> Awaitable[T]:
        return self._submit(Unit(action, fn, args, None))

    def write_once(
        self, action: Action, fn: Callable[..., Reply], *args: Any, key: Key
    ) -> Awaitable[Reply]:
        return self._submit(Unit(action, fn, args, key))

    def write_wait(self, action: Action, fn: Callable[..., T], *args: Any) -> T:
        """`write` for threads without a loop. Never call it on the loop."""
        unit = Unit(action, fn, args, None)
        unit.future = Future()
        self._enqueue(unit)
        result: T = unit.future.result()
        return result

    def _submit(self, unit: Unit) -> Awaitable[Any]:
        loop = asyncio.get_running_loop()
        unit.loop = loop
        unit.future = loop.create_future()
        self._enqueue(unit)
        result: Awaitable[Any] = unit.future
        return result

    def _enqueue(self, unit: Unit) -> None:
        if self._fatal is not None:
            raise self._fatal
        if self._stopping:
            raise Unavailable(
                "store.stopping", "the daemon is stopping", "Repeat it after restart."
            )
        if self._queue.qsize() >= MAX_WAITING_UNITS:
            raise Busy(
                "store.busy", f"{MAX_WAITING_UNITS} writes are waiting", "Slow down, then repeat."
            )
        self._queue.put(unit)

    def _write_loop(self, conn: apsw.Connection) -> None:
        tx = SqliteTx(conn, self._clock)
        limit = CpuLimit(conn, UNIT_HARD_CPU_S)
        heads = Heads(tx)
        batch: list[Unit] = []
        try:
            while True:
                first = self._queue.get()
                if first is None:
                    break
                batch = [first]
                self._commit(conn, tx, limit, heads, batch)
        except BaseException as raised:
            log.critical("writer_failed", exc_info=raised)
            self._fatal = Unavailable(
                "store.writer_failed", "the store's writer stopped", "Restart the daemon."
            )
            self._fail(batch, self._fatal)
        finally:
            self._drain()
            conn.close()

    def _commit(
        self, conn: apsw.Connection, tx: SqliteTx, limit: CpuLimit, heads: Heads, batch: list[Unit]
    ) -> None:
        """One transaction: the first unit and all that wait by then, up to the named bounds."""
        began = time.perf_counter()
        try:
            conn.execute("begin immediate")
            self._run_unit(tx, limit, heads, batch[0])
            while len(batch) < MAX_BATCH_UNITS and time.perf_counter() - began < MAX_BATCH_S:
                try:
                    unit = self._queue.get_nowait()
                except queue.Empty:
                    break
                if unit is None:
                    self._queue.put(None)
                    break
                batch.append(unit)
                self._run_unit(tx, limit, heads, unit)
            touched = heads.touched()
            for head in touched:
                tx.head = head
                self._governor.seal(tx)
            heads.save()
            failpoint("store.before_commit")
            conn.execute("commit")
            failpoint("store.after_commit")
        except (apsw.Error, BatchLost) as raised:
            self._lost(conn, heads, batch, raised)
            return
        self._trouble = None
        self.batches += 1
        self.units += len(batch)
        self._settle(batch, {head.company: head.event_seq for head in touched})

    def _run_unit(self, tx: SqliteTx, limit: CpuLimit, heads: Heads, unit: Unit) -> None:
        began = time.perf_counter()
        limit.start()
        try:
            tx.begin(unit.action, heads.get(unit.action.company))
            execute(tx, self._governor, unit)
        except HomarusError as error:
            unit.error = error
        finally:
            limit.clear()
        took = time.perf_counter() - began
        if took > UNIT_SOFT_S:
            log.warning("slow_unit", capability=unit.action.capability, ms=round(took * 1000, 1))

    def _lost(
        self, conn: apsw.Connection, heads: Heads, batch: list[Unit], raised: Exception
    ) -> None:
        """The batch was not committed: nobody is told otherwise, and the daemon goes on."""
        if conn.in_transaction:
            conn.execute("rollback")
        heads.clear()
        self._governor.forget()
        error = raised.error if isinstance(raised, BatchLost) else engine_error(raised)
        self._trouble = error or unexpected(raised)
        log.error("batch_lost", code=self._trouble.code, units=len(batch), exc_info=raised)
        self._fail(batch, self._trouble)

    def _fail(self, batch: list[Unit], error: HomarusError) -> None:
        for unit in batch:
            unit.error = error
        self._settle(batch, {})

    def _drain(self) -> None:
        """Fail what is left in the queue, so that nobody waits for ever."""
        left: list[Unit] = []
        while not self._queue.empty():
            unit = self._queue.get_nowait()
            if unit is not None:
                left.append(unit)
        self._fail(
            left,
            self._fatal
            or Unavailable("store.stopping", "the daemon is stopping", "Repeat it after restart."),
        )

    def _settle(self, batch: list[Unit], heads: dict[str, int]) -> None:
        loops: dict[Any, list[Unit]] = {}
        for unit in batch:
            if unit.loop is None:
                _resolve(unit)
            else:
                loops.setdefault(unit.loop, []).append(unit)
        if heads and self._listeners and self._loop is not None:
            loops.setdefault(self._loop, [])
        for loop, units in loops.items():
            told = heads if loop is self._loop else {}
            try:
                loop.call_soon_threadsafe(self._wake, units, told)
            except RuntimeError:
                log.warning("loop_closed", units=len(units))

    def _wake(self, units: list[Unit], heads: dict[str, int]) -> None:
        for unit in units:
            _resolve(unit)
        if heads:
            for listener in tuple(self._listeners):
                listener(heads)

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # -- reading ---------------------------------------------------------------------------

    async def read(self, fn: Callable[..., T], *args: Any) -> T:
        return await self._submit_read(fn, args)

    async def _submit_read(
        self, fn: Callable[..., T], args: tuple[Any, ...], limit_s: float = READ_HARD_CPU_S
    ) -> T:
        if self._readers is None or self._stopping:
            raise Unavailable(
                "store.stopping", "the daemon is stopping", "Repeat it after restart."
            )
        if self._reading >= MAX_WAITING_READS:
            raise Busy("store.busy", f"{MAX_WAITING_READS} reads are waiting", "Slow down, repeat.")
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
        conn, rx = local.conn, local.rx
        limit = CpuLimit(conn, limit_s)
        limit.start()
        rx.begin()
        conn.execute("begin")
        try:
            return fn(rx, *args)
        except apsw.InterruptError as raised:
            raise Unavailable(
                "store.read_too_long", "the query took too long", "Ask for less at once."
            ) from raised
        except apsw.Error as raised:
            error = engine_error(raised)
            if error is None:
                raise
            raise error from raised
        finally:
            conn.execute("rollback")

    async def snapshot(self, target: Path) -> None:
        """A consistent, compact copy of the store in a new file, while writes go on."""

        def copy() -> None:
            conn = files.open_reader(self.path)
            try:
                conn.execute("vacuum into ?", (str(target),))
            finally:
                conn.close()

        await asyncio.to_thread(copy)

    def wal_bytes(self) -> int:
        wal = Path(f"{self.path}-wal")
        return wal.stat().st_size if wal.exists() else 0


def _resolve(unit: Unit) -> None:
    future = unit.future
    if future is None or future.done():
        return
    if unit.error is not None:
        future.set_exception(unit.error)
        future.exception()
    else:
        future.set_result(unit.value)
