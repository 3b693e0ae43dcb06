"""Wake-ups from other replicas: one connection that listens. NOTIFY wakes, the feed carries.

A notice names a company; how far its feed goes is read from its head. After a lost connection all
heads are read, so nothing is missed.
"""

import os
import select
import threading
from collections.abc import Callable
from typing import Final

import psycopg
import structlog

from homarus.base.errors import Unavailable
from homarus.store.postgres.driver import CHANNEL, Connection, connect, rows_of

log = structlog.get_logger("store")

IDLE_S: Final = 30.0
RECONNECT_S: Final = 1.0

ALL_HEADS: Final = (
    "select c.id, h.event_seq from company c join company_head h on h.company_no=c.no"
)
SOME_HEADS: Final = f"{ALL_HEADS} where c.id = any(?)"


class FeedListener:
    """Calls `told({company: newest event seq})` from its thread, until `stop`."""

    def __init__(self, url: str, told: Callable[[dict[str, int]], None]) -> None:
        self._url = url
        self._told = told
        self._wake_r, self._wake_w = os.pipe()
        self._stopping = False
        self.listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-listener")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits for the thread's end."""
        self._stopping = True
        os.write(self._wake_w, b"x")
        self._thread.join()
        os.close(self._wake_r)
        os.close(self._wake_w)

    def _run(self) -> None:
        while not self._stopping:
            try:
                with connect(self._url, "listener") as conn:
                    conn.execute(f"listen {CHANNEL}".encode())
                    self._told(dict(rows_of(conn, ALL_HEADS)))
                    self.listening.set()
                    while not self._stopping:
                        self._wait(conn)
            except (psycopg.Error, Unavailable) as raised:
                self.listening.clear()
                if not self._stopping:
                    log.warning("listener_reconnects", error=type(raised).__name__)
                    select.select([self._wake_r], [], [], RECONNECT_S)

    def _wait(self, conn: Connection) -> None:
        """One wake-up; after an idle time, a question that finds out a dead connection."""
        ready, _, _ = select.select([conn.fileno(), self._wake_r], [], [], IDLE_S)
        if self._wake_r in ready:
            return
        if not ready:
            conn.execute("select 1")
        companies = {notice.payload for notice in conn.notifies(timeout=0)}
        if companies:
            self._told(dict(rows_of(conn, SOME_HEADS, (sorted(companies),))))
