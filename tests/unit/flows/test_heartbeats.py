"""Heartbeats over the store: what is news, what is told, what holds one back."""

from typing import Any

import pytest

from homarus.base.action import Action
from homarus.base.errors import Conflict, HomarusError, Invalid
from homarus.company import agents
from homarus.company import heartbeats as rows
from homarus.company.heartbeats import Change, Heartbeat
from homarus.conversations import service as talk
from homarus.conversations import sessions, transcript, turns
from homarus.conversations.model import Draft, Sender, SenderType
from homarus.flows import hearing, heartbeats, turn_ends, turn_tools
from homarus.flows.heartbeats import Seen
from homarus.flows.turning import Started
from homarus.kernel import budgets
from tests.unit.flows.test_turning import Runner, _run_here

HALF_HOUR = 30 * 60_000


class Heart:
    """The worker's acts for `ada`, without its clock."""

    def __init__(self, shop: Any) -> None:
        self.shop = shop
        self.ground = shop.ground
        self.ada = Runner(shop, "ada")
        self.id = shop.agents["ada"]
        self.orders = ""
        self.written_ms = 0

    async def set(self, **change: Any) -> Heartbeat:
        row: Heartbeat = await self.shop.do(
            "heartbeat.set", "owner", heartbeats.change, "ada", Change(**change)
        )
        return row

    async def row(self) -> Heartbeat:
        row = await self.ground.read(rows.of, self.id)
        assert row is not None
        return row

    async def look(self) -> list[str]:
        action = Action(self.ground.company, "heartbeat.run", "company:", system="heartbeat")
        seen = (Seen(self.id, self.orders, self.written_ms),)
        found: list[str] = await self.ground.store.write(action, heartbeats.look, seen)
        return found

    async def beat(self) -> list[str]:
        """The next time comes."""
        self.ground.clock.at_ms = (await self.row()).next_ms
        return await self.look()

    async def started(self, turn: str) -> Started:
        row = await self.ground.read(turns.need, self.ground.company, turn)
        return await self.ada.start(row)

    async def answer(self, found: list[str], text: str, *calls: Any) -> turns.Turn:
        (turn,) = found
        started = await self.started(turn)
        await self.ada.answer(started, text, *calls)
        if calls:
            for call in await self.ada.open_calls(started):
                await self.ada.run(_called, turn, started.turn.token, call.id)
        return await self.ada.finish(started, text)

    async def came_to(self) -> tuple[str | None, str | None]:
        row = await self.row()
        return row.outcome, row.reason

    async def told(self, turn: str) -> str:
        row = await self.ground.read(turns.need, self.ground.company, turn)
        return "\n".join(part["text"] for part in row.options["given"]["content"])

    async def said(self) -> list[str]:
        rows = await self.ground.read(
            lambda rx: rx.all(
                "select text from message where company=? and sender=? order by seq",
                (self.ground.company, self.id),
            )
        )
        return [row[0] for row in rows]

    async def say(self, text: str, place: str = "team", target: str | None = None) -> None:
        await self.shop.do("message.send", "owner", _say, place, text, target)

    async def counts(self) -> tuple[int, ...]:
        """Rows of every table that a look could add to."""
        counts: tuple[int, ...] = await self.ground.read(_counts)
        return counts


def _counts(rx: Any) -> tuple[int, ...]:
    tables = ("event", "receipt", "turn", "entry", "message", "heartbeat", "task")
    return tuple(rx.one(f"select count(*) from {name}")[0] for name in tables)


def _say(tx: Any, place: str, text: str, target: str | None) -> None:
    where = talk.team(tx) if place == "team" else talk.create(tx, place)
    hearing.post(tx, where, Draft(Sender(SenderType.HUMAN, tx.actor.id), text, target))


def _called(tx: Any, turn: str, token: int, call: str) -> None:
    row = turns.held(tx, turn, token)
    found = next(c for c in turn_tools.unfinished(tx, row.id) if c.id == call)
    turn_tools.record(tx, row, found, turn_tools.text_result("done"))


@pytest.fixture
async def heart(shop: Any) -> Heart:
    await shop.agent("ada", role="coder")
    await shop.do("agent.update", "owner", _run_here, "ada")
    made = Heart(shop)
    await made.set(enabled=True, every_ms=HALF_HOUR)
    return made


# -- nothing is new --------------------------------------------------------------------------


async def test_nothing_new_asks_no_model_and_leaves_no_row(heart: Heart) -> None:
    assert await heart.beat() == []
    before = await heart.counts()
    for _ in range(100):
        assert await heart.beat() == []
    assert await heart.counts() == before
    row = await heart.row()
    assert (row.looks, row.turns, await heart.came_to()) == (101, 0, ("skipped", "unchanged"))


