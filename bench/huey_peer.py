"""A peer: huey's SQLite store with its own durable settings (`fsync=True`: synchronous FULL, WAL).

A lifecycle is enqueue, dequeue and the result's row of a no-op. huey deletes a task when it is
dequeued, so a crash loses it there; it keeps no lease, receipt or event. One thread: more of them
only wait for SQLite's write lock.
"""

import time
from pathlib import Path

from huey import SqliteHuey


def rate(folder: Path, count: int) -> float:
    """Lifecycles a second."""
    queue = SqliteHuey("bench", filename=str(folder / "huey.db"), fsync=True)
    no_op = queue.task()(_no_op)
    no_op()
    queue.execute(queue.dequeue())
    began = time.perf_counter()
    for _ in range(count):
        no_op()
    for _ in range(count):
        queue.execute(queue.dequeue())
    seconds = time.perf_counter() - began
    left = queue.pending_count()
    queue.storage.close()
    if left:
        raise AssertionError(f"{left} tasks left in the peer's queue")
    return count / seconds


def _no_op() -> int:
    return 1
