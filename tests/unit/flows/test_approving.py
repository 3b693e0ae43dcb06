"""What answers mean to tasks: parked work, results that a person accepts, expiry."""

import hashlib

import msgspec
import pytest

from homarus.base.canonical import canonical
from homarus.flows import approving, parking, routes
from homarus.kernel import approval_queries, approval_rules, approvals, rdp, tokens, trust
from homarus.kernel.approval_rows import Approval, Status
from homarus.kernel.approvals import MOVES
from homarus.tasks import rules, sql
from homarus.tasks.model import State
from tests.support.refusals import refused

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HASH = hashlib.sha256(b"this").digest()
OTHER = hashlib.sha256(b"that").digest()


@pytest.fixture
async def desk(shop):
    """Ada at work, and an approver."""
    await shop.agent("ada", limit=5)
    shop.credentials["approver"] = await shop.ground.write("token.create", approver, "the approver")
    return shop


def approver(tx, name):
    return tokens.mint(tx, company=tx.company, kind="operator", role="approver", name=name)[0].id


async def row(desk, ref="A-1"):
    return await desk.ground.read(approval_queries.need, desk.ground.company, ref)


async def decide(desk, ref="A-1", *, approve=True, note=None, as_="approver"):
    def unit(tx):
        return approving.decide(tx, ref, approve=approve, note=note)

    return await desk.do("approval.decide", as_, unit, target=f"approval:{ref}")


async def expire(desk):
    return await desk.do("approval.expire", "system", approving.expire_due, 100)


async def ask(desk, task, *, payload=HASH, **more):
    """As the kernel's consequence does, for a task that ada holds."""

    def unit(tx):
        found = approvals.request(
            tx,
            **(
                {
                    "capability": "files.wipe", "target": f"task:{task.id}", "payload": payload,
                    "task": task.id, "agent": desk.agents["ada"], "reason": "",
                }
                | more
            ),
        )  # fmt: skip
        held = sql.need(tx, tx.company, task.id)
        if held.state is State.IN_PROGRESS:
            parking.park(tx, held)
        return found

    return await desk.do("approval.request", "ada", unit)


async def held(desk, **fields):
    await desk.task(**fields)
    return await desk.claim("ada")


async def state(desk, task):
    found = await desk.ground.read(sql.need, desk.ground.company, task.id)
    return found.state, found.reason


def test_every_state_has_a_way_out_or_is_final():
    final = {Status.REJECTED, Status.EXPIRED, Status.VOIDED, Status.CANCELLED, Status.USED}
    assert {before for before, _ in MOVES} == {*Status} - final


async def test_the_same_question_is_one_row(desk):
    task = await held(desk)
    first, again = await ask(desk, task), await ask(desk, task)
    assert first == again
    other = await ask(desk, task, payload=OTHER)
    assert (await row(desk)).status is Status.VOIDED
    assert (other.number, other.status) == ("A-2", Status.PENDING)
    assert await state(desk, task) == (State.BLOCKED, "approval")


async def test_an_answer_queues_the_task_for_the_same_agent(desk):
    task = await held(desk)
    await ask(desk, task)
    await decide(desk)
    after = await desk.ground.read(sql.need, desk.ground.company, task.id)
    assert (after.state, after.agent, after.retries) == (State.QUEUED, desk.agents["ada"], 0)
    assert (await desk.claim("ada")).id == task.id


async def test_a_task_waits_for_all_its_questions(desk):
    task = await held(desk)
    await ask(desk, task)
    await ask(desk, task, capability="files.send")
    await decide(desk, "A-1")
    assert await state(desk, task) == (State.BLOCKED, "approval")
    await decide(desk, "A-2")
    assert (await state(desk, task))[0] is State.QUEUED


@pytest.mark.parametrize("ahead_ms, code", [(-1, None), (0, "approval.over")])
async def test_the_boundary_of_a_decision(desk, ahead_ms, code):
    await ask(desk, await held(desk))
    desk.ground.clock.advance(DAY_MS + ahead_ms)
    if code is None:
        assert (await decide(desk)).status is Status.APPROVED
        return
    with refused(code):
        await decide(desk)
    assert await expire(desk) == 1
    with refused("approval.decided"):
        await decide(desk)


