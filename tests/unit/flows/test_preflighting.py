"""R6 over a real company on both engines: which preflight covers an act, and until when."""

from typing import Any

import msgspec
import pytest

from homarus.base.errors import Refused
from homarus.flows import thinking
from homarus.kernel import preflights, receipts, registry, settings
from homarus.store.port import Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import LEASE_MS, State

DAY_MS = 86_400_000
COUNT, PACK = "files.count", "files.pack"


def register(tx: Tx, id: str, grants: tuple[str, ...] = ("*",)) -> None:
    registry.register(
        tx, registry.NewCapability(id=id, title=f"{id} for all", argv=("true",), grants=grants)
    )


def act(tx: Tx) -> str | None:
    tx.emit("touched", tx.new_id())
    return tx.admitted.preflight


def newest(rx: Rx, company: str, no: int) -> receipts.Receipt:
    return receipts.listed(rx, company, no, before=None, limit=1)[0]


@pytest.fixture
async def office(shop: Any) -> Any:
    """`ada` and `bob` of a company with two commands; ada holds `shop.held`, bound to COUNT."""
    for id in (COUNT, PACK):
        await shop.do("capability.register", "owner", register, id)
    await shop.agent("ada", limit=3)
    await shop.agent("bob", limit=3)
    await shop.task(capability=COUNT)
    shop.held = await shop.claim("ada")
    return shop


async def think(shop: Any, agent: str, intent: str = "count files", task: str | None = None) -> Any:
    return await shop.do(
        "preflight.create", agent, thinking.preflight, shop.agents[agent], intent, task
    )


async def call(
    shop: Any, agent: str, capability: str = COUNT, *, target: str | None = None,
    task: str | None = None, preflight: str | None = None, system: bool = False,
) -> Any:  # fmt: skip
    """What an agent's call of a command does: the id of the preflight that covered it."""
    target = f"task:{task or shop.held.id}" if target is None else target
    action = shop.action(capability, agent, target, task)
    action = msgspec.structs.replace(action, preflight=preflight)
    if system:
        action = msgspec.structs.replace(
            action, credential="", system="worker", acting=shop.agents[agent]
        )
    return await shop.ground.store.write(action, act)


