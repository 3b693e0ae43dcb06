"""The PostgreSQL store: a few writer threads, each with one company's waiting units at a time.

Batching, isolation and per-company order are those of the SQLite store (design, 4): a batch is one
transaction under the company's advisory lock, each unit in a savepoint, one commit, one wake-up.
Companies commit side by side; replicas take turns within a company.

Replicas share what the database does not hold: the home's master key (`run/master.key`), with
which the companies' signing keys are sealed, and the time (their clocks must agree).
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
import structlog
from psycopg import errors

from homarus.base.clock import Clock, SystemClock
from homarus.base.errors import HomarusError, Unavailable
from homarus.store.engine import Engine, busy, stopping
from homarus.store.migrations import load
from homarus.store.port import MAX_WAITING_READS, READ_HARD_CPU_S, Governor, Rx, Ts
from homarus.store.postgres import schema
from homarus.store.postgres.driver import (
    connect,
    engine_error,
    lost,
    public_url,
    unavailable,
    value_error,
)
from homarus.store.postgres.feed import FeedListener
from homarus.store.postgres.queues import CompanyQueues
from homarus.store.postgres.tx import PostgresRx
from homarus.store.postgres.writer import Writer
from homarus.store.unit import Unit

log = structlog.get_logger("store")
T = TypeVar("T")

WRITERS: Final = 4
READERS: Final = 4
STOP_S: Final = 15.0
MAX_TOLD: Final = 10_000
BEGIN_READ: Final = b"begin isolation level repeatable read read only"


class PostgresStore(Engine):
    """See `homarus.store.port.Store`. `url` is a libpq address; the attribute shows no secret."""

    def __init__(self, url: str, governor: Governor, clock: Clock | None = None) -> None:
        super().__init__()
        self.url = public_url(url)
        self._address = url
        self._queues = CompanyQueues()
        self._clock = clock or SystemClock()
        self._writers = [
            Writer(url, self._queues, governor, self._clock, self) for _ in range(WRITERS)
        ]
        self._listener: FeedListener | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._reading = 0
        self._told: dict[str, int] = {}
        self._counting = threading.Lock()

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Check, migrate, connect. Raises `store.*` with the database as it was."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._open)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        for writer in self._writers:
            writer.thread.start()
        self._listener = FeedListener(self._address, self._heard)
        self._listener.start()
        try:
            await self.read(_first_look)
        except BaseException:
            await self.stop()
            raise

    def _open(self) -> None:
        conn = connect(self._address, "start")
        try:
            schema.check_server(conn)
            schema.prepare(conn, load("postgres"))
        except psycopg.Error as raised:
            raise (engine_error(raised) or _not_opened(raised)) from raised
        finally:
            conn.close()

    async def stop(self) -> None:
        """Take no more, finish what waits, close."""
        self._stopping = True
        self._queues.close()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        if self._readers is not None:
            self._readers.shutdown()
        for writer in self._writers:
            if writer.thread.ident is not None:
                writer.thread.join(STOP_S)
                if writer.thread.is_alive():
                    log.error("writer_still_busy", waited_s=STOP_S)
        self._closed = True
        self._fail_left()
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    async def check(self) -> str:
        """Whether the feeds end at their heads; the server checks its own files."""
        self._checked = await self.read(_check_heads)
        if self._checked != "ok":
            self._fatal = Unavailable(
                "store.corrupt",
                "the database is damaged",
                "Stop all replicas and restore the database from its last backup.",
            )
            log.error("store_corrupt", check=self._checked)
        return self._checked

    # -- writing ---------------------------------------------------------------------------

    def _put(self, unit: Unit) -> None:
        self._queues.put(unit)

    def _take_left(self) -> list[Unit]:
        return self._queues.take_left()

    def committed(self, batch: list[Unit], company: str, event_seq: int | None) -> None:
        with self._counting:
            self.batches += 1
            self.units += len(batch)
        self._trouble = None
        self._settle(batch, {} if event_seq is None else {company: event_seq})

    def failed(self, batch: list[Unit], error: HomarusError) -> None:
        if isinstance(error, Unavailable):
            self._trouble = error
        self._fail(batch, error)

    def broke(self, batch: list[Unit], raised: BaseException) -> None:
        self._fatal = Unavailable(
            "store.writer_failed", "a writer of the store stopped", "Restart the daemon."
        )
        self._closed = True
        self._queues.close()
        self._fail(batch, self._fatal)
        self._fail_left()

    # -- the feed --------------------------------------------------------------------------

    def _heard(self, heads: dict[str, int]) -> None:
        """From the listener's thread."""
        if self._loop is not None and heads:
            try:
                self._loop.call_soon_threadsafe(self._tell, heads)
            except RuntimeError:
                log.warning("loop_closed", heads=len(heads))

    def _tell(self, heads: dict[str, int]) -> None:
        """Own commits are heard of twice, and threads overtake each other: tell what is newer."""
        news = {c: seq for c, seq in heads.items() if seq > self._told.get(c, 0)}
        if len(self._told) > MAX_TOLD:
            self._told.clear()
        self._told |= news
        if news:
            super()._tell(news)

    # -- reading ---------------------------------------------------------------------------

    async def read(self, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> T:
        if self._readers is None or self._stopping:
            raise stopping()
        if self._reading >= MAX_WAITING_READS:
            raise busy("reads", MAX_WAITING_READS)
        self._reading += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, self._read, fn, args)
        finally:
            self._reading -= 1

    def _read(self, fn: Callable[..., T], args: tuple[Any, ...]) -> T:
        """One read; a second time on a new connection when the old one turns out to be dead."""
        local = self._local
        if getattr(local, "conn", None) is not None:
            try:
                return self._read_once(fn, args)
            except _ConnectionLost:
                local.conn = None
        limit_ms = round(READ_HARD_CPU_S * 1000)
        local.conn = connect(self._address, "reader", statement_timeout_ms=limit_ms)
        local.rx = PostgresRx(local.conn, self._clock.now_ms)
        try:
            return self._read_once(fn, args)
        except _ConnectionLost as gone:
            local.conn = None
            raise unavailable(gone.__cause__) from gone

    def _read_once(self, fn: Callable[..., T], args: tuple[Any, ...]) -> T:
        conn, rx = self._local.conn, self._local.rx
        rx.begin()
        try:
            conn.execute(BEGIN_READ)
            return fn(rx, *args)
        except errors.QueryCanceled as raised:
            raise Unavailable(
                "store.read_too_long", "the query took too long", "Ask for less at once."
            ) from raised
        except (psycopg.Error, UnicodeEncodeError, OverflowError) as raised:
            if lost(conn):
                raise _ConnectionLost from raised
            error = engine_error(raised) or value_error(raised)
            if error is None:
                raise
            raise error from raised
        finally:
            if not lost(conn) and conn.info.transaction_status.name != "IDLE":
                conn.execute("rollback")

    async def snapshot(self, target: Path) -> None:
        """Not offered: the server's own tools take consistent backups. Raises `store.snapshot`."""
        raise Unavailable(
            "store.snapshot",
            "a store on PostgreSQL is backed up with PostgreSQL's own tools",
            f"Run `pg_dump --format=custom --file={target.name} {self.url}`.",
        )


class _ConnectionLost(Exception):
    """A reader's session is gone."""


def _not_opened(raised: BaseException) -> Unavailable:
    return Unavailable(
        "store.io",
        f"the store could not be opened ({type(raised).__name__})",
        "See the daemon's log and the database server's. The database was left as it was.",
    )


def _first_look(rx: Rx) -> None:
    rx.one("select count(*) from meta")


def _check_heads(rx: Rx) -> str:
    wrong = rx.all(
        "select h.company_no from company_head h where h.event_seq <> coalesce("
        "(select max(e.seq) from event e where e.company_no=h.company_no), 0) limit 5"
    )
    return (
        "; ".join(f"the feed of company {row[0]} does not end at its head" for row in wrong) or "ok"
    )
