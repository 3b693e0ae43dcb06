"""Scores from what agents did, and what follows: restriction, review, acceptance (contract, 12)."""

import pytest

from homarus.base.action import Actor, ActorKind, Consequence, Refuse
from homarus.flows import consequences, trusting
from homarus.kernel import stop, trust
from homarus.kernel.trust_rules import DAY_MS, RECOMPUTE_MS, WINDOW_MS
from homarus.records import incidents
from homarus.tasks.model import LEASE_MS, State
from tests.support.refusals import refused


def _score(rx, agent):
    return rx.one("select trust, suspended from agent where id=?", (agent,))


async def score(shop, name):
    return await shop.ground.read(_score, shop.agents[name])


def _set(tx, agent, value):
    tx.run("update agent set trust=? where id=?", (value, agent))
    tx.emit("agent_updated", agent)


async def put(shop, name, value):
    await shop.ground.write("agent.update", _set, shop.agents[name], value)


def _recompute(tx, agent):
    return trusting.recompute(tx, agent)


async def recompute(shop, name):
    return await shop.do("trust.recompute", "system", _recompute, shop.agents[name])


async def happened(shop, name, kind, **more):
    return await shop.do("trust.recompute", "system", _happened, shop.agents[name], kind, more)


def _happened(tx, agent, kind, more):
    return trusting.happened(tx, agent, kind, **more)


async def kinds(shop, name):
    events = await shop.ground.read(trust.events, shop.agents[name])
    return [event.kind for event in reversed(events)]


async def open_reasons(shop):
    rows = await shop.ground.read(lambda rx: incidents.listed(rx, shop.ground.company, limit=100))
    return [row.reason_code for row in rows]


async def changes(shop, name):
    return await shop.ground.read(lambda rx: trust.changes(rx, shop.agents[name], limit=10))


# -- what counts ---------------------------------------------------------------------------


async def test_done_work_raises_it_and_the_change_says_why(shop):
    await shop.agent("ada")
    for _ in range(10):
        await shop.task()
        task = await shop.claim("ada")
        await shop.result("ada", task.id, "done")
    found = await recompute(shop, "ada")
    assert found.total == 77
    assert (await score(shop, "ada"))[0] == 77
    [change] = await changes(shop, "ada")
    assert (change.before, change.after, change.band) == (60, 77, "normal")
    assert change.causes[0] == "10 x task done"
    assert change.dimensions["completion"]["acts"] == 10


@pytest.mark.parametrize("after_ms, acts", [(WINDOW_MS - 1, 1), (WINDOW_MS, 0)])
async def test_an_edit_of_done_work_makes_it_no_younger(shop, after_ms, acts):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    await shop.result("ada", task.id, "done")
    shop.ground.clock.advance(after_ms)
    await shop.patch(task.id, as_="ada", priority=1)
    assert (await recompute(shop, "ada")).dimensions["completion"].acts == acts


async def test_failures_lower_it_and_an_archive_hides_none(shop):
    await shop.agent("ada")
    for _ in range(5):
        await shop.task()
        task = await shop.claim("ada")
        await shop.result("ada", task.id, "failed")
        await shop.archive(task.id, as_="ada")
    assert await kinds(shop, "ada") == ["failed"] * 5
    assert (await recompute(shop, "ada")).total == 50


async def test_refusals_by_redlines_are_read_from_the_ledger(shop):
    await shop.agent("ada")
    for n in range(4):
        with refused("R1.external_id"):
            await shop.do("task.claim", "ada", _nothing, target=f"task:lark:rec{n}")
        shop.ground.clock.advance(60_000)
    found = await recompute(shop, "ada")
    assert found.dimensions["compliance"].acts == 4
    assert found.total == 52
    [change] = await changes(shop, "ada")
    assert change.causes == ["4 x refused by R1 (R1.external_id)"]


async def test_refusals_of_one_kind_count_once_a_minute_whatever_their_targets(shop):
    await shop.agent("ada")
    for n in range(4):
        with refused("R1.external_id"):
            await shop.do("task.claim", "ada", _nothing, target=f"task:lark:rec{n}")
        shop.ground.clock.advance(19_999)
    assert (await recompute(shop, "ada")).dimensions["compliance"].acts == 1


