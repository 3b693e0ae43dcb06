"""Claims under idempotency keys (control-plane contract, 3.3; its weak spots 18.1 to 18.4)."""

import asyncio
import json
from hashlib import sha256

import pytest

from homarus.control_plane import task_claims
from homarus.control_plane.route import Call
from homarus.kernel.tokens import Token
from homarus.store.port import Key
from homarus.tasks.model import LEASE_MS, State


async def keyed_claim(shop, agent, key, **body):
    """`POST /tasks/claim` with a key: the reply's task, and whether it was a replay."""
    call = Call(
        company=shop.ground.company,
        token=Token("", "", "agent", None, "mcp_full", None, "", 0, None, None),
        path={},
        query={},
        body=task_claims.Claim(agent_id=agent, **body),
    )
    digest = sha256(key.encode()).digest()
    once = Key(
        digest[:16], sha256(repr(body).encode()).digest()[:8], replay=task_claims.replay_claim
    )
    reply = await shop.once("task.claim", agent, task_claims.claim, call, key=once, target="task:")
    return json.loads(reply.body)["task"], reply.replayed


async def test_forty_parallel_first_claims_in_a_new_company(shop):
    for n in range(40):
        await shop.agent(f"a{n}")
        await shop.task()
    got = await asyncio.gather(*(shop.claim(f"a{n}") for n in range(40)))
    assert len({task.id for task in got}) == 40


@pytest.mark.parametrize("limit", [1, 16])
async def test_sixteen_parallel_claims_with_one_key_take_one_task(shop, limit):
    await shop.agent("ada", limit=limit)
    for _ in range(16):
        await shop.task()
    got = await asyncio.gather(*(keyed_claim(shop, "ada", "k") for _ in range(16)))
    assert len({task["id"] for task, _ in got}) == 1
    assert [replayed for _, replayed in got].count(False) == 1
    assert (await keyed_claim(shop, "ada", "k"))[0]["id"] == got[0][0]["id"]


async def test_a_client_whose_key_repeats_finishes_all_its_tasks(shop):
    await shop.agent("ada")
    made = [(await shop.task()).id for _ in range(4)]
    done = []
    for _ in made:
        task, replayed = await keyed_claim(shop, "ada", "claim:startup")
        assert not replayed
        await shop.result("ada", task["id"], "done")
        done.append(task["id"])
    assert done == made
    assert (await keyed_claim(shop, "ada", "claim:startup"))[0] is None


async def test_that_nothing_was_there_is_not_remembered(shop):
    await shop.agent("ada")
    assert (await keyed_claim(shop, "ada", "k"))[0] is None
    made = await shop.task()
    assert (await keyed_claim(shop, "ada", "k"))[0]["id"] == made.id


async def test_a_replay_shows_the_claim_as_it_is_now(shop):
    await shop.agent("ada")
    await shop.task()
    first, _ = await keyed_claim(shop, "ada", "k")
    shop.ground.clock.advance(LEASE_MS // 2)
    await shop.beat("ada")
    again, replayed = await keyed_claim(shop, "ada", "k")
    assert replayed
    assert again["lease_token"] == first["lease_token"]
    assert again["lease_until"] > first["lease_until"]


@pytest.mark.parametrize("way", ["expired", "taken_back", "released", "readopted"])
async def test_a_lost_claim_is_not_replayed(shop, way):
    await shop.agent("ada")
    await shop.task()
    first, _ = await keyed_claim(shop, "ada", "k")
    if way == "expired":
        await shop.let_leases_end()
    elif way == "taken_back":
        await shop.move(first["id"], State.QUEUED)
    elif way == "released":
        await shop.release("ada", first["id"])
    else:
        await shop.claim("ada", readopt=True)
    again, replayed = await keyed_claim(shop, "ada", "k")
    assert not replayed
    assert (again is None) == (way == "readopted")
    if again is not None:
        assert again["lease_token"] == first["lease_token"] + 1


async def test_a_lease_that_ran_out_is_not_replayed_before_the_watchdog_came(shop):
    await shop.agent("ada", limit=2)
    await shop.task()
    await keyed_claim(shop, "ada", "k")
    shop.ground.clock.advance(LEASE_MS)
    assert (await keyed_claim(shop, "ada", "k"))[0] is None


async def test_another_agents_claim_is_not_replayed_to_me(shop):
    await shop.agent("ada")
    await shop.agent("bob")
    await shop.task()
    second = await shop.task()
    await keyed_claim(shop, "ada", "k")
    task, replayed = await keyed_claim(shop, "bob", "k")
    assert (task["id"], replayed) == (second.id, False)


async def test_a_review_claim_is_replayed_while_the_review_lasts(shop):
    await shop.agent("ada", limit=2)
    await shop.agent("rev", role="qa")
    for _ in range(2):
        await shop.task(done=["review:qa"])
        task = await shop.claim("ada")
        await shop.result("ada", task.id, "review")
    first, _ = await keyed_claim(shop, "rev", "k", review=True)
    again, replayed = await keyed_claim(shop, "rev", "k", review=True)
    assert (again["id"], replayed) == (first["id"], True)
    await shop.result("rev", first["id"], "done")
    other, replayed = await keyed_claim(shop, "rev", "k", review=True)
    assert (other["id"] != first["id"], replayed) == (True, False)