async def refused(code: str, coming: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await coming
    assert (caught.value.code, caught.value.details["rule"]) == (code, "R6")
    assert caught.value.remedy and caught.value.details["receipt"]
    return caught.value


async def test_the_claims_preflight_covers_what_the_task_is_bound_to(office: Any) -> None:
    held = office.held
    expected = preflights.claim_id(held.id, held.token)
    assert await call(office, "ada") == expected
    assert await call(office, "ada", task=held.id) == expected
    assert await call(office, "ada", task=held.number) == expected
    assert await call(office, "ada", target=f"task:{held.id.upper()}") == expected
    assert await call(office, "ada", preflight=expected) == expected
    assert await call(office, "ada", system=True) == expected
    row = await office.ground.read(preflights.by_id, office.ground.company, expected)
    assert (row.agent, row.task, row.token, row.capability, row.route_level) == (
        office.agents["ada"], held.id, held.token, COUNT, 0,
    )  # fmt: skip
    [*_, receipt] = await office.ground.read(
        receipts.about, office.ground.company, office.ground.company_no, "task", held.id
    )
    assert receipt.preflight == expected


def suspended(rx: Rx, agent: str) -> bool:
    return bool(rx.all("select suspended from agent where id=?", (agent,))[0][0])


async def is_suspended(shop: Any, agent: str) -> bool:
    found: bool = await shop.ground.read(suspended, shop.agents[agent])
    return found


def let_in(tx: Tx, agent: str) -> None:
    """What an operator's review does."""
    tx.run("update agent set suspended=0 where id=?", (agent,))


async def test_without_a_claim_there_is_none(office: Any) -> None:
    await refused("R6.none", call(office, "bob"))


@pytest.mark.parametrize("capability, target", [(PACK, None), (COUNT, "workspace:x")])
async def test_a_claim_covers_nothing_else(
    office: Any, capability: str, target: str | None
) -> None:
    await refused("R6.none", call(office, "ada", capability, target=target))


async def test_a_claim_covers_no_act_on_another_task(office: Any) -> None:
    other = await office.task(capability=COUNT)
    target = f"task:{office.held.id}"
    await refused("R6.none", call(office, "ada", target=target, task=other.id))


@pytest.mark.parametrize("by", ["id", "number"])
async def test_a_claim_covers_no_other_task_as_target(office: Any, by: str) -> None:
    other = await office.task(capability=COUNT)
    target = f"task:{getattr(other, by)}"
    await refused("R6.none", call(office, "ada", target=target, task=office.held.id))


async def test_a_refused_effect_blocks_the_task(office: Any) -> None:
    await refused("R6.none", call(office, "ada", PACK))
    row = await office.ground.read(sql.need, office.ground.company, office.held.id)
    assert (row.state, row.reason) == (State.BLOCKED, "preflight")


@pytest.mark.parametrize(
    ("later_ms", "suspended"),
    [
        (59_999, False),  # the same within a minute is the same act
        (60_000, True),
        (DAY_MS - 1, True),
        (DAY_MS, False),
    ],
)
async def test_the_second_within_a_day_makes_the_agent_read_only(
    office: Any, later_ms: int, suspended: bool
) -> None:
    await refused("R6.none", call(office, "bob"))
    office.ground.clock.advance(later_ms)
    await refused("R6.none", call(office, "bob"))
    assert await is_suspended(office, "bob") is suspended


async def test_what_an_operator_tries_is_not_held_against_the_agent(office: Any) -> None:
    action = office.action(PACK, "owner", f"task:{office.held.id}", None)
    action = msgspec.structs.replace(action, acting="ada")
    for _ in range(2):
        await refused("R6.none", office.ground.store.write(action, act))
        office.ground.clock.advance(60_000)
        await office.beat("ada")
    row = await office.ground.read(sql.need, office.ground.company, office.held.id)
    assert row.state is State.IN_PROGRESS
    assert not await is_suspended(office, "ada")


@pytest.mark.parametrize("end", ["release", "expiry", "expiry to the millisecond", "new fence"])
async def test_it_ends_with_the_claim(office: Any, end: str) -> None:
    held = office.held
    named = preflights.claim_id(held.id, held.token)
    if end == "release":
        await office.release("ada", held.id)
    elif end == "new fence":
        await office.claim("ada", readopt=True)
    elif end == "expiry":
        await office.let_leases_end()
    else:
        office.ground.clock.advance(LEASE_MS - 1)
        assert await call(office, "ada") == named
        office.ground.clock.advance(1)
    await refused("R6.expired", call(office, "ada", preflight=named))
    if end == "new fence":
        return
    await refused("R6.none", call(office, "ada"))


async def test_after_a_new_fence_the_new_one_covers(office: Any) -> None:
    again = await office.claim("ada", readopt=True)
    assert again.token == office.held.token + 1
    assert await call(office, "ada") == preflights.claim_id(again.id, again.token)


async def test_a_reviewers_claim_makes_one_too(office: Any) -> None:
    await office.agent("eve", role="qa")
    await office.task(done=["review:qa"], priority=1)
    task = await office.claim("bob")
    await office.result("bob", task.id, "review")
    review = await office.claim("eve", review=True)
    named = preflights.claim_id(review.id, review.token)
    row = await office.ground.read(preflights.by_id, office.ground.company, named)
    assert row.agent == office.agents["eve"]
    assert await call(office, "eve", "message.send", target="thread:", preflight=named) == named


# -- named ones ----------------------------------------------------------------------------


async def test_a_thought_one_covers_what_it_found(office: Any) -> None:
    row = await think(office, "bob", task=office.held.id)
    assert row.verdict == "hit"
    assert await call(office, "bob", preflight=row.id) == row.id
    assert await call(office, "bob", task=office.held.id, preflight=row.id) == row.id


async def test_named_ones_are_refused(office: Any) -> None:
    other = await office.task()
    mine = await think(office, "bob", task=office.held.id)
    loose = await think(office, "bob")
    theirs = await think(office, "ada", task=office.held.id)
    unknown = "019a0000-0000-7000-8000-000000000000"
    cases = [
        ("R6.unknown", {"preflight": unknown}),
        ("R6.unknown", {"preflight": "nonsense"}),
        ("R6.unknown", {"preflight": ""}),
        ("R6.not_yours", {"preflight": theirs.id}),
        ("R6.not_yours", {"preflight": preflights.claim_id(office.held.id, office.held.token)}),
        ("R6.wrong_task", {"preflight": mine.id, "task": other.id}),
        ("R6.wrong_task", {"preflight": mine.id, "task": "T-9999"}),
        ("R6.outside", {"preflight": mine.id, "target": "workspace:x"}),
        ("R6.outside", {"preflight": loose.id}),
        ("R6.outside", {"preflight": mine.id, "capability": "pay.all"}),
    ]
    await office.do("capability.register", "owner", register, "pay.all")
    for code, how in cases:
        await refused(code, call(office, "bob", **how))
        await office.do("company.create", "system", let_in, office.agents["bob"])


@pytest.mark.parametrize("seconds", [1800, 60])
async def test_it_lives_until_its_last_millisecond(office: Any, seconds: int) -> None:
    await office.do("company.create", "system", settings.put, "preflight.s", seconds)
    row = await think(office, "bob", task=office.held.id)
    office.ground.clock.advance(seconds * 1000 - 1)
    assert await call(office, "bob", preflight=row.id) == row.id
    office.ground.clock.advance(1)
    await refused("R6.expired", call(office, "bob", preflight=row.id))


async def test_one_of_another_company_is_unknown(office: Any) -> None:
    def steal(tx: Tx, id: str) -> None:
        tx.run("update preflight set company='elsewhere' where id=?", (id,))

    row = await think(office, "bob", task=office.held.id)
    await office.do("company.create", "system", steal, row.id)
    await refused("R6.unknown", call(office, "bob", preflight=row.id))


async def test_who_may_only_read_gets_nothing_but_talk(office: Any) -> None:
    def distrust(tx: Tx, agent: str) -> None:
        tx.run("update agent set trust=31 where id=?", (agent,))

    def read_only(tx: Tx, id: str) -> None:
        tx.run("update preflight set perm='read' where id=?", (id,))

    await office.do("company.create", "system", distrust, office.agents["bob"])
    row = await think(office, "bob", task=office.held.id)
    assert row.perm == "read_write"
    await office.do("company.create", "system", read_only, row.id)
    talk = call(office, "bob", "message.send", target="thread:", preflight=row.id)
    assert await talk == row.id
    await refused("R6.outside", call(office, "bob", preflight=row.id))


# -- dispatches ----------------------------------------------------------------------------


async def test_an_agent_may_always_talk_and_hand_on(office: Any) -> None:
    other = await office.task()
    assert await call(office, "bob", "message.send", target="thread:") is None
    assert (await office.assign(other.id, "ada", as_="bob")).agent == office.agents["ada"]
    covered = preflights.claim_id(office.held.id, office.held.token)
    assert await call(office, "ada", "message.send", target="thread:") == covered


async def test_a_refused_dispatch_costs_no_task(office: Any) -> None:
    talk = call(office, "ada", "message.send", target="thread:", preflight="nonsense")
    await refused("R6.unknown", talk)
    row = await office.ground.read(sql.need, office.ground.company, office.held.id)
    assert row.state is State.IN_PROGRESS


async def test_operators_and_the_daemon_need_none(office: Any) -> None:
    assert await call(office, "owner") is None


# -- level observe -------------------------------------------------------------------------


async def test_a_company_that_observes_lets_it_pass_and_says_so(office: Any) -> None:
    await office.do("company.create", "system", settings.put, "level", "observe")
    assert await call(office, "ada", PACK) is None
    row = await office.ground.read(sql.need, office.ground.company, office.held.id)
    assert row.state is State.IN_PROGRESS
    receipt = await office.ground.read(newest, office.ground.company, office.ground.company_no)
    assert (receipt.verdict, receipt.rule, receipt.code) == ("allow", "R6", "R6.none")
