"""Housekeeping over a real store: anchors, folded refusals, old keys, leases, sessions."""

import json
from pathlib import Path

from homarus.base.action import Action
from homarus.base.errors import Refused
from homarus.control_plane.route import json_reply
from homarus.dispatch.maintenance import SWEEP_ROWS, Maintenance, Periods
from homarus.kernel import anchors, receipts, tokens
from homarus.records.blobs import Blobs
from homarus.store.port import IDEMPOTENCY_KEPT_MS, Key, Reply, Rx, Tx
from homarus.testing.ground import Ground, ground

MINUTE_MS = 60_000


def house(g: Ground) -> Maintenance:
    blobs = Blobs(g.home / "blobs")
    return Maintenance(g.store, g.kernel, g.clock, g.home / "run", Periods(), blobs)


async def test_anchors_name_the_last_seal_of_each_ledger_once(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        work = house(g)
        await work.anchor()
        await work.anchor()
        kept = anchors.read(g.home / "run" / anchors.FILE_NAME)
        heads = await g.read(anchors.heads_to_anchor)
        assert [(a.company, a.no, a.hash) for a in kept] == [
            (a.company, a.no, a.hash) for a in heads
        ]
        assert json.loads((g.home / "run" / anchors.FILE_NAME).read_text().splitlines()[0])


def viewer(tx: Tx) -> str:
    token, _ = tokens.mint(tx, company=tx.company, kind="operator", name="v", role="viewer")
    return token.id


def nothing(tx: Tx) -> None:
    return None


def repeats(rx: Rx) -> list[int | None]:
    return [row[0] for row in rx.all("select repeats from receipt where verdict=1 order by seq")]


async def test_equal_refusals_are_counted_after_a_minute(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        token = await g.write("token.create", viewer)
        refused = Action(g.company, "token.create", "token:new", credential=token)
        for _ in range(5):
            try:
                await g.store.write(refused, nothing)
            except Refused as error:
                assert error.rule == "permission"
        work = house(g)
        await work.flush()
        assert await g.read(repeats) == [None]
        g.clock.advance(receipts.FOLD_MS)
        await work.flush()
        await work.flush()
        assert await g.read(repeats) == [None, 4]


def answer(tx: Tx, n: int) -> Reply:
    return json_reply({"n": n})


def kept_keys(rx: Rx) -> int:
    row = rx.one("select count(*) from idempotency")
    return 0 if row is None else int(row[0])


async def test_old_keys_are_swept_in_small_units(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        old = SWEEP_ROWS + 20
        for n in range(old):
            key = Key(n.to_bytes(16, "big"), b"12345678")
            await g.store.write_once(g.action("task.expire"), answer, n, key=key)
        g.clock.advance(IDEMPOTENCY_KEPT_MS + 1)
        fresh = Key(b"f" * 16, b"12345678")
        await g.store.write_once(g.action("task.expire"), answer, 0, key=fresh)
        await house(g).sweep()
        assert await g.read(kept_keys) == 1
        replayed = await g.store.write_once(g.action("task.expire"), answer, 9, key=fresh)
        assert replayed.replayed
