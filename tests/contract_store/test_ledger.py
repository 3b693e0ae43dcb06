"""Receipts and seals: what is stored recomputes to what was signed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from homarus.kernel import receipts, seals
from homarus.kernel.keys import public_key
from homarus.store.port import Rx
from homarus.testing.stores import Opener, OpenStore, opened
from tests.contract_store import units

pytestmark = pytest.mark.contract


def ledger(rx: Rx, company: str) -> tuple[int, list[tuple[Any, ...]], list[Any], bytes | None]:
    """(company number, receipts without company_no, seals, public key), as stored."""
    row = rx.one("select no from company where id=?", (company,))
    assert row is not None
    no = row[0]
    rows = [receipts.columns(r) for r in rx.all(receipts.select_sql("company_no=?"), (no,))]
    chain = rx.all(
        "select no, at_ms, first_seq, last_seq, root, previous, hash, signature from seal "
        "where company_no=? order by no",
        (no,),
    )
    return no, rows, chain, public_key(rx, no)


async def verify(store: OpenStore, company: str) -> int:
    """Recompute leaves, roots, hashes, signatures; the number of receipts."""
    _, rows, chain, public = await store.store.read(ledger, company)
    assert public is not None
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert receipts.leaf(company, row[:-1]) == row[-1]
    previous, after = seals.EMPTY, 0
    for expected, seal in enumerate(chain, start=1):
        no, at_ms, first, last, root, named, digest, signature = seal
        assert (no, first, named) == (expected, after + 1, previous)
        assert seals.merkle_root([row[-1] for row in rows[first - 1 : last]]) == root
        assert seals.seal_hash(company, no, at_ms, first, last, root, previous) == digest
        assert seals.verify_signature(public, digest, signature)
        previous, after = digest, last
    assert after == len(rows)
    return len(rows)


async def some_of_everything(store: OpenStore, company: str) -> None:
    action = store.action(company=company)
    refused = await store.refused_action(company)
    for n in range(10):
        await asyncio.gather(
            store.store.write(action, units.put, "x", n),
            store.store.write(action, units.put_and_fail, "y"),
            store.store.write(refused, units.put, "z"),
            store.store.write(action, units.add, "w"),
            return_exceptions=True,
        )


async def test_the_ledger_recomputes(store: OpenStore) -> None:
    await some_of_everything(store, store.company)
    assert await verify(store, store.company) == 1 + 10 * 4 + 1


async def test_the_chain_goes_on_over_restarts(opener: Opener, tmp_path: Path) -> None:
    for _ in range(3):
        async with opened(opener, tmp_path) as made:
            await some_of_everything(made, made.company)
    async with opened(opener, tmp_path) as made:
        await verify(made, made.company)


async def test_each_company_has_its_own_chain_and_key(store: OpenStore) -> None:
    other = await store.found("other")
    await asyncio.gather(some_of_everything(store, store.company), some_of_everything(store, other))
    await verify(store, store.company)
    await verify(store, other)
    await verify(store, "")
    _, _, _, ours = await store.store.read(ledger, store.company)
    _, _, _, theirs = await store.store.read(ledger, other)
    assert ours != theirs


async def test_a_home_with_another_master_key_cannot_seal_and_writes_nothing(
    opener: Opener, tmp_path: Path
) -> None:
    async with opened(opener, tmp_path) as made:
        await made.store.write(made.action(), units.put, "x")
    (tmp_path / "run" / "master.key").write_text("00" * 32)
    async with opened(opener, tmp_path) as made:
        [answer] = await asyncio.gather(
            made.store.write(made.action(), units.put, "x", 2), return_exceptions=True
        )
        assert getattr(answer, "code", None) == "keys.unseal"
        assert await made.store.read(units.value, made.company, "x") == 1
        assert made.store.health()["error"] == "keys.unseal"
