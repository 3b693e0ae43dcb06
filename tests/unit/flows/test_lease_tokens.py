"""A lease belongs to the access token that claimed (docs/adr/0008)."""

from homarus.kernel import tokens
from homarus.tasks.model import LEASE_MS, State
from tests.support.refusals import refused


def _mint(tx, agent):
    token, _ = tokens.mint(
        tx, company=tx.company, kind="agent", name="twin", agent=agent, lifetime_ms=tokens.NEVER
    )
    return token.id


async def twins(shop):
    """One agent, two processes: `ada` and `twin` differ in their access tokens only."""
    shop.agents["twin"] = await shop.agent("ada", limit=2)
    shop.credentials["twin"] = await shop.ground.write("token.create", _mint, shop.agents["ada"])
    await shop.task()
    return await shop.claim("ada")


async def test_a_heartbeat_renews_nothing_that_another_token_claimed(shop):
    await twins(shop)
    shop.ground.clock.advance(LEASE_MS - 1)
    assert await shop.beat("twin") == 0
    shop.ground.clock.advance(1)
    assert await shop.expire() == 1


async def test_readoption_takes_nothing_that_another_token_claimed(shop):
    await twins(shop)
    assert await shop.claim("twin", readopt=True) is None


async def test_a_result_without_the_fence_needs_the_token_that_claimed(shop):
    task = await twins(shop)
    with refused("task.lease_lost"):
        await shop.result("twin", task.id, "done")
    assert (await shop.result("twin", task.id, "done", lease_token=task.token)).state is State.DONE