def _nothing(tx):
    return None


async def test_what_nothing_changed_is_no_change(shop):
    await shop.agent("ada")
    await recompute(shop, "ada")
    assert await changes(shop, "ada") == []


async def test_it_is_recomputed_weekly_in_chunks(shop):
    for name in ("ada", "bob", "cy"):
        await shop.agent(name)
    shop.ground.clock.advance(RECOMPUTE_MS - 1)
    assert shop.ground.company not in await shop.ground.read(trusting.due, 1_000)
    shop.ground.clock.advance(1)
    assert shop.ground.company in await shop.ground.read(trusting.due, 1_000)
    done = [await shop.do("trust.recompute", "system", trusting.recompute_due, 2) for _ in range(3)]
    assert done == [2, 1, 0]
    shop.ground.clock.advance(RECOMPUTE_MS - 1)
    assert await shop.do("trust.recompute", "system", trusting.recompute_due, 2) == 0


# -- instincts -----------------------------------------------------------------------------


async def test_a_lease_that_runs_out_without_a_result(shop):
    await shop.agent("ada")
    await shop.task()
    await shop.claim("ada")
    await shop.let_leases_end()
    assert await kinds(shop, "ada") == ["no_write_back"]
    assert await open_reasons(shop) == ["no_write_back"]


async def test_a_partial_result_is_a_write_back(shop):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    await shop.result("ada", task.id, "in_progress", output={"half": 1})
    await shop.let_leases_end()
    assert (await kinds(shop, "ada"), await open_reasons(shop)) == ([], [])


@pytest.mark.parametrize("scope", ["company", "agent", "project", "task"])
async def test_who_was_stopped_is_not_blamed_for_silence(shop, scope):
    ada = await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    subject = {"agent": ada, "project": shop.project_id, "task": task.id}.get(scope, "")
    await shop.stop(scope, subject)
    await shop.let_leases_end()
    assert (await kinds(shop, "ada"), await open_reasons(shop)) == ([], [])
    assert await shop.ground.read(stop.active, shop.ground.company)


async def test_work_without_a_claim_is_diverted_and_counts_against_it(shop):
    await shop.agent("ada")
    task = await shop.task()
    for word in ("done", "failed", "inbox"):
        with refused("divert.wild_task"):
            await shop.result("ada", task.id, word)
    found = await recompute(shop, "ada")
    assert found.dimensions["compliance"].acts == 3
    assert found.dimensions["completion"].acts == 0


async def test_a_claim_that_failed_is_none(shop):
    await shop.agent("ada")
    task = await shop.task(role="writer")
    with refused("task.not_claimable"):
        await shop.claim("ada", task=task.id)
    with refused("divert.wild_task"):
        await shop.result("ada", task.id, "done")


async def test_who_held_it_once_has_lost_its_lease(shop):
    await shop.agent("ada")
    task = await shop.task()
    await shop.claim("ada")
    await shop.let_leases_end()
    with refused("task.lease_lost"):
        await shop.result("ada", task.id, "done")


async def test_done_while_something_is_missing(shop):
    await shop.agent("ada")
    await shop.task(done=["artifact:report"])
    task = await shop.claim("ada")
    with refused("task.dod_unmet"):
        await shop.result("ada", task.id, "done")
    found = await recompute(shop, "ada")
    assert (found.dimensions["quality"].acts, found.dimensions["quality"].value) == (1, 50)


@pytest.mark.parametrize(
    ("to", "kind"),
    [(State.DONE, "accepted"), (State.QUEUED, "returned"), (State.FAILED, "returned")],
)
async def test_reviews_by_an_operator(shop, to, kind):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    await shop.result("ada", task.id, "review")
    await shop.move(task.id, to)
    assert await kinds(shop, "ada") == [kind]


async def test_reopened_work(shop):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    await shop.result("ada", task.id, "done")
    await shop.move(task.id, State.REVIEW)
    assert await kinds(shop, "ada") == ["reopened"]


