"""Messages that wait can be changed or dropped until somebody begins them, and become tasks once,
on each engine (flows/queued.py)."""

from typing import Any

import pytest

from homarus.base.errors import Conflict, HomarusError, Refused
from homarus.conversations import service as talk
from homarus.conversations import sessions, sql, transcript, turns
from homarus.conversations.model import Message
from homarus.conversations.turns import State
from homarus.flows import hearing, queued, turn_inbound, turning
from tests.unit.flows.test_turning import Runner, _run_here


@pytest.fixture
async def ada(shop: Any) -> Runner:
    await shop.agent("ada", role="coder")
    await shop.do("agent.update", "owner", _run_here, "ada")
    return Runner(shop, "ada")


async def say(ada: Runner, text: str, who: str = "owner") -> turns.Turn:
    """A message into the agent's thread: its turn."""
    said = await ada.shop.do("message.send", who, hearing.say, ada.shop.agents["ada"], text)
    return await turn(ada, f"message:{said.id}")


async def turn(ada: Runner, ref: str) -> turns.Turn:
    return await ada.ground.read(turns.need, ada.ground.company, ref)


async def message(ada: Runner, row: turns.Turn) -> Message:
    found = await ada.ground.read(sql.message, ada.ground.company, row.message)
    assert found is not None
    return found


async def test_a_message_that_waits_is_changed_everywhere(ada: Runner) -> None:
    first, second = await say(ada, "one"), await say(ada, "tow")
    started = await ada.start(first)
    changed = await ada.shop.do("turn.accept", "owner", queued.edit, second.id, "two")
    assert (changed.text, changed.changed_by, changed.state) == (
        "two", second.asked_by, State.QUEUED,
    )  # fmt: skip
    assert changed.changed_ms is not None
    said = await message(ada, changed)
    assert (said.text, said.metadata["edited"]["by"]) == ("two", second.asked_by)
    await ada.answer(started, "re: one")
    await ada.finish(started, "re: one")
    await ada.start(changed)
    lines = await ada.ground.read(transcript.since, second.session, 1)
    assert [line.message["content"] for line in lines if line.message["role"] == "user"] == [
        "one", "two",
    ]  # fmt: skip


async def test_what_was_dropped_is_not_begun(ada: Runner) -> None:
    first, second = await say(ada, "one"), await say(ada, "two")
    dropped = await ada.shop.do("turn.abort", "owner", queued.drop, second.id)
    assert (dropped.state, dropped.changed_by) == (State.ABORTED, second.asked_by)
    assert dropped.outcome == {"stop": queued.DROPPED, "text": ""}
    assert (await message(ada, dropped)).delivery_state == "resolved"
    assert (await message(ada, first)).delivery_state == "queued"
    ready = await ada.ground.read(turns.ready, 1_000)
    assert [turn for company, turn in ready if company == ada.ground.company] == [first.id]
    with pytest.raises(Conflict, match=r"was dropped by .* at ") as caught:
        await ada.shop.do("turn.abort", "owner", queued.drop, second.id)
    assert caught.value.code == "turn.begun"


@pytest.mark.parametrize("end", ["running", "done", "again"])
async def test_it_is_too_late_once_somebody_has_begun(ada: Runner, end: str) -> None:
    row = await say(ada, "one")
    started = await ada.start(row)
    if end == "done":
        await ada.answer(started, "re: one")
        await ada.finish(started, "re: one")
    elif end == "again":  # put aside: it is queued, and its line is in the transcript already
        now = started.turn
        await ada.run(turning.hand_back, now.id, now.token, frozenset())
    before = await turn(ada, row.id)
    for capability, fn, *more in (
        ("turn.accept", queued.edit, "other"), ("turn.abort", queued.drop),
    ):  # fmt: skip
        with pytest.raises(Conflict) as caught:
            await ada.shop.do(capability, "owner", fn, row.id, *more)
        assert caught.value.code == "turn.begun"
    assert await turn(ada, row.id) == before


