"""Money through the kernel, on both engines: no oversubscription; what is counted unasked.

The `shop` fixture recounts at the end: what is set aside is the sum of what is held.
"""

import asyncio

import pytest

from homarus.base.action import Action, Effect, Estimate
from homarus.base.errors import HomarusError
from homarus.kernel import budgets, prices, registry, settings
from homarus.kernel.budgets import Budget
from homarus.kernel.prices import MICROS
from homarus.store.port import Rx, Tx
from homarus.testing.purse import SPENDERS, Purse
from homarus.testing.shop import OWNER, Shop
from tests.support.refusals import refused


async def stands(shop: Shop) -> list[Budget]:
    return await shop.ground.read(_listed, shop.ground.company)


def _listed(rx: Rx, company: str) -> list[Budget]:
    return budgets.listed(rx, company, limit=100)


@pytest.mark.parametrize("scope", ["company", "project", "agent", "task"])
async def test_fifty_at_once_never_reserve_more_than_is_left(shop: Shop, scope: str) -> None:
    """1.00 left, 0.07 each: 14 fit, whoever comes first."""
    purse = Purse(shop)
    await shop.agent("ada", limit=5)
    await shop.task()
    task = await shop.claim("ada")
    assert task is not None
    subject = {"project": shop.project_id, "agent": "ada", "task": task.id}.get(scope)
    await purse.limit(scope, subject, "money", "month", 2 * MICROS)
    row = await purse.reserve("ada", Estimate(money=MICROS), task.id)
    await purse.settle("ada", row.id, money=MICROS)
    asked = Estimate(money=70_000)
    got = await asyncio.gather(
        *(purse.reserve("ada", asked, task.id) for _ in range(SPENDERS)), return_exceptions=True
    )
    fitted = [one for one in got if not isinstance(one, BaseException)]
    codes = {one.code for one in got if isinstance(one, HomarusError)}
    assert (len(fitted), codes) == (14, {"budget.exhausted"})
    [budget] = await stands(shop)
    assert (budget.spent, budget.reserved, budget.left) == (MICROS, 980_000, 20_000)
    await asyncio.gather(*(purse.settle("ada", one.id, money=70_000) for one in fitted[:7]))
    await asyncio.gather(*(purse.release("ada", one.id) for one in fitted[7:]))
    [budget] = await stands(shop)
    assert (budget.spent, budget.reserved) == (MICROS + 490_000, 0)


async def test_agents_at_once_share_the_companys_budget(shop: Shop) -> None:
    purse = Purse(shop)
    names = [f"agent-{n}" for n in range(SPENDERS)]
    for name in names:
        await shop.agent(name)
    await purse.limit("company", None, "tokens", "day", 1_000)
    asked = [Estimate(money=0, tokens=7 + n) for n in range(SPENDERS)]
    got = await asyncio.gather(
        *(purse.reserve(*pair) for pair in zip(names, asked, strict=True)), return_exceptions=True
    )
    fitted = [one for one in got if not isinstance(one, BaseException)]
    [budget] = await stands(shop)
    assert budget.reserved == sum(row.tokens for row in fitted) <= 1_000
    assert 0 <= budget.left < 7 + SPENDERS


def _register(tx: Tx) -> None:
    settings.put(tx, settings.LEVEL, settings.OBSERVE)
    registry.register(tx, registry.NewCapability(id="files.count", title="t", argv=("true",)))
    prices.put(tx, prices.Price("files.count", 0, 0, 5))


def _act(tx: Tx) -> None:
    tx.emit("acted", tx.new_id())


async def test_a_run_counts_as_a_call_where_calls_or_money_are_limited(shop: Shop) -> None:
    purse = Purse(shop)
    await shop.agent("ada")
    await shop.do("capability.register", OWNER, _register)

    async def run() -> None:
        action = Action(
            shop.ground.company, "files.count", "workspace:", Effect.EXEC,
            acting=shop.agents["ada"], system="worker",
        )  # fmt: skip
        await shop.ground.store.write(action, _act)

    await run()
    await purse.limit("agent", "ada", "calls", "day", 2)
    await run()
    await run()
    with refused("budget.exhausted"):
        await run()
    await purse.limit("agent", "ada", "calls", "day", None)
    await purse.limit("agent", "ada", "money", "day", 19)
    await run()
    with refused("budget.exhausted"):
        await run()
    [budget] = await stands(shop)
    assert (budget.spent, budget.left) == (15, 4)


async def test_a_notice_of_the_daemon_itself_costs_nothing(shop: Shop) -> None:
    await Purse(shop).limit("company", None, "calls", "day", 0)
    post = Action(
        shop.ground.company, "notice.post", "approval:x", Effect.EXTERNAL_WRITE, system="notices"
    )
    await shop.ground.store.write(post, _act)
    assert [budget.spent for budget in await stands(shop)] == [0]


def _failing(tx: Tx) -> None:
    raise HomarusError("test.failed", "on purpose")


async def test_an_act_that_fails_has_reserved_nothing(shop: Shop) -> None:
    purse = Purse(shop)
    await shop.agent("ada")
    await purse.limit("agent", "ada", "money", "day", 100)
    action = Action(
        shop.ground.company, "model.call", "x:", credential=shop.credentials["ada"],
        estimate=Estimate(money=100),
    )  # fmt: skip
    with pytest.raises(HomarusError, match="on purpose"):
        await shop.ground.store.write(action, _failing)
    assert [(b.spent, b.reserved) for b in await stands(shop)] == [(0, 0)]


async def test_a_company_without_budgets_still_counts(shop: Shop) -> None:
    row = await Purse(shop).reserve(OWNER, Estimate(money=3, tokens=2))
    assert (row.money, row.tokens, row.calls, row.agent, row.task) == (3, 2, 1, None, None)


@pytest.mark.parametrize("scope, subject", [("company", None), ("agent", "ada")])
async def test_who_has_spent_it_all_gets_no_work(shop: Shop, scope: str, subject: str) -> None:
    """What is reserved does not count; work in hand goes on."""
    purse = Purse(shop)
    await shop.agent("ada", limit=5)
    tasks = [await shop.task() for _ in range(4)]
    await purse.limit(scope, subject, "money", "day", 100)
    row = await purse.reserve("ada", Estimate(money=100))
    first = await shop.claim("ada")
    assert first is not None
    await purse.settle("ada", row.id, money=99)
    assert await shop.claim("ada") is not None
    last = await purse.reserve("ada", Estimate(money=1))
    await purse.settle("ada", last.id, money=1)
    assert await shop.claim("ada") is None
    with refused("task.not_claimable"):
        await shop.claim("ada", task=tasks[3].id)
    await shop.result("ada", first.id, "done", output={"n": 1})
    await purse.limit(scope, subject, "money", "day", 101)
    assert await shop.claim("ada") is not None
