"""The core cases over two providers that know nothing of each other: ours, and one by others."""

from collections.abc import Iterator
from typing import Any

import pytest

from homarus.agents.endpoint import Dialect
from homarus.agents.port import (
    AssistantMessage,
    Fault,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from homarus.testing.model_script import Answer
from homarus.testing.model_server import Call, Cut, Fail, ModelServer, Reply, Say, Think, When
from tests.contract_model.aimock import aimock
from tests.contract_model.talk import ask, asking, user, wired

TOO_LONG = "prompt is too long: 9001 tokens > 8192 maximum"
SENTENCE = "This sentence is longer than one piece of the stream."
ANSWERS: list[tuple[str, Reply, dict[str, Any], str, list[type], Stop]] = [
    # what is asked, what ours does, what the other does, text, kinds of parts, why it ended
    ("say it", Say("The answer is 42."), {"content": "The answer is 42."},
     "The answer is 42.", [Text], Stop.END),
    ("think first", Answer((Think("6 x 7."), Say("42"))), {"content": "42", "reasoning": "6 x 7."},
     "42", [Thinking, Text], Stop.END),
    ("call a tool", Call("fs.read", {"path": "a"}, id="call_1"),
     {"toolCalls": [{"name": "fs_read", "arguments": {"path": "a"}, "id": "call_1"}]},
     "", [ToolCall], Stop.TOOLS),
    ("text and two calls",
     Answer((Say("I look."), Call("fs.read", {"path": "a"}), Call("fs.write", {"path": "b"}))),
     {"content": "I look.", "toolCalls": [{"name": "fs_read", "arguments": {"path": "a"}},
                                          {"name": "fs_write", "arguments": {"path": "b"}}]},
     "I look.", [Text, ToolCall, ToolCall], Stop.TOOLS),
    ("run out of room", Say("The answ", stop="length"),
     {"content": "The answ", "finishReason": "length"}, "The answ", [Text], Stop.LENGTH),
]  # fmt: skip
FAULTS: list[tuple[str, Reply, dict[str, Any], Fault, float | None]] = [
    # what is asked, what ours does, what the other does, fault, when to come back
    ("be busy", Fail(429, retry_after_s=7), {"status": 429, "retryAfter": 7}, Fault.BUSY, 7.0),
    ("break", Fail(500), {"status": 500}, Fault.SERVER, None),
    ("be away", Fail(503), {"status": 503}, Fault.SERVER, None),
    ("refuse the key", Fail(401), {"status": 401}, Fault.KEY, None),
    ("overflow", Fail(400, TOO_LONG), {"status": 400, "message": TOO_LONG}, Fault.OVERFLOW, None),
    ("dislike it", Fail(400), {"status": 400}, Fault.REQUEST, None),
]  # fmt: skip
AFTER_TOOL = "It says hello."


def rules() -> list[When]:
    pairs = [(case[0], case[1]) for case in (*ANSWERS, *FAULTS)]
    return [
        When("hello", Say(AFTER_TOOL)), When("be cut", Cut(SENTENCE)),
        *(When(asked, reply) for asked, reply in pairs),
    ]  # fmt: skip


def fixtures() -> list[dict[str, Any]]:
    told = [
        {"match": {"hasToolResult": True, "toolResultContains": "hello"},
         "response": {"content": AFTER_TOOL}},
        {"match": {"userMessage": "be cut"}, "response": {"content": SENTENCE}, "chunkSize": 5,
         "truncateAfterChunks": 6},
    ]  # fmt: skip
    told += [{"match": {"userMessage": case[0]}, "response": case[2]} for case in ANSWERS]
    for asked, _, how, _, _ in FAULTS:
        error = {"message": how.get("message", "scripted"), "type": "error"}
        response = {"error": error} | {k: v for k, v in how.items() if k != "message"}
        told.append({"match": {"userMessage": asked}, "response": response})
    return told


@pytest.fixture(scope="module", params=["scripted", "aimock"])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if request.param == "aimock":
        with aimock(fixtures(), tmp_path_factory.mktemp("aimock")) as url:
            yield url
    else:
        with ModelServer(*rules()) as server:
            yield server.url


@pytest.fixture
async def stub(address: str, dialect: Dialect) -> Any:
    base_url = address if dialect is Dialect.ANTHROPIC else f"{address}/v1"
    async with wired(dialect, base_url) as wire:
        yield wire


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case[0])
async def test_an_answer(stub: Any, case: Any) -> None:
    asked, _, _, text, kinds, stop = case
    came = await ask(stub, asking(user(asked)))
    assert came.failure is None
    assert (came.text, [type(part) for part in came.parts]) == (text, kinds)
    assert came.answered is not None
    assert (came.answered.stop, came.answered.model) == (stop, "scripted")
    calls = [(call.name, call.arguments) for call in came.answered.message.calls]
    expected = [("fs.read", '{"path":"a"}'), ("fs.write", '{"path":"b"}')]
    assert calls == expected[: kinds.count(ToolCall)]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case[0])
async def test_a_failure(stub: Any, case: Any) -> None:
    asked, _, _, fault, retry_after_s = case
    failure = (await ask(stub, asking(user(asked)))).failure
    assert failure is not None
    assert failure.fault is fault
    if retry_after_s is not None:
        assert failure.retry_after_s == retry_after_s


async def test_a_cut_stream(stub: Any) -> None:
    came = await ask(stub, asking(user("be cut")))
    assert came.failure is not None
    assert came.failure.fault is Fault.SERVER
    assert SENTENCE.startswith(came.text)


async def test_a_round_with_a_tool(stub: Any) -> None:
    first = await ask(stub, asking(user("call a tool")))
    assert first.answered is not None
    [call] = first.answered.message.calls
    result = ToolResult(call.id, call.name, (Text("hello"),))
    came = await ask(stub, asking(user("call a tool"), first.answered.message, result))
    assert came.text == AFTER_TOOL


async def test_a_conversation(stub: Any) -> None:
    before = AssistantMessage((Text("The answer is 42."),))
    came = await ask(stub, asking(user("say it"), before, user("think first")))
    assert (came.text, came.thinking) == ("42", "6 x 7.")