@pytest.mark.parametrize(("word", "kind"), [("done", "accepted"), ("inbox", "returned")])
async def test_reviews_by_another_agent(shop, word, kind):
    await shop.agent("ada")
    await shop.agent("rev", role="checker")
    await shop.task(done=["review:checker"])
    task = await shop.claim("ada")
    await shop.result("ada", task.id, "review")
    await shop.claim("rev", review=True)
    await shop.result("rev", task.id, word)
    assert await kinds(shop, "ada") == [kind]
    assert await kinds(shop, "rev") == []


# -- severe --------------------------------------------------------------------------------


async def test_the_second_untrusted_execution_makes_it_read_only(shop):
    ada = await shop.agent("ada")
    await happened(shop, "ada", "untrusted_execution", note="command.run a")
    assert await score(shop, "ada") == (60, 0)
    await happened(shop, "ada", "untrusted_execution", note="command.run a")
    assert await score(shop, "ada") == (60, 0), "the same refusal within a minute"
    await happened(shop, "ada", "untrusted_execution", note="command.run b")
    assert (await score(shop, "ada"))[1] == 1
    assert await open_reasons(shop) == ["agent_restricted"]
    [change] = await changes(shop, "ada")
    assert change.after < 60 and "untrusted" not in change.band
    assert change.event is not None
    with refused("suspended.agent"):
        await shop.claim("ada")
    assert "repeated" in await shop.ground.read(trusting.restriction, ada)


async def test_an_operators_review_lifts_the_restriction_and_starts_afresh(shop):
    await shop.agent("ada")
    for n in range(2):
        await happened(shop, "ada", "untrusted_execution", note=str(n))
    await put(shop, "ada", 20)
    after = await shop.do("trust.review", "owner", trusting.review, "ada", "talked to it")
    assert (after.suspended, await score(shop, "ada")) == (False, (50, 0))
    shop.ground.clock.advance(60_000)
    assert (await recompute(shop, "ada")).total == 50
    await happened(shop, "ada", "untrusted_execution", note="later")
    assert (await score(shop, "ada"))[1] == 0, "the first after the review is no repeat"
    with refused("trust.nothing"):
        await shop.do("trust.review", "owner", trusting.review, "ada", "again")


@pytest.mark.parametrize("who", ["ada", "runtime"])
async def test_no_agent_reviews_itself(shop, who):
    await shop.agent("ada")
    await put(shop, "ada", 20)
    with refused("permission.capability"):
        await shop.do("trust.review", who, trusting.review, "ada", "fine")


def _apply(tx, verdict):
    return consequences.apply(tx, verdict)


def refusal(agent, rule, code, *then):
    return Refuse(code, rule, "r", "d", Actor(ActorKind.AGENT, agent), tuple(then))


@pytest.mark.parametrize(
    ("rule", "code", "after"),
    [("R4", "R4.governed", 51), ("R5", "R5.forged", 51), ("R5", "R5.expired", 60)],
)
async def test_severe_refusals_change_the_score_at_once(shop, rule, code, after):
    ada = await shop.agent("ada")
    for _ in range(3):
        await shop.do("trust.recompute", "system", _apply, refusal(ada, rule, code))
    assert (await score(shop, "ada"))[0] == after
    assert len(await changes(shop, "ada")) == (after != 60)


async def test_consequences_do_no_harm_when_a_refusal_repeats(shop):
    ada = await shop.agent("ada")
    task = await shop.task()
    verdict = refusal(
        ada, "R6", "R6.none",
        Consequence("trust.event", ada, {"kind": "untrusted_execution", "task": task.id}),
        Consequence("agent.restrict", ada, {"reason": "twice"}),
        Consequence("incident.open", task.id, {"reason_code": "odd", "summary": "odd"}),
        Consequence("incident.open", "", {"reason_code": "broad", "summary": "broad"}),
    )  # fmt: skip
    told = await shop.do("trust.recompute", "system", _apply, verdict)
    again = await shop.do("trust.recompute", "system", _apply, verdict)
    assert "incident" in told and again == {}
    assert sorted(await open_reasons(shop)) == ["agent_restricted", "broad", "odd"]
    assert sorted(await kinds(shop, "ada")) == ["restricted", "untrusted_execution"]


