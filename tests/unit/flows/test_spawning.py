"""Spawn and send on both engines: what they leave behind (governance contract, 4)."""

import pytest

from homarus.base.action import Action
from homarus.flows import spawning
from homarus.kernel import contexts, routing
from homarus.kernel.routing import Note, Perm
from homarus.tasks.model import State
from homarus.testing.shop import OWNER
from tests.support.refusals import refused

NAMES = ("pm", "scoder", "coder")


@pytest.fixture
async def cast(shop):
    for name in NAMES:
        await shop.agent(name, limit=5)
    await shop.task()
    return await shop.claim("pm")


def note_of(agent, task, perm="read_write"):
    return routing.render(Note(agent, task.number, task.trace, Perm(perm)))


async def dispatch(shop, capability, fn, want, agent, note):
    action = Action(
        shop.ground.company,
        capability,
        "agent:",
        credential=shop.credentials[agent],
        routing_note=note,
        callee=want.target,
    )
    return await shop.ground.store.write(action, fn, want)


async def spawn(shop, agent, target, note, **more):
    want = spawning.Spawn(target, {"title": "Design API architecture"}, **more)
    return await dispatch(shop, "session.spawn", spawning.spawn, want, agent, note)


async def send(shop, agent, target, note):
    want = spawning.Send(target, "hello")
    return await dispatch(shop, "session.send", spawning.send, want, agent, note)


def notices(rx, agent):
    return rx.all(
        "select kind, task, text, trace from notification where agent=? order by id", (agent,)
    )


def contexts_of(rx, task):
    return contexts.of_task(rx, task)


async def test_a_spawn_is_a_child_task_with_a_context_and_a_note(shop, cast):
    made = await spawn(shop, "pm", "scoder", note_of("pm", cast, "read"))
    child = made.claim.task
    assert (child.agent, child.trace, child.project) == (
        shop.agents["scoder"], cast.trace, cast.project,
    )  # fmt: skip
    found = await shop.ground.read(contexts_of, child.id)
    assert found == made.position
    assert (found.parent, found.caller) == (cast.id, f"agent:{shop.agents['pm']}")
    assert (found.perm, found.depth, found.above) == (Perm.READ, 1, (shop.agents["pm"],))
    [(kind, task, text, trace)] = await shop.ground.read(notices, shop.agents["scoder"])
    assert (kind, task, trace) == ("task_assigned", child.id, cast.trace)
    note = routing.parse(text.partition("\n")[2])
    assert (note.caller, note.task_id, note.trace_id) == ("pm", cast.number, cast.trace)
    assert (note.perm, note.nonce) == (Perm.READ, found.nonce)


async def test_a_chain_keeps_who_stands_above(shop, cast):
    first = (await spawn(shop, "pm", "scoder", note_of("pm", cast))).claim.task
    held = await shop.claim("scoder", task=first.id)
    made = await spawn(shop, "scoder", "coder", note_of("scoder", held))
    assert made.position.above == (shop.agents["pm"], shop.agents["scoder"])
    assert made.position.depth == 2
    last = await shop.claim("coder", task=made.claim.task.id)
    for above in ("pm", "scoder", "coder"):
        with refused("R5.cycle"):
            await spawn(shop, "coder", above, note_of("coder", last))
        if above != "coder":
            await send(shop, "coder", above, note_of("coder", last))


@pytest.mark.parametrize(
    "caller, perm, callee, gets",
    [
        ("coo", "govern", "owner", "govern"),
        ("coo", "govern", "coder", "read_write"),
        ("coo", "read_write", "owner", "read_write"),
        ("coo", "read", "owner", "read"),
        ("coder", "read_write", "owner", "read_write"),
        ("coder", "govern", "owner", "R5.widened"),
    ],
)
async def test_the_callee_gets_the_meet(shop, caller, perm, callee, gets):
    await shop.agent("from", role=caller)
    await shop.agent("to", role=callee)
    await shop.task()
    note = note_of("from", await shop.claim("from"), perm)
    if gets.startswith("R5"):
        with refused(gets):
            await spawn(shop, "from", "to", note)
    else:
        assert (await spawn(shop, "from", "to", note)).position.perm == gets


@pytest.mark.parametrize("maker", ["scoder", "pm"])
async def test_what_a_spawned_agent_makes_is_no_wider_and_a_step_deeper(shop, cast, maker):
    """Whatever trace it names; who was not spawned makes tasks without a context."""
    made = await spawn(shop, "pm", "scoder", note_of("pm", cast, "read"))
    await shop.claim("scoder", task=made.claim.task.id)
    other = "01900000-0000-7000-8000-000000000000"
    for trace in (None, other):
        child = await shop.task(as_=maker, agent="coder", trace=trace)
        assert child.trace == (trace or cast.trace)
        found = await shop.ground.read(contexts_of, child.id)
        if maker == "pm":
            assert found is None
            continue
        assert (found.perm, found.depth, found.callee) == (Perm.READ, 2, shop.agents["coder"])
        assert found.above == (shop.agents["pm"], shop.agents["scoder"])
        held = await shop.claim("coder", task=child.id)
        with refused("R5.widened"):
            await spawn(shop, "coder", "idle", note_of("coder", held))
        with refused("R5.cycle"):
            await spawn(shop, "coder", "pm", note_of("coder", held, "read"))


