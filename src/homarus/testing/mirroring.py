"""A child process that mirrors a company until it is killed.

    python -m homarus.testing.mirroring HOME SEED ROUNDS START_MS

It opens (or makes) the store of HOME and a mirror to a `FileTarget` beside it, makes and changes
tasks in an order that SEED fixes, and pushes them, side by side (SEED even) or one by one. It ends
by itself when all is pushed.
`HOMARUS_FAILPOINT` says where it dies (base/failpoint.py); without one the target has no faults.
"""

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from homarus.flows import mirror_acts, mirrors
from homarus.outbox.credentials import Credentials
from homarus.outbox.worker import Outbox
from homarus.store.port import Rx, Tx
from homarus.testing.ground import Ground, ManualClock, ground
from homarus.testing.mirrors import LOST_AFTER, PARTIAL, FileTarget
from homarus.testing.shop import OWNER, Shop, open_shop

TARGET: Final = "target.jsonl"
MIRROR: Final = "board"
TASKS: Final = 8
MAX_PASSES: Final = 5_000
STEP_MS: Final = 1_000


class NoKey:
    def unseal(self, sealed: bytes, about: bytes) -> bytes:
        raise AssertionError("no secret is used here")


def observe(tx: Tx) -> None:
    """Which targets are allowed is not what is tried here."""
    tx.run("update company set level='observe' where id=?", (tx.company,))
    tx.emit("company_updated", tx.company, {})


def tasks(rx: Rx) -> list[str]:
    return [row[0] for row in rx.all("select id from task where state<>'archived' order by id")]


def waits(rx: Rx) -> int:
    row = rx.one(
        "select (select count(*) from outbox_v2 where status in ('pending', 'processing', "
        "'unknown')) + (select count(*) from mirror where resync is not null)"
    )
    return 0 if row is None else int(row[0])


async def settle_in(shop: Shop, target: FileTarget) -> None:
    """The mirror, at the first start."""
    company = shop.ground.company
    if await shop.ground.read(mirrors.find, company, MIRROR) is not None:
        return
    await shop.ground.write("company.update", observe)
    manifest = target.kind().manifest
    checked = mirror_acts.Checked(manifest.target_type, "fake:file", (), (), manifest.entities, 0)
    new = mirror_acts.NewMirror(MIRROR, {"place": "file"}, "", checked)
    await shop.do("mirror.add", OWNER, mirror_acts.add, new)


async def work(shop: Shop, chance: random.Random, rounds: int) -> None:
    for _ in range(rounds):
        known = await shop.ground.read(tasks)
        if len(known) < TASKS or chance.random() < 0.3:
            await shop.task(priority=0)
        elif chance.random() < 0.8:
            await shop.patch(chance.choice(known), priority=chance.randrange(-100, 100))
        else:
            await shop.archive(chance.choice(known))
        await asyncio.sleep(0)


async def push(opened: Ground, outbox: Outbox, working: asyncio.Task[None]) -> None:
    """Passes, a simulated second apart, until the work is done and all of it pushed."""
    await outbox.recover(alone=True)
    for _ in range(MAX_PASSES):
        await outbox.once()
        opened.clock.advance(STEP_MS)
        if working.done() and not await opened.read(waits):
            return
    raise AssertionError("it is not pushed")


async def main(home: Path, seed: int, rounds: int, at_ms: int) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    clock, chance = ManualClock(at_ms), random.Random(seed)  # noqa: S311 - a seeded test
    async with ground(home, clock) as opened:
        shop = await open_shop(opened)
        faults = (LOST_AFTER, PARTIAL) if os.environ.get("HOMARUS_FAILPOINT") else ()
        target = FileTarget(home / TARGET, clock, seed, faults)
        await settle_in(shop, target)
        kind: Any = target.kind(serial_by=("entity", "mirror")[seed % 2])
        outbox = Outbox(
            opened.store, clock, home, Credentials(opened.store, NoKey()), kind=lambda _: kind
        )
        working = asyncio.create_task(work(shop, chance, rounds))
        await push(opened, outbox, working)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
