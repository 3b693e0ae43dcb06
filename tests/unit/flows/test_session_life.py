"""Sessions that begin anew: by their policy with the next message, or by a person's word, on each
engine (flows/session_life.py; gateway contract, 12.5)."""

from typing import Any

import pytest

from homarus.base.errors import NotFound
from homarus.company import heartbeats as rows
from homarus.company.models import NewModel, put
from homarus.conversations import service as talk
from homarus.conversations import session_policies, sessions, turns
from homarus.conversations.model import Draft, Sender, SenderType
from homarus.conversations.session_policies import Policy
from homarus.conversations.turns import State
from homarus.flows import conversing, hearing, session_life, turn_ends
from tests.unit.flows.test_turning import Runner, _run_here

HOUR = 3_600_000
MAIN = "agent:ada:main"


@pytest.fixture
async def ada(shop: Any) -> Runner:
    await shop.agent("ada")
    await shop.do("agent.update", "owner", _run_here, "ada")
    return Runner(shop, "ada")


async def _set(ada: Runner, scope: str, *values: Any) -> None:
    await ada.shop.do("session.policy", "owner", session_policies.put, scope, Policy(*values))


async def _session(ada: Runner, key: str = MAIN) -> sessions.Session:
    return await ada.ground.read(sessions.need, ada.ground.company, key)


async def _answered(ada: Runner, text: str, key: str, **more: Any) -> turns.Turn:
    started = await ada.start(await ada.accept(text, key, **more))
    await ada.answer(started, "ok")
    return await ada.finish(started, "ok")


async def test_by_default_it_goes_on_for_ever(ada: Runner) -> None:
    first = await _answered(ada, "one", "k1")
    ada.ground.clock.advance(1_000 * 24 * HOUR)
    assert (await ada.accept("two", "k2")).session == first.session


async def test_the_message_that_finds_it_stale_begins_it_anew(ada: Runner) -> None:
    await _set(ada, "base", "idle", 4, 60)
    first = await _answered(ada, "one", "k1")
    kept = {"label": "Desk", "model": "m", "thinking": "high", "queue_mode": "collect"}
    await ada.shop.do("turn.accept", "owner", conversing.change, MAIN, kept)
    ada.ground.clock.advance(HOUR)
    second = await _answered(ada, "two", "k2")
    assert second.session == first.session, "an hour is not more than an hour"
    old = await _session(ada)
    ada.ground.clock.advance(HOUR + 1)
    assert await _session(ada) == old, "nothing happens by itself"
    third = await ada.accept("three", "k3")
    fresh = await _session(ada)
    assert (third.session, third.session != first.session) == (fresh.id, True)
    assert await ada.accept("three", "k3") == third, "the same key is the same turn"
    for name in ("key", "kind", "conversation", "task", "label", "model", "thinking", "queue_mode"):
        assert getattr(fresh, name) == getattr(old, name), name
    assert (fresh.entries, fresh.input_tokens, fresh.created_ms) == (
        0, 0, ada.ground.clock.now_ms()
    )  # fmt: skip
    ended = await _session(ada, old.id)
    assert (ended.ended_ms, ended.entries) == (ada.ground.clock.now_ms(), 4)


async def test_what_is_open_is_not_lost(ada: Runner) -> None:
    await _set(ada, "base", "idle", 4, 60)
    for state in (State.QUEUED, State.RUNNING, State.PARKED):
        session = f"side-{state}"
        await _answered(ada, "zero", f"{state}-0", session=session)
        first = await ada.accept("one", f"{state}-1", session=session)
        if state is not State.QUEUED:
            started = await ada.start(first)
            if state is State.PARKED:
                await ada.run(_park, first.id, started.turn.token)
        ada.ground.clock.advance(2 * HOUR)
        second = await ada.accept("two", f"{state}-2", session=session)
        assert second.session == first.session, "it is in use, and goes on"
        found = await ada.ground.read(turns.open_of, first.session)
        assert [(row.id, row.state) for row in found] == [
            (first.id, state), (second.id, State.QUEUED)
        ]  # fmt: skip
        for row in found:
            await ada.shop.do("turn.abort", "owner", turn_ends.abort, row.id)
        ada.ground.clock.advance(2 * HOUR)
        third = await ada.accept("three", f"{state}-3", session=session)
        assert third.session != first.session


def _park(tx: Any, turn: str, token: int) -> None:
    turns.move(tx, turns.held(tx, turn, token), "park")


