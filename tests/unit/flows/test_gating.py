"""Gates inside the store: what an act runs into, held tasks that are looked at again, runs."""

import pytest

from homarus.base.action import Action, Effect
from homarus.base.errors import Refused
from homarus.flows import claiming, creating, gating, pipelining, regating, routes
from homarus.kernel import preflights, rdp, registry, settings
from homarus.pipelines import service as pipelines
from homarus.tasks import sql
from homarus.tasks.model import State
from homarus.testing.recount import verify
from tests.support.refusals import refused

ROLES = ("coo", "pm", "scoder", "coder")
HIGH = "Design high-availability scheduling system"


@pytest.fixture
async def staffed(shop):
    for role in ROLES:
        await shop.agent(role, role=role, limit=5)
    return shop


async def titled(shop, title, *labels, **more):
    """A task with title and labels, by the same road as any create."""
    given = more.pop("input", {}) | {"title": title, "labels": list(labels)}
    new = creating.NewTask(
        **({"project": shop.project_id, "type": "some_work"} | more),
        spec=given,
        allow_underspecified=True,
    )
    return (await shop.do("task.create", "owner", creating.create, new, target="task:new")).task


async def look(shop):
    return await shop.do("task.gate", "system", regating.look, 100)


async def now(shop, task):
    return await shop.ground.read(lambda rx: sql.need(rx, shop.ground.company, task.id))


def register(tx, name, title="A command"):
    registry.register(tx, registry.NewCapability(id=name, title=title, argv=("true",)))


def touch(tx):
    tx.emit("touched", "")
    return True


async def act(shop, agent, capability, task):
    """One exec by an agent on a task, with a preflight that covers whatever it wants."""
    live = await shop.ground.read(
        lambda rx: rx.one("select token from task where id=?", (task.id,))
    )

    def widen(tx):
        tx.run(
            "update preflight set scope=? where id=?",
            ('[["**", "**"]]', preflights.claim_id(task.id, live[0])),
        )

    await shop.ground.write("task.gate", widen)
    action = Action(
        shop.ground.company, capability, f"task:{task.id}", Effect.EXEC,
        credential=shop.credentials[agent], task=task.id,
        preflight=preflights.claim_id(task.id, live[0]),
    )  # fmt: skip
    return await shop.ground.store.write(action, touch)


# -- gate 1: the wild script ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "done", "rule"),
    [
        ("files.count", [], None),
        ("files.other", [], "gate-1"),
        ("files.other", ["check:files.other"], None),
        ("files.other", ["check:files.count"], "gate-1"),
    ],
)
async def test_a_bound_task_runs_its_own_capability_and_the_checks_of_done(
    staffed, capability, done, rule
):
    shop = staffed
    for name in ("files.count", "files.other"):
        await shop.ground.write("capability.register", register, name)
    task = await titled(shop, "Do it", capability="files.count", input={"definitionOfDone": done})
    await shop.claim("coder")
    try:
        assert await act(shop, "coder", capability, task)
        found = None
    except Refused as refusal:
        found = refusal.rule
    assert found == rule if rule else found != "gate-1"


# -- L2 and L3 at the door -----------------------------------------------------------------


@pytest.mark.parametrize(("label", "rule"), [("l2", "gate-6"), (None, None)])
async def test_nothing_is_executed_before_the_brief_is_confirmed(staffed, label, rule):
    shop = staffed
    await shop.ground.write("capability.register", register, "files.count")
    task = await titled(shop, "Do it", *([label] if label else []), capability="files.count")
    await shop.claim("coder")
    if rule is None:
        assert await act(shop, "coder", "files.count", task)
        return
    with pytest.raises(Refused) as caught:
        await act(shop, "coder", "files.count", task)
    assert caught.value.rule == rule


# -- held tasks are looked at again --------------------------------------------------------


async def test_a_task_that_a_gate_holds_is_released_when_the_facts_change(staffed):
    shop = staffed
    task = await titled(shop, "Build it", type="product_development")
    assert task.state is State.BLOCKED
    assert await look(shop) == 0
    shop.ground.clock.advance(gating.RECHECK_MS)
    assert await look(shop) == 1
    assert (await now(shop, task)).state is State.BLOCKED

    def leave(tx):
        tx.run("update agent set deleted_ms=? where name='scoder'", (tx.now_ms,))
        tx.emit("agent_deleted", "")

    await shop.ground.write("agent.delete", leave)
    shop.ground.clock.advance(gating.RECHECK_MS)
    assert await look(shop) == 1
    assert (await now(shop, task)).state is State.QUEUED
    assert (await shop.claim("coder")).id == task.id
    assert await look(shop) == 0