async def test_expiry_leaves_the_task_to_an_operator_and_tells_the_agent(desk):
    task = await held(desk)
    await ask(desk, task)
    desk.ground.clock.advance(DAY_MS)
    assert (await expire(desk), await expire(desk)) == (1, 0)
    assert await state(desk, task) == (State.BLOCKED, "approval A-1 expired")
    told = await desk.ground.read(notices, desk.agents["ada"])
    assert "approval_expired" in told


def notices(rx, agent):
    return [r[0] for r in rx.all("select kind from notification where agent=?", (agent,))]


async def test_who_withdraws_goes_on_without(desk):
    task = await held(desk)
    await ask(desk, task)

    def unit(tx):
        return approving.cancel(tx, "A-1", "another way")

    await desk.agent("bob")
    with refused("approval.not_yours"):
        await desk.do("approval.cancel", "bob", unit, target="approval:A-1")
    await desk.do("approval.cancel", "ada", unit, target="approval:A-1")
    assert (await row(desk)).status is Status.CANCELLED
    assert (await state(desk, task))[0] is State.QUEUED


# -- what an approval permits ----------------------------------------------------------------

T0 = 1_000_000
ROW = Approval(
    id="a", company="c", no=1, kind="act", capability="x.y", target="t", payload=HASH, what="",
    requester="agent:a", credential="", agent="a", task="T", project=None, reason="",
    confidence=None, cost=None, risk="low", scope="once", hours=None, status=Status.APPROVED,
    expires_ms=T0, decided_by=None, decided_ms=None, note=None, uses=0, created_ms=0, updated_ms=0,
)  # fmt: skip


@pytest.mark.parametrize(
    "scope, target, payload, task, now_ms, permits",
    [
        ("once", "t", HASH, "T", T0 - 1, True),
        ("once", "t", HASH, "T", T0, False),
        ("once", "t", OTHER, "T", 0, False),
        ("once", "u", HASH, "T", 0, False),
        ("task", "u", OTHER, "T", T0 - 1, True),
        ("task", "t", HASH, "U", 0, False),
        ("task", "t", HASH, None, 0, False),
        ("hours", "t", OTHER, "U", T0 - 1, True),
        ("hours", "t", OTHER, "U", T0, False),
        ("hours", "u", HASH, "T", 0, False),
    ],
)
def test_scopes(scope, target, payload, task, now_ms, permits):
    found = msgspec.structs.replace(ROW, scope=scope)
    ask = approval_rules.Ask("x.y", target, payload, "a", task)
    assert approval_rules.permits(found, ask, now_ms) is permits


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.APPROVED])
def test_only_an_approved_row_permits(status):
    found = msgspec.structs.replace(ROW, status=status)
    assert not approval_rules.permits(found, approval_rules.Ask("x.y", "t", HASH, "a", "T"), 0)


@pytest.mark.parametrize(
    "scope, hours, span_ms",
    [("once", None, DAY_MS), ("task", None, DAY_MS), ("hours", 2, 2 * HOUR_MS)],
)
async def test_how_long_a_yes_holds(desk, scope, hours, span_ms):
    await ask(desk, await held(desk), scope=scope, hours=hours)
    desk.ground.clock.advance(HOUR_MS)
    assert (await decide(desk)).expires_ms == desk.ground.clock.now_ms() + span_ms
    desk.ground.clock.advance(span_ms - 1)
    assert await expire(desk) == 0
    desk.ground.clock.advance(1)
    assert await expire(desk) == 1


@pytest.mark.parametrize(
    "wrong, code",
    [
        ({"scope": "ever"}, "approval.scope"),
        ({"scope": "hours"}, "approval.scope"),
        ({"scope": "once", "hours": 1}, "approval.scope"),
        ({"scope": "hours", "hours": 0}, "approval.scope"),
        ({"scope": "hours", "hours": 169}, "approval.scope"),
        ({"payload": b"short"}, "approval.payload"),
        ({"risk": "none"}, "approval.risk"),
        ({"kind": "wish"}, "approval.kind"),
        ({"expires_ms": 1}, "approval.expires"),
    ],
)
async def test_questions_that_cannot_be_asked(desk, wrong, code):
    task = await held(desk)
    with refused(code):
        await ask(desk, task, **wrong)


