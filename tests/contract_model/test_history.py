"""What was said before goes back as each provider wants it, also when it was not whole."""

from typing import Any

import pytest

from homarus.agents.endpoint import Dialect
from homarus.agents.port import (
    AssistantMessage,
    Fault,
    Image,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from homarus.testing.model_server import Answer, Call, Say, Think
from tests.contract_model.talk import PATH, PIXEL, ask, asking, user, wired

CALL = ToolCall("c1", "fs.read", '{"path":"a"}')
OTHER = ToolCall("c2", "fs.write", "{}")


def result(ref: str, text: str = "hello", *, is_error: bool = False) -> ToolResult:
    return ToolResult(ref, "fs.read", (Text(text),), is_error)


def called(*calls: ToolCall) -> AssistantMessage:
    return AssistantMessage((Text("I look."), *calls))


HISTORIES: list[tuple[str, tuple[Any, ...], str]] = [
    # name, messages, the last text that the provider reads
    ("an answer before", (user("a"), AssistantMessage((Text("b"),)), user("c")), "c"),
    ("two lines of a person", (user("a"), user("b")), "b"),
    ("a result", (user("a"), called(CALL), result("c1")), "hello"),
    ("two results", (user("a"), called(CALL, OTHER), result("c1"), result("c2", "bye")), "bye"),
    ("a line between results", (user("a"), called(CALL, OTHER), result("c1"), user("stop"),
                                result("c2")), "stop"),
    ("a line after", (user("a"), called(CALL), result("c1"), user("go on")), "go on"),
    ("no result: aborted", (user("a"), called(CALL), user("again")), "again"),
    ("one of two results", (user("a"), called(CALL, OTHER), result("c2"), user("x")), "x"),
    ("no call: compacted", (user("a"), result("c9"), user("b")), "b"),
    ("a result twice", (user("a"), called(CALL), result("c1"), result("c1", "no"), user("b")), "b"),
    ("no JSON", (user("a"), called(ToolCall("c1", "fs.read", '{"pa')), result("c1"), user("b")),
     "b"),
    ("a tool of old", (user("a"), called(ToolCall("c1", "old.tool!", "{}")), result("c1"),
                       user("b")), "b"),
    ("an id of another provider", (user("a"), called(ToolCall("fs.read:0|x", "fs.read", "{}")),
                                   result("fs.read:0|x"), user("b")), "b"),
    ("thinking of another", (user("a"), AssistantMessage((Thinking("hm", "elsewhere 1 2"),
                                                          Text("b"))), user("c")), "c"),
    ("thinking of nobody", (user("a"), AssistantMessage((Thinking("hm"), Text("b"))), user("c")),
     "c"),
]  # fmt: skip


@pytest.mark.parametrize("case", HISTORIES, ids=lambda case: case[0])
async def test_a_history(server: Any, wire: Any, case: Any) -> None:
    """The scripted provider refuses what the real ones refuse (`model_wires`)."""
    _, messages, last = case
    server.add(Say("42"))
    came = await ask(wire, asking(*messages))
    assert came.failure is None
    assert server.requests[0].last == last


async def test_an_error_of_a_tool_is_marked(server: Any, wire: Any, dialect: Dialect) -> None:
    server.add(Say("42"))
    await ask(wire, asking(user("a"), called(CALL), result("c1", "no such file", is_error=True)))
    [seen] = server.requests
    if dialect is Dialect.ANTHROPIC:
        [block] = seen.body["messages"][-1]["content"]
        assert block["is_error"] is True
    else:
        assert seen.last == '{"error":"no such file"}'


@pytest.mark.parametrize("of", ["person", "tool"])
async def test_images_go_in(server: Any, wire: Any, of: str) -> None:
    server.add(Say("a dot"))
    messages: tuple[Any, ...] = (UserMessage((Text("What is this?"), PIXEL)),)
    if of == "tool":
        messages = (user("a"), called(CALL), ToolResult("c1", "fs.read", (Text("a.png"), PIXEL)))
    came = await ask(wire, asking(*messages))
    assert came.text == "a dot"
    assert PIXEL.data in str(server.requests[0].body)


@pytest.mark.parametrize(
    "part",
    [Image("image/png", "no base64!"), Text("half of a pair: \ud83d")],
    ids=["image", "text"],
)
async def test_what_cannot_be_sent(server: Any, wire: Any, part: Any) -> None:
    came = await ask(wire, asking(UserMessage((Text("a"), part))))
    assert came.failure is not None
    assert (came.failure.fault, server.requests) == (Fault.REQUEST, [])


@pytest.mark.parametrize(
    "model, kept",
    [
        ("scripted", {"openai": "6 x 7", "openai-responses": "", "anthropic": "signed-"}),
        ("gpt-5", {"openai": "6 x 7", "openai-responses": "sealed-", "anthropic": "signed-"}),
    ],
)
async def test_thinking_goes_back_to_where_it_came_from(
    server: Any, wire: Any, dialect: Dialect, model: str, kept: dict[str, str]
) -> None:
    """Sealed or signed where the provider wants it so; never as words of the answer."""
    server.add(Answer((Think("6 x 7"), Call("fs.read", {"path": "a"}))), Say("42"))
    message = (await ask(wire, asking(model=model))).answered.message  # type: ignore[union-attr]
    result = ToolResult(message.calls[0].id, "fs.read", (Text("7"),))
    assert (await ask(wire, asking(user("a"), message, result, model=model))).failure is None
    body = str(server.requests[1].body)
    assert kept[dialect.value] in body
    assert ("6 x 7" in body) == (kept[dialect.value] != "")
    assert "<think>" not in body


async def test_thinking_goes_to_no_other_provider(server: Any, dialect: Dialect) -> None:
    server.add(Answer((Think("6 x 7"), Say("42"))), *[Say("ok")] * 3)
    async with wired(dialect, server.base_url(dialect.value)) as wire:
        message = (await ask(wire, asking())).answered.message  # type: ignore[union-attr]
    for other in Dialect:
        if other is not dialect:
            async with wired(other, server.base_url(other.value)) as wire:
                came = await ask(wire, asking(user("a"), message, user("b")))
            assert came.failure is None
            assert "6 x 7" not in str(server.requests[-1].body)


async def test_tools_whose_names_look_alike_on_the_wire(server: Any, wire: Any) -> None:
    tools = tuple(ToolSpec(name, "", PATH) for name in ("a.b", "a_b", "a b", "x" * 80, "ä"))
    server.reset(lambda seen: Answer(tuple(Call(name, {}) for name in seen.tools)))
    came = await ask(wire, asking(tools=tools))
    assert [call.name for call in came.parts] == [tool.name for tool in tools]
    assert len(set(server.requests[0].tools)) == len(tools)