async def test_a_second_look_that_says_the_same_leaves_no_row(staffed):
    shop = staffed
    task = await titled(shop, HIGH, "solo", agent=shop.agents["pm"])
    for _ in range(3):
        shop.ground.clock.advance(gating.RECHECK_MS)
        assert await look(shop) == 1
    found = await shop.ground.read(lambda rx: rdp.decisions(rx, task.id))
    assert [row.verdicts for row in found] == ["ppppbpp"]


@pytest.mark.parametrize("state", [None, "inbox", "queued"])
async def test_a_patch_passes_the_gates_whatever_state_it_names(staffed, state):
    shop = staffed
    task = await titled(shop, "Fix the login page", input={"ownerRole": "coder"})
    more = {} if state is None else {"state": state}
    wanted = {"labels": ["governance"]}
    after = await shop.patch(task.id, as_="coder", title="Change the rules", input=wanted, **more)
    spec = await shop.ground.read(lambda rx: sql.spec_of(rx, task.id))
    assert (after.state, after.reason) == (State.BLOCKED, gating.AWAITS_AUDIT)
    assert (spec.level, spec.role) == (3, "coo")
    with refused("task.not_claimable"):
        await shop.claim("coder", task=task.id)


async def test_what_is_given_back_with_other_facts_passes_the_gates(staffed):
    shop = staffed
    task = await titled(shop, "Fix the login page")
    await shop.claim("coder", task=task.id)
    wanted = {"labels": ["governance"]}
    after = await shop.patch(task.id, as_="coder", input=wanted, state="inbox")
    assert (after.state, after.reason) == (State.BLOCKED, gating.AWAITS_AUDIT)


async def test_an_operator_moves_a_held_task_by_hand(staffed):
    shop = staffed
    task = await titled(shop, "Build it", type="product_development")
    after = await shop.move(task.id, State.QUEUED)
    assert after.state is State.QUEUED
    shop.ground.clock.advance(gating.RECHECK_MS)
    assert await look(shop) == 0
    assert (await now(shop, task)).state is State.QUEUED


# -- level L3 at the head of a lane --------------------------------------------------------


async def audited(shop, n):
    """So many L3 tasks of the coo's lane, audited by the coo."""
    for _ in range(n):
        task = await titled(shop, "Change the rules", "governance", input={"ownerRole": "coo"})
        await shop.do(
            "task.audit", "coo", routes.audit, task.id, "pass", None, target=f"task:{task.id}"
        )


@pytest.mark.parametrize("ahead", [1, 2, claiming.MAX_PUT_ASIDE])
async def test_who_audited_what_heads_a_lane_gets_what_is_behind(staffed, ahead):
    shop = staffed
    await audited(shop, ahead)
    behind = [await shop.task(role="coo") for _ in range(2)]
    other = await shop.task(role="coo", project=await shop.project())
    claimed = [await shop.claim("coo") for _ in range(3)]
    if ahead < claiming.MAX_PUT_ASIDE:
        assert [task.id for task in claimed] == [*(t.id for t in behind), other.id]
    else:
        assert [task and task.id for task in claimed] == [other.id, None, None]
    assert await shop.claim("coo") is None
    await shop.agent("cid", role="coo", limit=99)
    for _ in range(ahead):
        assert await shop.claim("cid") is not None, "the lane lives on for who may"


# -- runs ----------------------------------------------------------------------------------


async def test_a_diverted_task_comes_back_when_its_run_is_done(staffed):
    shop = staffed
    origin = await titled(shop, "A new invoicing product", "new-product")
    assert origin.state is State.INBOX
    for role in ("coo", "pm", "scoder", "coder", "pm"):
        stage = await shop.claim(role)
        await shop.result(role, stage.id, "done")
    shop.ground.clock.advance(gating.RECHECK_MS)
    assert await look(shop) == 1
    assert (await now(shop, origin)).state is State.QUEUED
    count = await shop.ground.read(
        lambda rx: len(pipelines.runs(rx, shop.ground.company, "product-dev"))
    )
    assert count == 1


