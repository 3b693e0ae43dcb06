"""What the daemon tells the service manager that started it: sd_notify(3), sd_watchdog_enabled(3).

    say("READY=1", ...)      one datagram to $NOTIFY_SOCKET; nothing where there is none
    with watchdog(loop):     pings from the loop itself, so that a loop that is stuck is found

A restart in place keeps process id and environment, so the same manager goes on listening. The
manager ends a daemon whose pings stay away with SIGABRT: the traces of its threads then go to
standard error.
"""

import contextlib
import faulthandler
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

SEND_S: Final = 1.0
"""Longest wait for a manager that does not read."""
STOP_EXTRA_S: Final = 30
"""Beyond the drain: turns are handed back, the ledger is anchored, the store closed."""
PINGS: Final = 2
"""In each period of the watchdog, as sd_watchdog_enabled(3) recommends."""


def ready(status: str) -> None:
    say("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")


def reloading(status: str) -> None:
    """Until `ready` is said again; a restart in place counts as a reload."""
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    say("RELOADING=1", f"MONOTONIC_USEC={now_us}", f"STATUS={status}")


def stopping(drain_s: float) -> None:
    """The stop may take `drain_s` and STOP_EXTRA_S, whatever the unit says: the drain may have been
    set longer since it was written."""
    within_us = round((drain_s + STOP_EXTRA_S) * 1e6)
    say("STOPPING=1", f"EXTEND_TIMEOUT_USEC={within_us}", "STATUS=draining")


def say(*lines: str) -> bool:
    """Whether the manager took it. A manager that cannot be told is no reason to fail."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address[0] == "@":
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_S)
            sender.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), address)
    except OSError:
        return False
    return True


def watchdog_s() -> float | None:
    """The period within which the manager wants to hear of this process; None: it does not."""
    for_pid = os.environ.get("WATCHDOG_PID", "")
    period = os.environ.get("WATCHDOG_USEC", "")
    if not (period.isascii() and period.isdigit()) or for_pid not in ("", str(os.getpid())):
        return None
    return int(period) / 1e6 or None


@contextlib.contextmanager
def watchdog(loop: "AbstractEventLoop") -> Iterator[None]:
    """Ping while inside, if the manager asked for it."""
    period_s = watchdog_s()
    if period_s is None:
        yield
        return
    with contextlib.suppress(ValueError, OSError):  # standard error may be closed
        faulthandler.enable(sys.stderr)
    timer: TimerHandle | None = None

    def ping() -> None:
        nonlocal timer
        say("WATCHDOG=1")
        timer = loop.call_later(period_s / PINGS, ping)

    ping()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
