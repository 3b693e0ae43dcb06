"""How many statements a warm unit costs (store notes, "Budgets"); savepoints are not counted.

A row that is read twice, or an update that finds nothing, shows here before it shows in a figure.
"""

import msgspec
import pytest

from homarus.conversations import rules
from homarus.conversations import service as talk
from homarus.conversations.model import Draft, SenderType
from homarus.kernel.trust_rules import HEAD_START_MS, Band
from homarus.store.port import Tx
from homarus.testing.ground import Ground, ground
from homarus.testing.shop import Shop, open_shop
from tests.support.traced import TracedStore, traced

CLAIM = 9  # the last is the preflight that it makes
COMPLETE = 8
FRESH = 1
"""A task in the head start of better-trusted agents costs the look whether one waits."""
WITH_CAP_AND_DEPENDENTS = 12


# What the batch adds, whatever number of units it holds.
SEAL = ("select leaf from receipt", "insert into seal", "update company_head")


def of_units(g: Ground) -> list[str]:
    """What units executed since the last look."""
    assert isinstance(g.store, TracedStore)
    executed, g.store.executed = g.store.executed, []
    return [sql for sql in executed if not sql.startswith(SEAL)]


@pytest.fixture
async def shop(tmp_path):
    async with ground(tmp_path, opener=traced) as g:
        shop = await open_shop(g)
        await shop.agent("ada", role="coder", limit=5)
        yield shop


async def lifecycle(shop: Shop) -> tuple[list[str], list[str]]:
    of_units(shop.ground)
    claimed = await shop.claim("ada")
    claim = of_units(shop.ground)
    await shop.result("ada", claimed.id, "done", output={"words": 3})
    return claim, of_units(shop.ground)


async def test_a_warm_claim_costs_nine_statements_and_a_result_eight(shop):
    for _ in range(3):
        await shop.task(role="coder")
    await lifecycle(shop)
    for fresh in (FRESH, 0):
        claim, complete = await lifecycle(shop)
        assert len(claim) <= CLAIM + fresh, "\n".join(claim)
        assert len(complete) <= COMPLETE, "\n".join(complete)
        shop.ground.clock.advance(HEAD_START_MS[Band.NORMAL])


async def test_a_cap_and_dependents_cost_at_most_four_more(shop):
    project = await shop.project(max_active_agents=5)
    for _ in range(3):
        task = await shop.task(project=project)
        await shop.task(project=project, blockers=(task.id,), priority=-1)
    await lifecycle(shop)
    for _ in range(2):
        claim, complete = await lifecycle(shop)
        assert len(claim) <= WITH_CAP_AND_DEPENDENTS, "\n".join(claim)
        assert len(complete) <= WITH_CAP_AND_DEPENDENTS, "\n".join(complete)


def say(tx: Tx, target: str) -> None:
    who = rules.sender(tx.actor, None, None, SenderType.AGENT)
    talk.post(tx, talk.direct(tx, target), Draft(sender=who, text="x", target_agent=target))


async def test_the_note_of_a_message_costs_one_insert(shop):
    scoder = await shop.agent("scoder")
    await shop.task()
    await shop.claim("ada")
    inserts = []
    for callee in ("scoder", None, "scoder"):
        of_units(shop.ground)
        action = msgspec.structs.replace(
            shop.action("message.send", "ada", "thread:"), callee=callee
        )
        await shop.ground.store.write(action, say, scoder)
        inserts.append([sql for sql in of_units(shop.ground) if sql.startswith("insert")])
    assert len(inserts[2]) == len(inserts[1]) + 1
    assert len([sql for sql in inserts[2] if sql.startswith("insert into routing_note")]) == 1