async def test_a_run_stands_where_its_stages_are(staffed):
    shop = staffed
    new = pipelining.Start("product-dev", shop.project_id, "Exporter")
    run = await shop.do("pipeline.start", "pm", pipelining.start, new)

    async def stage():
        found = await shop.ground.read(lambda rx: pipelines.run_of(rx, run.id))
        return found.stage, found.status.value

    assert await stage() == ("requirement-audit", "running")
    first = await shop.claim("coo")
    await shop.result("coo", first.id, "done")
    assert await stage() == ("prd", "running")
    decisions = await shop.ground.read(lambda rx: pipelines.positions(rx, run.id))
    rows = await shop.ground.read(lambda rx: rdp.decisions(rx, decisions[1].task))
    assert [row.stage for row in rows] == ["prd", "prd"]
    assert rows[0].evidence["4"] == {"stage": "prd"}
    await shop.move(first.id, State.REVIEW)
    assert await stage() == ("requirement-audit", "running")
    assert await shop.claim("pm") is None
    await shop.move(first.id, State.DONE)
    assert await stage() == ("prd", "running")
    assert await shop.ground.read(verify, shop.ground.company) == []


async def test_only_an_operator_takes_a_stage_out_and_the_run_goes_on(staffed):
    shop = staffed
    new = pipelining.Start("product-dev", shop.project_id, "Exporter")
    run = await shop.do("pipeline.start", "pm", pipelining.start, new)
    stages = await shop.ground.read(lambda rx: pipelines.positions(rx, run.id))

    async def stage():
        found = await shop.ground.read(lambda rx: pipelines.run_of(rx, run.id))
        return found.stage, found.status.value

    for n, by in ((0, "pm"), (0, "runtime"), (1, "pm")):
        with refused("permission.operator" if by == "pm" else "task.not_yours"):
            await shop.archive(stages[n].task, as_=by)
    with refused("permission.operator"):
        await shop.patch(stages[1].task, as_="pm", blockers=())
    assert await shop.claim("pm") is None
    await shop.archive(stages[0].task)
    assert await stage() == ("prd", "running")
    prd = await shop.claim("pm")
    assert prd.id == stages[1].task
    await shop.result("pm", prd.id, "done")
    with refused("permission.operator"):
        await shop.archive(prd.id, as_="pm")
    await shop.move(prd.id, State.ARCHIVED)
    assert await stage() == (stages[2].stage, "running")
    for row in reversed(stages[3:]):
        await shop.archive(row.task)
    assert await stage() == (stages[2].stage, "running")
    await shop.move(stages[2].task, State.ARCHIVED)
    assert await stage() == (None, "succeeded")


async def test_a_run_needs_a_known_pipeline_and_an_open_project(staffed):
    shop = staffed
    with refused("pipeline.unknown") as caught:
        await shop.do(
            "pipeline.start", "pm", pipelining.start,
            pipelining.Start("product-def", shop.project_id, "x"),
        )  # fmt: skip
    assert "product-dev" in caught.value.remedy
    with refused("card.unknown"):
        await shop.do(
            "pipeline.start", "pm", pipelining.start,
            pipelining.Start("product-dev", shop.project_id, "x", card="C-9"),
        )  # fmt: skip


async def test_a_new_version_takes_the_place_of_the_shipped_one(staffed):
    shop = staffed
    text = "id: product-dev\ntitle: Ours\nstages: [{id: do, owner: coder}]\n"
    for version in (1, 2):
        row = await shop.ground.write("pipeline.register", pipelines.put, text)
        assert (row.version, row.title) == (version, "Ours")
    new = pipelining.Start("product-dev", shop.project_id, "Exporter")
    run = await shop.do("pipeline.start", "pm", pipelining.start, new)
    assert run.version == 2
    task = await shop.claim("coder")
    await shop.result("coder", task.id, "done")
    found = await shop.ground.read(lambda rx: pipelines.run_of(rx, run.id))
    assert found.status.value == "succeeded"


# -- the threshold -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "role", "letters"),
    [(3.49, "scoder", "ppppdpp"), (3.5, "pm", "ppppupp"), (3.51, "pm", "ppppupp")],
)
async def test_a_score_acts_above_the_governed_threshold(staffed, threshold, role, letters):
    shop = staffed
    await shop.ground.write("change.switch", settings.put, "gates.threshold", threshold)
    task = await titled(shop, HIGH, input={"ownerRole": "pm"})
    spec = await shop.ground.read(lambda rx: sql.spec_of(rx, task.id))
    assert spec.role == role
    [row] = await shop.ground.read(lambda rx: rdp.decisions(rx, task.id))
    assert row.verdicts == letters


async def test_an_ordinary_create_reads_once_and_leaves_one_row(staffed):
    shop = staffed
    task = await titled(shop, "Fix the login page")
    [row] = await shop.ground.read(lambda rx: rdp.decisions(rx, task.id))
    assert (row.verdicts, row.evidence, row.observed) == ("ppppppp", {}, False)
    assert await shop.ground.read(lambda rx: rdp.requester(rx, task.id)) == row.actor
