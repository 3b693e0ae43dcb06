"""Idempotency: one key, one effect, and which answers are replayed (control-plane contract, 3)."""

import asyncio
from pathlib import Path

import pytest

from homarus.base.errors import Conflict
from homarus.store.port import Key, Reply, Tx
from homarus.testing.stores import Opener, OpenStore, opened
from tests.contract_store import units

pytestmark = pytest.mark.contract

K = b"k" * 16
ONE, OTHER = b"1" * 8, b"2" * 8


async def effects(store: OpenStore, name: str = "x") -> int:
    return await store.store.read(units.value, store.company, name) or 0


async def put(store: OpenStore, key: Key, status: int = 200) -> Reply:
    return await store.store.write_once(store.action(), units.put_reply, "x", status, key=key)


async def test_the_same_request_again_is_answered_without_its_effect(store: OpenStore) -> None:
    first = await put(store, Key(K, ONE))
    again = await put(store, Key(K, ONE))
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.status, again.body) == (first.status, first.body)
    assert await effects(store) == 1
    rows = await store.store.read(units.receipts, store.company)
    assert len(rows) == 1


async def test_a_replay_outlives_a_restart(opener: Opener, tmp_path: Path) -> None:
    async with opened(opener, tmp_path) as first:
        await put(first, Key(K, ONE), 201)
    async with opened(opener, tmp_path) as second:
        again = await put(second, Key(K, ONE), 201)
        assert (again.replayed, again.status, await effects(second)) == (True, 201, 1)


async def test_another_body_is_another_request_unless_the_key_is_strict(store: OpenStore) -> None:
    await put(store, Key(K, ONE))
    assert not (await put(store, Key(K, OTHER))).replayed
    assert await effects(store) == 2
    with pytest.raises(Conflict) as caught:
        await put(store, Key(K, b"3" * 8, strict=True))
    assert caught.value.code == "idempotency.mismatch"
    assert await effects(store) == 2


async def test_a_strict_key_replays_its_own_body(store: OpenStore) -> None:
    await put(store, Key(K, ONE, strict=True))
    assert (await put(store, Key(K, ONE, strict=True))).replayed


@pytest.mark.parametrize("status", [199, 300, 404, 409, 503])
async def test_only_success_is_kept(store: OpenStore, status: int) -> None:
    await put(store, Key(K, ONE), status)
    assert not (await put(store, Key(K, ONE))).replayed
    assert await effects(store) == 2


async def test_a_failed_unit_keeps_nothing(store: OpenStore) -> None:
    with pytest.raises(Conflict):
        await store.store.write_once(
            store.action(),
            units.put_and_fail,  # type: ignore[arg-type]
            "x",
            key=Key(K, ONE),
        )
    assert not (await put(store, Key(K, ONE))).replayed


async def test_keys_belong_to_their_company(store: OpenStore) -> None:
    other = await store.found("other")
    await put(store, Key(K, ONE))
    reply = await store.store.write_once(
        store.action(company=other), units.put_reply, "x", key=Key(K, ONE)
    )
    assert not reply.replayed


def never_kept(tx: Tx, name: str) -> Reply:
    units.put_reply(tx, name)
    return Reply(200, b"{}", keep=None)


def kept_small(tx: Tx, name: str) -> Reply:
    units.put_reply(tx, name)
    return Reply(200, b'{"large":true}', keep=name.encode())


def rebuild(tx: Tx, kept: bytes) -> Reply | None:
    """Still valid while the state is as the first reply left it."""
    if units.value(tx, tx.company, kept.decode()) != 1:
        return None
    return Reply(200, b'{"rebuilt":"%s"}' % kept, replayed=True)


async def test_a_reply_that_must_not_be_replayed_is_not(store: OpenStore) -> None:
    for _ in range(2):
        reply = await store.store.write_once(store.action(), never_kept, "x", key=Key(K, ONE))
        assert not reply.replayed
    assert await effects(store) == 2


async def test_a_reply_may_be_rebuilt_from_something_smaller(store: OpenStore) -> None:
    key = Key(K, ONE, replay=rebuild)
    await store.store.write_once(store.action(), kept_small, "x", key=key)
    again = await store.store.write_once(store.action(), kept_small, "x", key=key)
    assert (again.replayed, again.body) == (True, b'{"rebuilt":"x"}')
    assert await effects(store) == 1


async def test_a_replay_that_is_no_longer_valid_runs_afresh_and_is_kept_anew(
    store: OpenStore,
) -> None:
    key = Key(K, ONE, replay=rebuild)
    await store.store.write_once(store.action(), kept_small, "x", key=key)
    await store.store.write(store.action(), units.put, "x", 5)
    again = await store.store.write_once(store.action(), kept_small, "x", key=key)
    assert not again.replayed
    assert await effects(store) == 6
    await store.store.write(store.action(), units.put, "x", 1)
    third = await store.store.write_once(store.action(), kept_small, "x", key=key)
    assert third.replayed


async def test_sixteen_at_once_with_one_key_have_one_effect(store: OpenStore) -> None:
    replies = await asyncio.gather(*(put(store, Key(K, ONE)) for _ in range(16)))
    assert len([r for r in replies if not r.replayed]) == 1
    assert {r.body for r in replies} == {b'{"name":"x"}'}
    assert await effects(store) == 1