async def test_what_was_open_before_it_was_switched_on_is_new_once(heart: Heart) -> None:
    await heart.set(enabled=False)
    task = await heart.shop.task()
    await heart.shop.assign(task.id, heart.id)
    await heart.say("long ago")
    await heart.set(enabled=True)
    found = await heart.beat()
    told = await heart.told(found[0])
    assert task.number in told and "long ago" not in told
    await heart.answer(found, "HEARTBEAT_OK")
    assert await heart.beat() == []


# -- what is new -----------------------------------------------------------------------------


async def _orders(heart: Heart) -> None:
    heart.orders = "# Orders\n- look at the disk"


async def _message(heart: Heart) -> None:
    await heart.say("who looks after the disk?")


async def _task(heart: Heart) -> None:
    task = await heart.shop.task()
    await heart.shop.assign(task.id, heart.id)


async def _wake(heart: Heart) -> None:
    await heart.shop.do("heartbeat.wake", "owner", _woken, "ada")


def _woken(tx: Any, agent: str) -> None:
    heartbeats.wake(tx, "the disk is full", agent=agent, now=False)


async def test_each_wakes_exactly_one_turn(heart: Heart) -> None:
    for happens, words in (
        (_orders, "look at the disk"),
        (_message, "who looks after"),
        (_task, "T-"),
        (_wake, "the disk is full"),
    ):
        assert await heart.beat() == []
        await happens(heart)
        found = await heart.beat()
        assert words in await heart.told(found[0])
        await heart.answer(found, "HEARTBEAT_OK")
        assert await heart.came_to() == ("ok-token", None)
        assert [await heart.beat() for _ in range(3)] == [[], [], []]


async def test_orders_that_say_nothing_are_none(heart: Heart) -> None:
    for text in ("", "\n\n", "# Only a heading\n\n## Another", "#"):
        heart.orders = text
        assert await heart.beat() == []


async def test_a_deadline_that_passes_is_new_once(heart: Heart) -> None:
    task = await heart.shop.task()
    await heart.shop.assign(task.id, heart.id)
    due_ms = heart.ground.clock.now_ms() + 2 * HALF_HOUR + 1
    await heart.shop.do("task.update", "owner", _due, task.id, due_ms)
    await heart.answer(await heart.beat(), "HEARTBEAT_OK")
    assert await heart.beat() == []
    found = await heart.beat()
    assert "overdue" in await heart.told(found[0])
    await heart.answer(found, "HEARTBEAT_OK")
    assert await heart.beat() == []


def _due(tx: Any, task: str, due_ms: int) -> None:
    tx.run("update task_spec set sla_due_ms=? where task=?", (due_ms, task))


async def test_a_message_that_was_a_turn_is_read(heart: Heart) -> None:
    turn = await heart.ada.accept("hello", "k1")
    started = await heart.ada.start(turn)
    await heart.ada.answer(started, "hi")
    await heart.ada.finish(started, "hi")
    assert await heart.beat() == []


async def test_other_agents_words_count_when_they_are_addressed(heart: Heart) -> None:
    await heart.shop.agent("bob")
    await heart.shop.do("message.send", "bob", _as_agent, None)
    assert await heart.beat() == []
    await heart.shop.do("message.send", "bob", _as_agent, heart.id)
    assert len(await heart.beat()) == 1


def _as_agent(tx: Any, target: str | None) -> None:
    draft = Draft(Sender(SenderType.AGENT, tx.actor.id), "to whom it may concern", target)
    talk.post(tx, talk.team(tx), draft)


# -- what it does itself is no news ------------------------------------------------------------


async def test_its_own_acts_do_not_wake_it(heart: Heart) -> None:
    task = await heart.shop.task()
    await heart.shop.assign(task.id, heart.id)
    (turn,) = await heart.beat()
    started = await heart.started(turn)
    await heart.shop.claim("ada", task=task.id)
    await heart.shop.do("message.send", "ada", _as_agent, None)
    await heart.ada.answer(started, "", ("c1", "fs.write", "{}"))
    for call in await heart.ada.open_calls(started):
        await heart.ada.run(_called, turn, started.turn.token, call.id)
    heart.orders, heart.written_ms = "- my own note", heart.ground.clock.now_ms()
    await heart.ada.finish(started, "I began with it.")
    assert await heart.came_to() == ("sent", None)
    assert await heart.beat() == [], "what it wrote, claimed and said is its own"
    heart.orders, heart.written_ms = "- a person's note", heart.ground.clock.now_ms()
    assert "a person's note" in await heart.told((await heart.beat())[0])