# -- done, once a person accepts it ----------------------------------------------------------


@pytest.mark.parametrize(
    "approve, after, reason",
    [(True, State.DONE, None), (False, State.REVIEW, "approval A-1 rejected: redo")],
)
async def test_a_result_that_a_person_accepts(desk, approve, after, reason):
    task = await held(desk, approval_required=True)
    said = await desk.result("ada", task.id, "done", output={"n": 1}, comment="finished")
    assert (said.state, said.reason) == (State.BLOCKED, "approval")
    assert (await row(desk)).reason == "finished"
    again = await desk.result("ada", task.id, "done", output={"n": 1}, comment="finished")
    assert again == said
    await decide(desk, approve=approve, note=None if approve else "redo")
    assert await state(desk, task) == (after, reason)
    kept = await desk.ground.read(sql.result_of, task.id)
    assert kept.output == {"n": 1}
    [event] = await desk.ground.read(trust.events, desk.agents["ada"])
    assert event.kind == ("accepted" if approve else "returned")
    with refused("approval.decided"):
        await decide(desk)


async def test_a_reviewers_word_waits_for_the_person_too(desk):
    await desk.agent("rev", role="qa")
    task = await held(desk, approval_required=True, done=["review:qa"])
    await desk.result("ada", task.id, "review")
    await desk.claim("rev", review=True)
    said = await desk.result("rev", task.id, "done")
    assert (said.state, said.lease_until_ms) == (State.REVIEW, None)
    await decide(desk)
    assert await state(desk, task) == (State.DONE, None)


async def ask_done(desk, *tasks):
    """As POST /approvals does for tasks that are said to be done."""

    def unit(tx):
        ids = [task.id for task in tasks]
        return approvals.request(
            tx, capability=parking.DONE, target=f"task:{ids[0]}", kind="task_done", reason="",
            payload=parking.done_payload(tx, ids), task=ids[0], agent=desk.agents["ada"],
            tasks=tuple(ids),
        )  # fmt: skip

    return await desk.do("approval.request", "ada", unit)


async def test_another_report_is_another_question(desk):
    task = await held(desk, approval_required=True)
    await desk.result("ada", task.id, "done", output={"v": "A"}, comment="good")
    await desk.move(task.id, State.QUEUED)
    await desk.claim("ada", task=task.id)
    await desk.result("ada", task.id, "done", output={"v": "B"}, comment="good")
    assert [(await row(desk, n)).status for n in ("A-1", "A-2")] == [
        Status.VOIDED, Status.PENDING,
    ]  # fmt: skip
    with refused("approval.decided"):
        await decide(desk)
    await decide(desk, "A-2")
    assert (await state(desk, task))[0] is State.DONE


async def test_the_same_words_over_another_output_are_another_question(desk):
    task = await held(desk, approval_required=True)
    for output in ("A", "B"):
        await desk.result("ada", task.id, "in_progress", output=output)
        await desk.result("ada", task.id, "done", comment="good")
        await desk.move(task.id, State.QUEUED)
        await desk.claim("ada", task=task.id)
    assert (await row(desk, "A-1")).status is Status.VOIDED
    assert (await row(desk, "A-2")).status is Status.PENDING