async def test_only_its_writer_changes_a_message(ada: Runner) -> None:
    await ada.shop.agent("bob", role="coder")
    row = await say(ada, "one")
    with pytest.raises(Refused) as caught:
        await ada.shop.do("turn.accept", "bob", queued.edit, row.id, "do what bob says")
    assert caught.value.code == "turn.not_yours"
    assert (await turn(ada, row.id)).text == "one"


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        ("", {}, "turn.text"),
        (" \n", {}, "turn.text"),
        ("x" * (turn_inbound.MAX_TEXT + 1), {}, "turn.text"),
        ("more", {turn_inbound.COMMAND: "compact"}, "turn.fixed"),
        ("more", {turn_inbound.GIVEN: {"content": []}}, "turn.fixed"),
    ],
)
async def test_what_cannot_be_changed(
    ada: Runner, text: str, options: dict[str, Any], code: str
) -> None:
    row = await ada.accept("one", "k1", options=options)
    with pytest.raises(HomarusError) as caught:
        await ada.shop.do("turn.accept", "owner", queued.edit, row.id, text)
    assert caught.value.code == code


async def test_a_session_of_one_turn_ends_with_the_dropped_one(ada: Runner) -> None:
    row = await ada.accept("one", "k1", session="http:1", options={turn_inbound.ONCE: True})
    await ada.shop.do("turn.abort", "owner", queued.drop, row.id)
    ended = await ada.ground.read(sessions.need, ada.ground.company, row.session)
    assert ended.ended_ms is not None


# -- tasks of messages -----------------------------------------------------------------------


async def test_a_message_becomes_one_task(ada: Runner) -> None:
    said = await ada.shop.do("message.send", "owner", hearing.say, "team", "Paint it\nin blue")
    new = queued.NewTask(agent="ada")
    made = await ada.shop.do("task.create", "owner", queued.task_of, said.id, new)
    assert (made.spec.input["title"], made.spec.input["description"]) == (
        "Paint it", "Paint it\nin blue",
    )  # fmt: skip
    assert made.task.agent == ada.shop.agents["ada"]
    assert (await ada.ground.read(sql.task_of, said.id))[0] == made.task.id
    assert await ada.ground.read(sql.message_of_task, made.task.id) == said.id
    with pytest.raises(Conflict, match=f"made T-{made.task.seq} of this message at ") as caught:
        await ada.shop.do("task.create", "owner", queued.task_of, said.id, queued.NewTask())
    assert caught.value.code == "message.task"


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (queued.NewTask(project="00000000-0000-7000-8000-000000000000"), "project.unknown"),
        (queued.NewTask(agent="nobody"), "agent.unknown"),
    ],
)
async def test_a_task_of_nothing_known(ada: Runner, new: queued.NewTask, code: str) -> None:
    said = await ada.shop.do("message.send", "owner", hearing.say, "team", "hello")
    with pytest.raises(HomarusError) as caught:
        await ada.shop.do("task.create", "owner", queued.task_of, said.id, new)
    assert caught.value.code == code
    assert await ada.ground.read(sql.task_of, said.id) is None


async def test_no_message_no_task(ada: Runner) -> None:
    for ref in ("x", "00000000-0000-7000-8000-000000000000"):
        with pytest.raises(HomarusError) as caught:
            await ada.shop.do("task.create", "owner", queued.task_of, ref, queued.NewTask())
        assert caught.value.code == "message.unknown"


# -- where a person writes -------------------------------------------------------------------


async def test_a_place_is_a_thread_the_team_or_an_agent(ada: Runner) -> None:
    direct = await ada.shop.do("thread.create", "owner", talk.direct, ada.shop.agents["ada"])
    for place in (ada.shop.agents["ada"], direct.id, direct.id.upper()):
        said = await ada.shop.do("message.send", "owner", hearing.say, place, "hello")
        assert said.conversation == direct.id
    said = await ada.shop.do("message.send", "owner", hearing.say, "team", "hello")
    assert said.conversation_type == "team"
    assert len(await ada.ground.read(turns.open_of, (await turn_session(ada)).id)) == 3
    for place in ("", "nowhere", "00000000-0000-7000-8000-000000000000"):
        with pytest.raises(HomarusError) as caught:
            await ada.shop.do("message.send", "owner", hearing.say, place, "hello")
        assert caught.value.code == "thread.unknown"


async def turn_session(ada: Runner) -> sessions.Session:
    return await ada.ground.read(sessions.need, ada.ground.company, "agent:ada:main")
