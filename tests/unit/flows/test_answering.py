"""A request over HTTP as a turn and its answer, over the store (gateway contract, 10.1, 14)."""

from collections.abc import Sequence
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.conversations import sessions, transcript, turns
from homarus.flows import answering, turn_ends, turn_inbound, turn_tools
from homarus.flows.answering import Brought, Request, Words
from homarus.flows.turn_tools import NO_RESULT
from tests.unit.flows.test_turning import Runner, ada

__all__ = ["ada"]

CALLS = (("c1", "get_weather", '{"city":"Rome"}'),)


class Client:
    """Whoever asks, and the worker that answers."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    async def accept(self, text: str = "Hi", **more: Any) -> turns.Turn:
        request = Request(**{"api": answering.RESPONSES, "text": text} | _plain(text) | more)
        return await self.runner.shop.do("turn.accept", "owner", answering.accept, request)

    async def hand_out(self, turn: turns.Turn, text: str = "", calls: Any = CALLS) -> turns.Turn:
        started = await self.runner.start(turn)
        await self.runner.answer(started, text, *calls)
        return await self.runner.run(
            turn_ends.hand_out, turn.id, started.turn.token, text, {"stop": "toolUse"}
        )

    async def say(self, turn: turns.Turn, text: str) -> turns.Turn:
        started = await self.runner.start(turn)
        await self.runner.answer(started, text)
        return await self.runner.finish(started, text)

    async def answer(self, turn: turns.Turn) -> answering.Answer:
        ground = self.runner.ground
        return await ground.read(answering.answer, ground.company, turn.id)

    async def session(self, turn: turns.Turn) -> sessions.Session:
        return await self.runner.ground.read(sessions.need, turn.company, turn.session)

    async def lines(self, turn: turns.Turn) -> list[tuple[str, Any]]:
        rows: Sequence[transcript.Entry] = await self.runner.ground.read(
            transcript.since, turn.session, 1
        )
        return [(row.message["role"], row.message["content"]) for row in rows]


def _plain(text: str) -> dict[str, Any]:
    return {"content": ({"type": "text", "text": text},)}


def result(call: str, text: str = "Sunny", *, new: bool = True) -> Brought:
    return Brought(call, "get_weather", ({"type": "text", "text": text},), new)


@pytest.fixture
def client(ada: Runner) -> Client:
    return Client(ada)


async def test_a_request_and_its_answer(client: Client) -> None:
    turn = await client.accept("Hi", key="k")
    assert await client.accept("Hi", key="k") == turn
    assert (turn.origin, turn.mode, turn.options) == ("http", "followup", {})
    session = await client.session(turn)
    assert (session.key.rpartition(":")[0], session.kind) == ("agent:ada:openresponses", "http")
    await client.say(turn, "Hello")
    answer = await client.answer(turn)
    assert (answer.said, answer.calls, answer.stop) == ((Words(1, "Hello"),), (), "stop")
    assert (answer.input_tokens, answer.output_tokens) == (40, 10)
    assert (await client.session(turn)).ended_ms is None


async def test_a_session_that_is_for_one_request_ends_with_it(client: Client) -> None:
    turn = await client.accept(api=answering.CHAT)
    assert turn.options == {turn_inbound.ONCE: True}
    await client.say(turn, "Hello")
    assert (await client.session(turn)).ended_ms is not None
    assert (await client.answer(turn)).said == (Words(1, "Hello"),)
    aborted = await client.accept(api=answering.CHAT)
    await client.runner.shop.do("turn.abort", "owner", answering.let_go, aborted.id)
    assert (await client.session(aborted)).ended_ms is not None


async def test_calls_go_out_and_results_come_back(client: Client) -> None:
    first = await client.accept(user="mia")
    done = await client.hand_out(first, "Let me see")
    assert done.outcome is not None
    told = [{"id": "c1", "name": "get_weather", "arguments": '{"city":"Rome"}'}]
    assert done.outcome["calls"] == told
    assert (await client.answer(first)).calls == tuple(told)
    waiting = await client.runner.ground.read(turn_tools.handed_out, await client.session(first))
    assert [call.ref for call in waiting] == ["c1"]
    second = await client.accept("Results", content=(), user="mia", results=(result("c1"),))
    assert second.message is None, "a result is nobody's message"
    await client.say(second, "It is sunny")
    assert [role for role, _ in await client.lines(first)] == [
        "user", "assistant", "toolResult", "assistant",
    ]  # fmt: skip
    session = await client.session(first)
    assert await client.runner.ground.read(turn_tools.handed_out, session) == []


async def test_a_call_without_a_result_is_closed_by_the_next_message(client: Client) -> None:
    first = await client.accept(user="mia")
    await client.hand_out(first)
    second = await client.accept("Never mind", user="mia")
    late = await client.accept("Results", content=(), user="mia", results=(result("c1"),))
    await client.say(second, "As you like")
    lines = await client.lines(first)
    assert [role for role, _ in lines][:4] == ["user", "assistant", "toolResult", "user"]
    assert lines[2][1][0]["text"] == NO_RESULT
    await client.runner.start(late)
    role, content = (await client.lines(first))[-1]
    assert (role, content) == ("user", [{"type": "text", "text": "Sunny"}]), "it is not lost"


async def test_what_went_before_is_told_to_a_new_session_alone(client: Client) -> None:
    before = ({"type": "text", "text": "user: One"},)
    first = await client.accept("Two", user="mia", history=before)
    await client.say(first, "Three")
    second = await client.accept("Four", user="mia", history=before)
    await client.say(second, "Five")
    lines = await client.lines(first)
    assert lines[0] == ("user", [*before, {"type": "text", "text": "Two"}])
    assert lines[2] == ("user", "Four")
    assert turn_inbound.GIVEN not in (
        await client.runner.ground.read(turns.need, first.company, first.id)
    ).options  # fmt: skip


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"agent": "nobody"}, "agent.unknown"),
    ({"session": "cron:x"}, "session.reserved"),
    ({"session": "agent:bob:x", "agent": "ada"}, "session.key"),
    ({"previous": "01a1f978-acee-72aa-8763-e53ee771c702"}, "response.unknown"),
    ({"previous": "x"}, "response.unknown"),
    ({"content": ({"type": "image", "mimeType": "image/png", "data": "x" * 1_900_000},)},
     "turn.given"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "code"), REFUSED, ids=[f"{row[1]}" for row in REFUSED])
async def test_refused(client: Client, more: dict[str, Any], code: str) -> None:
    with pytest.raises(HomarusError) as caught:
        await client.accept(**more)
    assert caught.value.code == code


async def test_going_on_from_a_response(client: Client) -> None:
    first = await client.accept()
    await client.hand_out(first)
    with pytest.raises(HomarusError) as caught:
        await client.accept(previous=first.id, content=(), results=(result("c2"),))
    assert caught.value.code == "response.call_unknown"
    second = await client.accept(previous=first.id, content=(), results=(result("c1"),))
    assert second.session == first.session
    await client.runner.shop.agent("bob")
    with pytest.raises(HomarusError) as caught:
        await client.runner.shop.do(
            "turn.accept", "bob",
            answering.accept, Request(api=answering.RESPONSES, text="x", previous=first.id),
        )  # fmt: skip
    assert caught.value.code == "response.unknown"


async def test_a_call_by_hand_is_a_line_like_a_models(client: Client) -> None:
    turn = await client.accept(api=answering.TOOL)
    assert turn.message is None
    started = await client.runner.start(turn)
    await client.runner.run(turn_tools.call_tool, turn.id, started.turn.token, "time_now", "{}")
    (call,) = await client.runner.open_calls(started)
    assert (call.tool, call.arguments, call.state) == ("time_now", "{}", "ready")