# -- bands ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "claims"), [(30, True), (29, False), (0, False)])
async def test_below_30_an_agent_claims_nothing(shop, value, claims):
    await shop.agent("ada")
    await shop.task()
    await put(shop, "ada", value)
    if claims:
        assert await shop.claim("ada")
        return
    with refused("trust.untrusted") as caught:
        await shop.claim("ada")
    assert "homarus trust review ada" in caught.value.remedy


async def test_an_untrusted_agent_finishes_what_it_holds(shop):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    await put(shop, "ada", 29)
    after = await shop.result("ada", task.id, "done")
    assert after.state is State.REVIEW


@pytest.mark.parametrize(("value", "state"), [(50, State.DONE), (49, State.REVIEW)])
async def test_a_low_agents_done_waits_for_another_identity(shop, value, state):
    await shop.agent("ada")
    await put(shop, "ada", value)
    await shop.task()
    task = await shop.claim("ada")
    assert (await shop.result("ada", task.id, "done", output={"n": 1})).state is state


async def landed(shop, **task):
    await shop.agent("ada", role="coder")
    await put(shop, "ada", 49)
    await shop.task(**task)
    made = await shop.claim("ada")
    await shop.result("ada", made.id, "done", output={"n": 1})
    return made


async def test_saying_it_again_is_harmless_and_more_is_refused(shop):
    task = await landed(shop)
    assert (await shop.result("ada", task.id, "done", output={"n": 1})).state is State.REVIEW
    with refused("trust.acceptance"):
        await shop.result("ada", task.id, "done", output={"n": 2})


async def test_an_operator_accepts(shop):
    task = await landed(shop)
    assert (await shop.move(task.id, State.DONE)).state is State.DONE
    assert await kinds(shop, "ada") == ["accepted"]


@pytest.mark.parametrize(
    ("role", "value", "task", "gets"),
    [
        ("coder", 50, {"role": "coder"}, True),
        ("coder", 49, {"role": "coder"}, False),
        ("writer", 90, {"role": "coder"}, False),
        ("reviewer", 50, {"role": "coder"}, True),
        ("writer", 50, {}, True),
    ],
)
async def test_who_accepts_among_agents(shop, role, value, task, gets):
    made = await landed(shop, **task)
    await shop.agent("rev", role=role)
    await put(shop, "rev", value)
    claimed = await shop.claim("rev", review=True)
    assert (claimed is not None) is gets
    if gets:
        assert (await shop.result("rev", made.id, "done")).state is State.DONE
        assert await kinds(shop, "ada") == ["accepted"]


async def test_nobody_accepts_their_own(shop):
    await landed(shop)
    await put(shop, "ada", 60)
    assert await shop.claim("ada", review=True) is None


async def test_a_review_that_is_given_up_still_waits_for_acceptance(shop):
    made = await landed(shop)
    await shop.agent("rev", role="reviewer")
    await shop.claim("rev", review=True)
    shop.ground.clock.advance(LEASE_MS)
    await shop.expire()
    assert (await shop.claim("rev", review=True)).id == made.id


async def test_reviewed_work_outweighs_a_bad_week_of_last_month(shop):
    await shop.agent("ada")
    for n in range(8):
        await happened(shop, "ada", "no_write_back", note=str(n))
    assert (await recompute(shop, "ada")).total == 47
    shop.ground.clock.advance(28 * DAY_MS)
    for _ in range(8):
        await shop.task()
        task = await shop.claim("ada")
        await shop.result("ada", task.id, "done")
        await shop.move(task.id, State.DONE)
    found = await recompute(shop, "ada")
    assert (found.total, found.band) == (77, "normal")


async def test_a_persons_approval_is_acceptance_enough(shop):
    await shop.agent("ada")
    await put(shop, "ada", 49)
    for n in range(2):
        await shop.task(approval_required=True)
        task = await shop.claim("ada")
        if n:
            await shop.result("ada", task.id, "review")
        said = await shop.result("ada", task.id, "done")
        assert (said.state, said.reason) == (
            (State.REVIEW, None) if n else (State.BLOCKED, "approval")
        )