async def test_the_narrowest_policy_counts(ada: Runner) -> None:
    await _set(ada, "base", "idle", 4, 60)
    await _set(ada, "type:group", "none")
    await _set(ada, "session:agent:ada:telegram:group:7", "idle", 4, 120)
    cases: list[tuple[str | None, str, int, bool]] = [
        (None, "direct", 2 * HOUR, True),
        ("telegram:group:8", "group", 99 * HOUR, False),
        ("telegram:group:7", "group", 2 * HOUR, False),
        ("telegram:group:7", "group", 2 * HOUR + 1, True),
    ]
    for n, (key, kind, later, anew) in enumerate(cases):
        first = await _answered(ada, "one", f"a{n}", session=key, kind=kind)
        ada.ground.clock.advance(later)
        second = await _answered(ada, "two", f"b{n}", session=key, kind=kind)
        assert (second.session != first.session) is anew, (key, later)
    await ada.shop.do("session.policy", "owner", session_policies.remove, "type:group")
    first = await _answered(ada, "one", "c1", session="telegram:group:8", kind="group")
    ada.ground.clock.advance(2 * HOUR)
    second = await _answered(ada, "two", "c2", session="telegram:group:8", kind="group")
    assert second.session != first.session
    with pytest.raises(NotFound):
        await ada.shop.do("session.policy", "owner", session_policies.remove, "type:group")


async def test_a_heartbeat_neither_renews_nor_keeps_it(ada: Runner) -> None:
    await _set(ada, "base", "idle", 4, 60)
    first = await _answered(ada, "one", "k1")
    ada.ground.clock.advance(HOUR)
    beat = await ada.accept("look", "k2", origin="heartbeat", message="")
    assert beat.session == first.session
    started = await ada.start(beat)
    await ada.finish(started, "HEARTBEAT_OK")
    ada.ground.clock.advance(1)
    assert (await ada.accept("two", "k3")).session != first.session
    assert await ada.ground.read(rows.of, ada.shop.agents["ada"]) is None


async def test_a_branch_of_the_thread_stays_where_it_was(ada: Runner) -> None:
    """A message in a session's thread finds the new session, and is answered in that thread."""
    await _set(ada, "base", "idle", 4, 60)
    first = await _answered(ada, "one", "k1", session="side")
    place = (await _session(ada, first.session)).conversation
    ada.ground.clock.advance(2 * HOUR)
    await ada.shop.do("message.send", "owner", _say, place, "again")
    fresh = await _session(ada, "agent:ada:side")
    (turn,) = await ada.ground.read(turns.open_of, fresh.id)
    assert (fresh.id != first.session, fresh.conversation, turn.text) == (True, place, "again")


# -- by a person's word ----------------------------------------------------------------------


def _say(tx: Any, place: str, text: str) -> None:
    where = talk.need(tx, tx.company, place)
    hearing.post(tx, where, Draft(Sender(SenderType.HUMAN, tx.actor.id), text))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("/new", ("new", "")), (" /RESET ", ("reset", "")), ("/new fast", ("new", "fast")),
        ("/reset do\nit", ("reset", "do\nit")), ("/newer", None), ("say /new", None),
        ("/ new", None), ("new", None),
    ],
)  # fmt: skip
def test_commands(text: str, expected: Any) -> None:
    assert session_life.command(text) == expected


async def test_new_and_reset_begin_anew(ada: Runner) -> None:
    model = NewModel(name="fast", dialect="openai", base_url="http://127.0.0.1:1/v1", model="f")
    await ada.shop.do("model.add", "owner", put, model)
    first = await _answered(ada, "one", "k1")
    place = (await _session(ada)).conversation
    cases: list[tuple[str, str | None, list[str]]] = [
        ("/new", None, []),
        ("/reset", None, []),
        ("/new fast", "fast", []),
        ("/new fast and hello", "fast", ["and hello"]),
        ("/new what is this?", "fast", ["what is this?"]),
    ]
    before = first.session
    for text, wanted, said in cases:
        await ada.shop.do("message.send", "owner", _say, place, text)
        fresh = await _session(ada)
        found = await ada.ground.read(turns.open_of, fresh.id)
        assert (fresh.id != before, fresh.model, [row.text for row in found]) == (
            True, wanted, said
        ), text  # fmt: skip
        before = fresh.id
    assert (await ada.ground.read(turns.open_of, first.session)) == []


def _last_text(rx: Any, place: str) -> str:
    sql = "select text from message where conversation=? order by seq desc limit 1"
    return str(rx.one(sql, (place,))[0])


async def test_a_runtime_begins_no_session_anew_under_an_operator(ada: Runner) -> None:
    running = await ada.accept("one", "k1")
    session = await _session(ada)
    await ada.shop.do("message.send", "runtime", _say, session.conversation, "/new")
    assert ((await _session(ada)).id, await ada.state(running)) == (session.id, State.QUEUED)
    said = await ada.ground.read(_last_text, session.conversation)
    assert said.startswith("An operator is being answered here.")
    await ada.shop.do("message.send", "owner", _say, session.conversation, "/new")
    assert ((await _session(ada)).id == session.id, await ada.state(running)) == (
        False, State.ABORTED,
    )  # fmt: skip
