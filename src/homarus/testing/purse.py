"""A company that spends: budgets, reservations and what they come to, over a `Shop`; and the child
process that crash tests kill in the middle of it.

    python -m homarus.testing.purse HOME SEED START_MS [URL]

The child's 50 spenders reserve at once against 1.00 and settle for that or less. Each acknowledged
act is one JSON line on standard output. `HOMARUS_FAILPOINT` says where it dies: `purse.between` is
between reserve and settle.
"""

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from homarus.base.action import Estimate
from homarus.base.errors import HomarusError
from homarus.base.failpoint import failpoint
from homarus.flows import spending
from homarus.kernel import reservations
from homarus.kernel.prices import MICROS
from homarus.store.port import Tx
from homarus.store.sqlite.engine import SqliteStore
from homarus.testing.ground import ManualClock, ground
from homarus.testing.shop import OWNER, SYSTEM, Shop, open_shop
from homarus.testing.stores import postgres_store

SPENDERS: Final = 50
ROUNDS: Final = 3
LIMIT: Final = MICROS


def _reserved(tx: Tx) -> reservations.Reservation:
    row = reservations.of_unit(tx)
    if row is None:
        raise AssertionError("an act with an estimate has a reservation")
    return row


class Purse:
    """Money of a shop. `as_` as in `Shop`."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def limit(
        self, scope: str, subject: str | None, unit: str, period: str, limit: int | None,
        as_: str = OWNER,
    ) -> Any:  # fmt: skip
        return await self.shop.do(
            "budget.set", as_, spending.set_budget, scope, subject, unit, period, limit
        )

    async def reserve(
        self, as_: str, estimate: Estimate, task: str | None = None, capability: str = "model.call"
    ) -> reservations.Reservation:
        action = self.shop.action(capability, as_, "model:", task)
        wanted = msgspec.structs.replace(action, estimate=estimate)
        row: reservations.Reservation = await self.shop.ground.store.write(wanted, _reserved)
        return row

    async def settle(self, as_: str, reservation: str, **actual: Any) -> spending.Settled:
        done: spending.Settled = await self.shop.do(
            "budget.settle", as_, spending.settle, reservation, spending.Actual(**actual)
        )
        return done

    async def release(self, as_: str, reservation: str) -> None:
        await self.shop.do("budget.settle", as_, spending.release, reservation)

    async def expire(self) -> int:
        count: int = await self.shop.do("budget.expire", SYSTEM, spending.expire_due, 500)
        return count


def _tell(act: str, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"act": act, **facts}) + "\n")
    sys.stdout.flush()


async def _spend(purse: Purse, agent: str, choice: random.Random) -> None:
    for _ in range(ROUNDS):
        most = choice.randrange(1, LIMIT // 10)
        try:
            row = await purse.reserve(agent, Estimate(money=most))
        except HomarusError as error:
            _tell("refused", code=error.code)
            continue
        _tell("reserved", id=row.id, money=most)
        failpoint("purse.between")
        came_to = choice.randrange(most + 1)
        await purse.settle(agent, row.id, money=came_to)
        _tell("settled", id=row.id, money=came_to)


async def main(home: Path, seed: int, start_ms: int, url: str = "") -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    choice = random.Random(seed)  # noqa: S311 - a seeded test
    async with ground(
        home, ManualClock(start_ms), postgres_store(url) if url else SqliteStore
    ) as opened:
        shop = await open_shop(opened)
        purse = Purse(shop)
        names = [f"spender-{start_ms}-{n}" for n in range(SPENDERS)]
        for name in names:
            await shop.agent(name)
        await purse.limit("company", None, "money", "total", LIMIT)
        await asyncio.gather(
            *(_spend(purse, name, random.Random(choice.random())) for name in names)  # noqa: S311
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]))
