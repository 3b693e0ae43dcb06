"""Housekeeping over a real store: anchors, folded refusals, old keys, leases, sessions."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.base.action import Action
from homarus.base.errors import Refused
from homarus.control_plane.route import json_reply
from homarus.dispatch.maintenance import SWEEP_ROWS, Maintenance, Periods
from homarus.kernel import anchors, receipts, tokens
from homarus.kernel.kernel import MAX_COUNTS, MAX_FOLDED
from homarus.records.blobs import Blobs
from homarus.store.port import IDEMPOTENCY_KEPT_MS, Key, Reply, Rx, Tx
from homarus.testing.daemon import key, running
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


async def refuse(g: Ground, token: str, times: int = 1, **more: Any) -> None:
    action = Action(g.company, "token.create", "token:new", credential=token)
    for _ in range(times):
        try:
            await g.store.write(msgspec.structs.replace(action, **more), nothing)
        except Refused as error:
            assert error.rule == "permission"


@pytest.mark.parametrize(
    "other",
    [{"target": "token:other"}, {"task": "0" * 8 + "-0000-7000-8000-" + "0" * 12},
     {"arguments": b"x" * 32}],
)  # fmt: skip
async def test_refusals_that_are_not_equal_are_rows(tmp_path: Path, other: dict[str, Any]) -> None:
    async with ground(tmp_path) as g:
        token = await g.write("token.create", viewer)
        for _ in range(2):
            await refuse(g, token)
            await refuse(g, token, **other)
        assert await g.read(repeats) == [None, None]
        await house(g).flush(0)
        assert await g.read(repeats) == [None, None, 1, 1]


async def test_a_full_table_of_refusals_loses_no_count(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        token = await g.write("token.create", viewer)
        await refuse(g, token, 3)
        for n in range(MAX_FOLDED):
            await refuse(g, token, target=f"token:{n}")
        assert [n for n in await g.read(repeats) if n] == [2]
        await refuse(g, token, 2)
        assert len(await g.read(repeats)) == MAX_FOLDED + 3


async def test_more_counts_than_a_unit_writes_are_written_by_several(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        token = await g.write("token.create", viewer)
        many = 2 * MAX_COUNTS + 1
        for n in range(many):
            await refuse(g, token, 2, target=f"token:{n}")
        await house(g).flush(0)
        assert (await g.read(repeats))[many:] == [1] * many


async def test_a_daemon_that_stops_writes_what_it_counted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home) as daemon:
        ada = await daemon.agent("ada")
        _, secret = await daemon.token(kind="agent", agentId=ada)
        client = daemon.client(secret)
        for _ in range(3):
            reply = await client.post("/api/v1/tokens", json={"name": "mine"}, headers=key())
            assert reply.status_code == 403, reply.text
    async with running(home) as daemon:
        query = {"capability": "token.create", "verdict": "refuse"}
        reply = await daemon.owner.get("/api/v1/receipts", params=query)
        rows = reply.json()["receipts"]
    assert sorted(row.get("repeats") or 0 for row in rows) == [0, 2]


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