async def test_what_was_asked_of_several_is_asked_anew_of_each(desk):
    task, other, busy = [await held(desk, approval_required=True) for _ in range(3)]
    await ask_done(desk, task, other, busy)
    await desk.result("ada", other.id, "done")
    assert await state(desk, other) == (State.BLOCKED, "approval")
    await desk.result("ada", task.id, "done", output="A")
    assert (await row(desk)).status is Status.VOIDED
    for number in ("A-2", "A-3"):
        await decide(desk, number)
    assert [await state(desk, each) for each in (task, other, busy)] == [
        (State.DONE, None), (State.DONE, None), (State.IN_PROGRESS, None),
    ]  # fmt: skip


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_question_from_before_questions_were_bound_to_reports(desk, by_hand):
    task = await held(desk, approval_required=True)
    await desk.result("ada", task.id, "done", output="A")

    def older(tx):
        digest = rules.digest_of(canonical(["task_done", [task.id]]))
        payload = digest if by_hand else sql.result_of(tx, task.id).digest
        tx.run("update approval set payload=? where no=1", (payload,))

    await desk.ground.write("approval.request", older)
    await decide(desk)
    assert await state(desk, task) == (State.DONE, None)


async def test_a_report_that_says_nothing_is_no_other_question(desk):
    task = await held(desk, approval_required=True)
    await ask_done(desk, task)
    await desk.result("ada", task.id, "done")
    await decide(desk)
    assert await state(desk, task) == (State.DONE, None)


@pytest.mark.parametrize(
    "before, after, becomes",
    [
        (None, None, (State.DONE, None)),
        ("in_progress", None, (State.DONE, None)),
        (None, "in_progress", (State.IN_PROGRESS, None)),
        ("in_progress", "in_progress", (State.IN_PROGRESS, None)),
        ("review", None, (State.DONE, None)),
        (None, "review", (State.REVIEW, parking.CHANGED)),
    ],
)
async def test_a_yes_is_for_what_was_last_reported_when_it_was_asked(desk, before, after, becomes):
    task, other = await held(desk), await held(desk)
    if before is not None:
        await desk.result("ada", task.id, before, output="A")
    await ask_done(desk, task, other)
    if after is not None:
        await desk.result("ada", task.id, after, output="B")
    await decide(desk)
    assert await state(desk, task) == becomes
    expected = (State.DONE, None) if after is None else (State.IN_PROGRESS, None)
    assert await state(desk, other) == expected
    assert len(await desk.ground.read(trust.events, desk.agents["ada"])) == (
        2 if after is None else 0
    )


@pytest.mark.parametrize(
    "item, evidence, becomes",
    [
        ("artifact:report", True, (State.DONE, None)),
        ("artifact:report", False, (State.REVIEW, "T-1 is not done: artifact:report missing")),
        ("check:files.count", False, (State.REVIEW, "T-1 is not done: check:files.count missing")),
        ("review:qa", False, (State.REVIEW, "T-1 is not done: review:qa missing")),
    ],
)
async def test_a_yes_does_not_spare_the_definition_of_done(desk, item, evidence, becomes):
    task = await held(desk, done=[item, "it reads well"])
    if evidence:
        await desk.artifact("ada", task.id, "report")
    await ask_done(desk, task)
    await decide(desk)
    assert await state(desk, task) == becomes


@pytest.mark.parametrize(
    "confirmed, becomes",
    [
        (True, (State.DONE, None)),
        (False, (State.REVIEW, "gate-6: its reverse brief is not confirmed")),
    ],
)
async def test_a_yes_does_not_spare_the_brief(desk, confirmed, becomes):
    task = await held(desk)

    def unit(tx):
        tx.run("update task_spec set route_level=2 where task=?", (task.id,))
        rdp.add_brief(tx, task.id, 1, dict.fromkeys(routes.TEXTS, "x"))
        if confirmed:
            rdp.decide_brief(tx, rdp.brief(tx, task.id), "confirm", None)

    await desk.ground.write("task.gate", unit)
    await ask_done(desk, task)
    await decide(desk)
    assert await state(desk, task) == becomes


async def test_nothing_moves_while_a_pending_approval_blocks(desk):
    project = await desk.project(block_status_changes_with_pending_approval=True)
    task = await held(desk, project=project)

    def unit(tx):
        return parking.open_done(tx, task, agent=task.agent, reason="", payload=HASH)

    await desk.do("approval.request", "ada", unit)
    for word in ("done", "failed", "inbox"):
        with refused("task.policy_pending"):
            await desk.result("ada", task.id, word)
    assert (await desk.result("ada", task.id, "review")).state is State.REVIEW
