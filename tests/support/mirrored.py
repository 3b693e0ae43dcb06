"""A company at work with a mirror to a fake target, and the worker that a test turns by hand."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from homarus.flows import mirror_acts, mirror_rows, mirrors
from homarus.outbox.credentials import Credentials
from homarus.outbox.port import Kind
from homarus.outbox.worker import Outbox
from homarus.store.port import Rx
from homarus.testing.ground import Ground, ManualClock, ground
from homarus.testing.mirrors import FaultyTarget
from homarus.testing.shop import OWNER, Shop, open_shop
from homarus.testing.stores import Opener, sqlite_store

MAX_PASSES = 5_000
STEP_MS = 1_000


class Mirrored:
    """`target` is what the mirror `board` writes to."""

    def __init__(self, shop: Shop, target: FaultyTarget, kind: Kind, chance: random.Random) -> None:
        self.shop = shop
        self.target = target
        self.kind = kind
        self.chance = chance
        self.outbox = self.worker()

    @property
    def ground(self) -> Ground:
        return self.shop.ground

    def worker(self, store: Any = None) -> Outbox:
        ground = self.ground
        return Outbox(
            store or ground.store, ground.clock, ground.home, Credentials(ground.store, NoKey()),
            kind=lambda _: self.kind, chance=self.chance,
        )  # fmt: skip

    async def add(self, name: str = "board", mapping: str = "", **config: Any) -> mirrors.Mirror:
        config = {"place": name} | config
        place = self.kind.check(config, self.ground.home)
        manifest = self.kind.manifest
        checked = mirror_acts.Checked(
            manifest.target_type, place.key, place.hosts, place.secrets, manifest.entities,
            round(manifest.delay_s * 1000),
        )  # fmt: skip
        new = mirror_acts.NewMirror(name, config, mapping, checked)
        row: mirrors.Mirror = await self.shop.do("mirror.add", OWNER, mirror_acts.add, new)
        return row

    async def until_empty(self, step_ms: int = STEP_MS) -> int:
        """Passes, with time going on between them, until nothing waits; how many."""
        for n in range(MAX_PASSES):
            await self.outbox.once()
            left, next_ms = await self.ground.read(_left)
            if not left:
                return n + 1
            soon_ms = self.ground.clock.now_ms() + step_ms
            self.ground.clock.at_ms = max(soon_ms, next_ms or 0)
        raise AssertionError(f"{left} rows still wait after {MAX_PASSES} passes")

    async def waits(self) -> int:
        """How much is not over."""
        left, _ = await self.ground.read(_left)
        return int(left)

    async def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """Of the outbox, oldest first."""
        found: list[tuple[Any, ...]] = await self.ground.read(
            lambda rx: rx.all(f"select {', '.join(columns)} from outbox_v2 order by id")
        )
        return found

    async def differences(self, mirror: str = "board") -> list[str]:
        """How the target differs from the store; nothing when each entity is there once, equal."""
        wanted = await self.ground.read(expected, self.ground.company, mirror)
        held = self.target.held()
        wrong = [
            f"{marker}: {len(held.get(marker, []))} records, {held.get(marker)} is not {fields}"
            for marker, fields in wanted.items()
            if held.get(marker) != [fields]
        ]
        return wrong + [f"{marker} should not be there" for marker in held.keys() - wanted.keys()]


class NoKey:
    def unseal(self, sealed: bytes, about: bytes) -> bytes:
        raise AssertionError("no secret is used here")


def _left(rx: Rx) -> tuple[int, int | None]:
    row = rx.one(
        "select count(*), min(scheduled_at) from outbox_v2 "
        "where status in ('pending', 'processing', 'unknown')"
    )
    again = rx.one("select count(*) from mirror where resync is not null and state='active'")
    assert row is not None and again is not None
    return row[0] + again[0], row[1]


def expected(rx: Rx, company: str, mirror: str) -> dict[str, dict[str, Any]]:
    from homarus.flows import mirror_mapping
    from homarus.flows.mirror_entities import ENTITIES

    row = mirrors.need(rx, company, mirror)
    mapping = mirror_mapping.parse(row.mapping, row.entities, row.target_type)
    found = {}
    for name in row.entities:
        for id_ in ENTITIES[name].listed(rx, company, "", 10_000):
            loaded = ENTITIES[name].load(rx, company, id_)
            assert loaded is not None
            marker = mirror_rows.marker_of(name, loaded[0], id_)
            found[marker] = mirror_mapping.apply(mapping, name, loaded[1])
    return found


@asynccontextmanager
async def mirrored(
    home: Path, seed: int = 0, faults: tuple[str, ...] = (), opener: Opener = sqlite_store,
    **manifest: Any,
) -> AsyncIterator[Mirrored]:  # fmt: skip
    """A shop whose mirror `board` is not yet added."""
    clock = ManualClock()
    async with ground(home, clock, opener) as opened:
        shop = await open_shop(opened)
        await opened.write("company.update", _observe)
        target = FaultyTarget(clock, seed, faults)
        yield Mirrored(shop, target, target.kind(**manifest), random.Random(seed))


def _observe(tx: Any) -> None:
    tx.run("update company set level='observe' where id=?", (tx.company,))
    tx.emit("company_updated", tx.company, {})
