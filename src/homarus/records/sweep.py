"""Contents that no artifact has any more: removed at once when asked, else by the sweep.

Both ask the store who refers to a content and then remove it only if nobody began to hold one
meanwhile (`Blobs.remove`), so an upload of the same content never loses it.
"""

import asyncio

from homarus.records import artifacts
from homarus.records.blobs import MAX_SWEPT, Blobs
from homarus.store.port import Store


async def purge(store: Store, blobs: Blobs, sha256: str) -> bool:
    """Remove one content now, unless some artifact has it. Called after the row is deleted."""
    return bool(await purge_all(store, blobs, [sha256]))


async def purge_all(store: Store, blobs: Blobs, contents: list[str]) -> int:
    """The same for several; how many went."""
    return await _remove_unreferred(store, blobs, sorted(set(contents)))


async def sweep(store: Store, blobs: Blobs) -> int:
    """Remove all contents an hour old that no row names; how many. For the maintenance worker."""
    removed, after = 0, ""
    while True:
        names = await asyncio.to_thread(blobs.old, after)
        removed += await _remove_unreferred(store, blobs, names)
        if len(names) < MAX_SWEPT:
            return removed
        after = names[-1]


async def _remove_unreferred(store: Store, blobs: Blobs, names: list[str]) -> int:
    if not names:
        return 0
    ticket = blobs.ticket()
    referred = await store.read(artifacts.referred, names)
    gone = [name for name in names if name not in referred]
    return await asyncio.to_thread(lambda: sum(blobs.remove(name, ticket) for name in gone))