async def test_a_parent_that_waits_comes_back_to_its_agent_when_the_child_is_done(shop, cast):
    made = await spawn(shop, "pm", "scoder", note_of("pm", cast), wait=True)
    assert (made.parent.state, made.parent.blocked) == (State.QUEUED, 1)
    assert made.parent.agent == shop.agents["pm"]
    assert await shop.claim("pm") is None
    with refused("task.not_claimable"):
        await shop.claim("coder", task=cast.id)
    child = await shop.claim("scoder")
    await shop.result("scoder", child.id, "done")
    again = await shop.claim("pm")
    assert (again.id, again.token) == (cast.id, cast.token + 1)


async def test_only_who_works_on_a_task_lets_it_wait(shop, cast):
    want = spawning.Spawn("scoder", {"title": "x"}, task=cast.id, wait=True)
    with refused("spawn.wait"):
        await shop.do("session.spawn", OWNER, spawning.spawn, want)


async def test_an_operators_spawn_needs_no_note_and_widens_nothing(shop, cast):
    given = await spawn(shop, "pm", "scoder", note_of("pm", cast, "read"))
    want = spawning.Spawn("coder", {"title": "x"}, task=given.claim.task.id)
    made = await shop.do("session.spawn", OWNER, spawning.spawn, want)
    assert (made.position.perm, made.position.depth) == (Perm.READ, 2)
    assert made.position.above == (shop.agents["pm"], shop.agents["scoder"])
    assert (made.claim.task.trace, made.note) == (cast.trace, None)
    free = spawning.Spawn("coder", {"title": "x"})
    with refused("spawn.project"):
        await shop.do("session.spawn", OWNER, spawning.spawn, free)


async def test_a_failed_spawn_leaves_its_note_unused(shop, cast):
    note = routing.parse(note_of("pm", cast))
    signing = shop.ground.kernel._keys.note_key(shop.ground.company)
    long = routing.complete(note, signing, now_ms=shop.ground.clock.now_ms(), nonce=b"\x01" * 8)
    with refused("agent.unknown"):
        await spawn(shop, "pm", "nobody", routing.render(long))
    await spawn(shop, "pm", "scoder", routing.render(long))
    with refused("R5.replayed"):
        await spawn(shop, "pm", "scoder", routing.render(long))


async def test_a_send_is_a_message_with_its_note_and_a_notice(shop, cast):
    message = await send(shop, "pm", "scoder", note_of("pm", cast))
    assert (message.conversation_type, message.target_agent) == ("direct", shop.agents["scoder"])
    note = message.metadata[routing.METADATA]
    assert routing.parse(note).caller == "pm"
    [(kind, task, text, trace)] = await shop.ground.read(notices, shop.agents["scoder"])
    assert (kind, task, trace) == ("message", cast.id, cast.trace)
    assert text.endswith(note)


async def test_used_notes_are_kept_by_trace_and_forgotten_in_time(shop, cast):
    await spawn(shop, "pm", "scoder", note_of("pm", cast))
    await send(shop, "pm", "scoder", note_of("pm", cast))
    company, trace = shop.ground.company, cast.trace
    rows = await shop.ground.read(contexts.notes_of, company, trace)
    assert {row.capability for row in rows} == {"session.spawn", "session.send"}
    assert {row.task for row in rows} == {cast.id}
    now = shop.ground.clock.now_ms()
    for before, left in ((now, 2), (now + 1, 0)):
        await shop.do("store.sweep", "system", contexts.forget, before, 100)
        assert len(await shop.ground.read(contexts.notes_of, company, trace)) == left


@pytest.mark.parametrize(
    "perm, expected", [("read", "permission.narrowed"), ("read_write", ""), (None, "")]
)
async def test_who_was_given_read_changes_nothing_outside(shop, cast, perm, expected):
    agent, task = "pm", cast
    if perm is not None:
        made = await spawn(shop, "pm", "scoder", note_of("pm", cast, perm))
        agent, task = "scoder", await shop.claim("scoder", task=made.claim.task.id)
    action = shop.action("command.run", agent, "capability:x", task.id)
    verdict = await shop.ground.read(shop.ground.kernel.admit, action)
    assert getattr(verdict, "code", "") == expected or not expected