async def test_what_others_do_meanwhile_is_news_for_the_next(heart: Heart) -> None:
    await heart.say("first")
    (turn,) = await heart.beat()
    started = await heart.started(turn)
    await heart.say("second")
    task = await heart.shop.task()
    await heart.shop.assign(task.id, heart.id)
    await heart.ada.answer(started, "HEARTBEAT_OK")
    await heart.ada.finish(started, "HEARTBEAT_OK")
    told = await heart.told((await heart.beat())[0])
    assert "second" in told and "first" not in told and task.number in told


# -- what is told ----------------------------------------------------------------------------


async def test_answers(heart: Heart) -> None:
    await heart.set(ack_max_chars=16)
    cases: list[tuple[str, str, list[str]]] = [
        ("HEARTBEAT_OK", "ok-token", []),
        ("HEARTBEAT_OK nothing to do", "ok-token", []),
        ("", "ok-empty", []),
        ("The disk is so full. HEARTBEAT_OK!!!", "sent", ["The disk is so full."]),
        ("The disk is full.", "sent", ["The disk is full."]),
    ]
    for answer, outcome, told in cases:
        before = len(await heart.said())
        await heart.say("look")
        turn = await heart.answer(await heart.beat(), answer)
        assert await heart.came_to() == (outcome, None)
        assert (await heart.said())[before:] == told
        record = await heart.ground.read(heartbeats.last, heart.ground.company)
        assert record is not None
        assert (record["status"], record["turnId"]) == (outcome, turn.id)
        assert ("messageId" in record) is bool(told)


async def test_an_ok_leaves_no_lines_to_the_model(heart: Heart) -> None:
    kept, lines = 0, 0
    call = ("c1", "fs.write", "{}")
    cases: list[tuple[str, tuple[Any, ...], int]] = [
        ("HEARTBEAT_OK", (), 0), ("", (), 0), ("Look.", (), 2), ("HEARTBEAT_OK", (call,), 3),
    ]  # fmt: skip
    for answer, calls, more in cases:
        await heart.say("look")
        await heart.answer(await heart.beat(), answer, *calls)
        session = await heart.ground.read(sessions.need, heart.ground.company, "agent:ada:main")
        kept, lines = kept + more, lines + 2 + len(calls)
        assert len((await heart.ground.read(transcript.shown, session.id, 1)).entries) == kept
        assert session.entries == lines, "and the transcript has them all"


async def test_where_it_is_told(heart: Heart) -> None:
    turn = await heart.ada.accept("hi", "k1", session="side")
    started = await heart.ada.start(turn)
    await heart.ada.finish(started, "hello")
    cases: list[tuple[str, Any, bool | None]] = [
        ("none", ("skipped", "no-target"), None),
        ("last", ("sent", None), True),
        ("main", ("sent", None), False),
        ("side", ("sent", None), True),
    ]
    for target, outcome, aside in cases:
        await heart.set(target=target)
        await heart.say("look")
        done = await heart.answer(await heart.beat(), "The disk is full.")
        assert await heart.came_to() == outcome
        where = await heart.ground.read(_place_of, done.reply)
        assert (None if where is None else where == started.session.conversation) is aside


def _place_of(rx: Any, message: str | None) -> str | None:
    row = rx.one("select conversation from message where id=?", (message or "",))
    return None if row is None else str(row[0])


async def test_a_failure_keeps_the_news(heart: Heart) -> None:
    await heart.say("look")
    await _wake(heart)
    (turn,) = await heart.beat()
    started = await heart.started(turn)
    await heart.ada.run(turn_ends.fail, turn, started.turn.token, "model.busy", "no", "later")
    assert await heart.came_to() == ("failed", "model.busy")
    told = await heart.told((await heart.beat())[0])
    assert "look" in told and "the disk is full" in told


async def test_it_costs_what_its_requests_cost(heart: Heart) -> None:
    await heart.set(always=True)
    for _ in range(3):
        await heart.answer(await heart.beat(), "HEARTBEAT_OK")
    row = await heart.row()
    assert (row.turns, row.input_tokens, row.output_tokens) == (3, 120, 30)


# -- what holds it back ----------------------------------------------------------------------


async def _stop(heart: Heart) -> None:
    await heart.shop.stop("agent", heart.id)


async def _busy(heart: Heart) -> None:
    await heart.ada.accept("hello", "k1")


async def _suspend(heart: Heart) -> None:
    change = agents.AgentChange(suspended=True)
    await heart.shop.do("agent.update", "owner", agents.update, heart.id, change)


async def _elsewhere(heart: Heart) -> None:
    change = agents.AgentChange(executor="external")
    await heart.shop.do("agent.update", "owner", agents.update, heart.id, change)


