"""What a removed folder held, removed in bounded units: the rows themselves are the cursor.

A removed folder is marked `emptying`. Each unit removes some artifacts of marked folders, or marks
their subfolders, and unmarks one that holds nothing any more. Whoever starts it, whatever ends it:
the maintenance worker goes on (design, 4).
"""

from typing import Final

import msgspec

from homarus.base.action import Action
from homarus.records import artifacts, folders, sweep
from homarus.records.blobs import Blobs
from homarus.store.port import Rx, Store, Tx

ROWS_A_UNIT: Final = 10
"""Of 25 rows, 9 units in 200 took more than the 5 ms of a unit on a machine at work."""
MAX_UNITS: Final = 100_000


class Emptied(msgspec.Struct, frozen=True):
    """`rows` that a unit removed or unmarked; `contents` (SHA-256) that those artifacts had."""

    rows: int
    contents: list[str]


def due(rx: Rx, limit: int) -> list[str]:
    """Companies with folders to empty."""
    rows = rx.all("select distinct company from artifact_folder where emptying=1 limit ?", (limit,))
    return [row[0] for row in rows]


def some(tx: Tx, limit: int) -> Emptied:
    """At most `limit` rows of what removed folders of this company hold."""
    left = limit
    contents: list[str] = []
    while left > 0:
        row = tx.one(
            "select id from artifact_folder where company=? and emptying=1 order by no limit 1",
            (tx.company,),
        )
        if row is None:
            break
        folder = row[0]
        for artifact in artifacts.listed(tx, tx.company, {"folder": folder}, limit=left):
            contents += artifacts.take_away(tx, artifact)
            left -= 1
        for (child,) in tx.all(
            "select id from artifact_folder where parent=? and deleted_ms is null "
            "order by no limit ?",
            (folder, left),
        ):
            folders.mark_removed(tx, child)
            left -= 1
        if left > 0:
            tx.run("update artifact_folder set emptying=0 where id=?", (folder,))
            left -= 1
    return Emptied(limit - left, contents)


def some_rows(tx: Tx, limit: int) -> int:
    """The same for the maintenance worker, which leaves contents to the sweep."""
    return some(tx, limit).rows


async def finish(store: Store, blobs: Blobs, company: str) -> None:
    """Empty all removed folders of a company now, bytes included."""
    action = Action(company, "folder.empty", f"company:{company}", system="folders")
    for _ in range(MAX_UNITS):
        emptied: Emptied = await store.write(action, some, ROWS_A_UNIT)
        await sweep.purge_all(store, blobs, emptied.contents)
        if emptied.rows < ROWS_A_UNIT:
            return