async def _spent(heart: Heart) -> None:
    await heart.shop.do("budget.set", "owner", _budget, heart.id)


def _budget(tx: Any, agent: str) -> None:
    new = budgets.NewBudget(scope="agent", subject=agent, unit="calls", period="month", limit=0)
    budgets.put(tx, new)


async def _night(heart: Heart) -> None:
    """Its hours end before the next one is due."""
    row = await heart.row()
    due = (row.next_ms or 0) // 60_000
    await heart.shop.do("heartbeat.set", "owner", _hours, heart.id, due % 1440)


def _hours(tx: Any, agent: str, minute: int) -> None:
    """Without moving the time that is due."""
    rows.put(tx, agent, open_minute=(minute + 60) % 1440, close_minute=minute)


async def test_what_holds_a_heartbeat_back(heart: Heart) -> None:
    """Each takes precedence over the ones before it."""
    await heart.say("look")
    before = await heart.row()
    for happens, why in (
        (_spent, "budget"), (_busy, "busy"), (_stop, "stop"), (_night, "quiet-hours"),
        (_suspend, "suspended"), (_elsewhere, "not-run-here"),
    ):  # fmt: skip
        await happens(heart)
        assert await heart.beat() == []
        assert await heart.came_to() == ("skipped", why)
        row = await heart.row()
        assert (row.next_ms or 0) > heart.ground.clock.now_ms()
        assert row.mark == before.mark, "nothing is forgotten"


async def test_a_stop_on_the_company_holds_all(heart: Heart) -> None:
    await heart.say("look")
    stop = await heart.shop.stop("company", heart.ground.company)
    assert await heart.beat() == []
    assert await heart.came_to() == ("skipped", "stop")
    await heart.shop.lift(stop)
    assert len(await heart.beat()) == 1


async def test_many_that_were_missed_are_one(heart: Heart) -> None:
    await heart.say("look")
    heart.ground.clock.advance(10 * 24 * 3_600_000)
    found = await heart.look()
    assert len(found) == 1 and await heart.look() == []
    row = await heart.row()
    assert 0 < (row.next_ms or 0) - heart.ground.clock.now_ms() <= HALF_HOUR


async def test_a_wake_up_is_heard_at_once_and_at_any_hour(heart: Heart) -> None:
    await _night(heart)
    heart.ground.clock.at_ms = (await heart.row()).next_ms
    assert await heart.look() == []
    await heart.shop.do("heartbeat.wake", "owner", heartbeats.wake, "fire")
    (turn,) = await heart.look()
    assert "fire" in await heart.told(turn)


async def test_a_wake_up_of_a_busy_agent_is_tried_again(heart: Heart) -> None:
    await heart.set(enabled=False)
    turn = await heart.ada.accept("hello", "k1")
    await heart.shop.do("heartbeat.wake", "owner", _now, "ada")
    assert await heart.look() == []
    started = await heart.ada.start(turn)
    await heart.ada.finish(started, "hi")
    assert len(await heart.beat()) == 1
    assert (await heart.row()).next_ms is None, "it is off all the same"


def _now(tx: Any, agent: str) -> None:
    heartbeats.wake(tx, "fire", agent=agent)


async def test_the_companys_switch(heart: Heart) -> None:
    await heart.say("look")
    await heart.shop.do("heartbeat.set", "owner", heartbeats.set_all, False)
    assert await heart.beat() == []
    assert heart.id not in [agent for _, agent in await heart.ground.read(_due_now)]
    await heart.shop.do("heartbeat.set", "owner", heartbeats.set_all, True)
    assert len(await heart.look()) == 1


def _due_now(rx: Any) -> Any:
    return rows.due(rx, rx.now_ms, 1_000)


async def test_bad_settings(heart: Heart) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "heartbeat.nothing"), ({"every_ms": 59_999}, "heartbeat.every"),
        ({"ack_max_chars": -1}, "heartbeat.ack"), ({"prompt": " "}, "heartbeat.prompt"),
        ({"target": "agent:bob:main"}, "session.key"),
    ]  # fmt: skip
    for change, code in cases:
        with pytest.raises(Invalid) as error:
            await heart.set(**change)
        assert error.value.code == code


async def test_only_agents_that_run_here_have_one(heart: Heart) -> None:
    await heart.shop.agent("bob")
    with pytest.raises(Conflict) as error:
        await heart.shop.do(
            "heartbeat.set", "owner", heartbeats.change, "bob", Change(enabled=True)
        )
    assert error.value.code == "heartbeat.not_run_here"
    with pytest.raises(HomarusError):
        await heart.shop.do("heartbeat.set", "ada", heartbeats.change, "ada", Change(always=True))
