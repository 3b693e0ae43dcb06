"""What a provider says arrives whole: text, thinking, calls, usage, why it ended."""

import asyncio
from typing import Any

import pytest

from homarus.agents.endpoint import Dialect
from homarus.agents.port import Stop, Text, Thinking, ToolCall, Usage
from homarus.testing.model_server import Answer, Call, Echo, Item, Refuse, Say, Think
from tests.contract_model.talk import QUESTION, ask, asking, user, wired

LONG = "All work and no play makes Jack a dull boy. " * 50
ANSWERS: list[tuple[str, Item, str, str, list[type], Stop]] = [
    # name, what is said, text, thinking, kinds of parts, why it ended
    ("text", Say("The answer is 42."), "The answer is 42.", "", [Text], Stop.END),
    ("one character", Say("4"), "4", "", [Text], Stop.END),
    ("long", Say(LONG), LONG, "", [Text], Stop.END),
    ("any script", Say("Żółw, 亀, 🐢\n\n\t."), "Żółw, 亀, 🐢\n\n\t.", "", [Text], Stop.END),
    ("special tokens", Say("<|im_end|> </s>"), "<|im_end|> </s>", "", [Text], Stop.END),
    ("echo", Echo("You said: "), f"You said: {QUESTION}", "", [Text], Stop.END),
    ("length", Say("The answ", stop="length"), "The answ", "", [Text], Stop.LENGTH),
    ("refusal", Refuse("No."), "No.", "", [Text], Stop.REFUSAL),
    ("call", Call("fs.read", {"path": "a"}), "", "", [ToolCall], Stop.TOOLS),
    (
        "thinking, text, calls",
        Answer((Think("6 x 7."), Say("I look."), Call("fs.read", {}), Call("fs.write", {}))),
        "I look.", "6 x 7.", [Thinking, Text, ToolCall, ToolCall], Stop.TOOLS,
    ),
    ("thinking, text", (Think("6 x 7."), Say("42")), "42", "6 x 7.", [Thinking, Text], Stop.END),
]  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case[0])
async def test_an_answer(server: Any, wire: Any, case: Any) -> None:
    _, said, text, thinking, kinds, stop = case
    server.add(said)
    came = await ask(wire, asking())
    assert (came.text, came.thinking) == (text, thinking)
    assert [type(part) for part in came.parts] == kinds
    assert came.answered is not None
    assert (came.answered.stop, came.answered.model) == (stop, "scripted")
    assert came.answered.id
    assert came.answered.message.text == text
    [seen] = server.requests
    assert (seen.stream, seen.last, seen.system) == (True, QUESTION, "Be brief.")


@pytest.mark.parametrize(
    "arguments",
    ['{"path":"a"}', "{}", "", '{"path": ', "not json", "[1]", '"a"', "null", '{"path":"\\ud800"}'],
)
async def test_arguments_stay_the_text_that_came(server: Any, wire: Any, arguments: str) -> None:
    server.add(Call("fs.read", arguments))
    came = await ask(wire, asking())
    [call] = came.parts
    assert (call.name, call.arguments) == ("fs.read", arguments or "{}")


async def test_a_name_that_nobody_offered_stays_as_it_is(server: Any, wire: Any) -> None:
    server.add(Call("rm.everything", {}))
    assert [call.name for call in (await ask(wire, asking())).parts] == ["rm.everything"]


async def test_calls_with_one_id_are_told_apart(server: Any, wire: Any) -> None:
    server.add((Call("fs.read", {}, id="same"), Call("fs.read", {}, id="same")))
    first, second = (await ask(wire, asking())).parts
    assert first.id == "same" != second.id


@pytest.mark.parametrize("cached", [0, 60])
async def test_usage_as_the_provider_counted_it(server: Any, wire: Any, cached: int) -> None:
    server.add(Answer((Say("42"),), (100, 20), cached))
    came = await ask(wire, asking())
    assert came.answered is not None
    assert came.answered.usage == Usage(input=100, output=20, cached=cached)


@pytest.mark.filterwarnings("ignore:Failed to extract usage")
@pytest.mark.parametrize(
    "told, counted",
    [((-5, 20), Usage()), ((5, -20), Usage()), ((5, 10**15), Usage(5, 1_000_000_000))],
)
async def test_counts_that_cannot_be(
    server: Any, wire: Any, told: tuple[int, int], counted: Usage
) -> None:
    """No count is settled by its estimate (`metering.used`)."""
    server.add(Answer((Say("42"),), told))
    came = await ask(wire, asking())
    assert came.answered is not None
    assert came.answered.usage == counted


async def test_what_the_request_carries(server: Any, wire: Any, dialect: Dialect) -> None:
    server.add(Say("42"))
    await ask(wire, asking(temperature=0.5, max_output_tokens=77, tool_choice="required"))
    [seen] = server.requests
    names = {
        Dialect.CHAT: "max_tokens",
        Dialect.RESPONSES: "max_output_tokens",
        Dialect.ANTHROPIC: "max_tokens",
    }
    assert (seen.model, seen.tools) == ("scripted", ("fs_read", "fs_write"))
    assert (seen.body[names[dialect]], seen.body["temperature"]) == (77, 0.5)
    assert seen.body["tool_choice"] in ("required", {"type": "any"})
    if dialect is Dialect.RESPONSES:
        assert seen.body["store"] is False, "the transcript is ours, not the provider's"


async def test_without_system_and_tools(server: Any, wire: Any) -> None:
    server.add(Say("42"))
    came = await ask(wire, asking(system="", tools=()))
    assert came.text == "42"
    assert (server.requests[0].system, server.requests[0].tools) == ("", ())


async def test_many_at_once_are_not_mixed_up(server: Any, wire: Any) -> None:
    server.reset(lambda seen: Say(f"to {seen.last}"))
    came = await asyncio.gather(*(ask(wire, asking(user(f"n{n}"))) for n in range(20)))
    assert [one.text for one in came] == [f"to n{n}" for n in range(20)]


@pytest.mark.parametrize(
    "model, limit, thinking, sent",
    [
        ("claude-haiku-4-5", 8_192, "off", None),
        ("claude-haiku-4-5", 8_192, "low", {"type": "enabled", "budget_tokens": 2_048}),
        ("claude-haiku-4-5", 8_192, "medium", {"type": "enabled", "budget_tokens": 4_096}),
        ("claude-haiku-4-5", 8_192, "high", {"type": "enabled", "budget_tokens": 6_553}),
        ("claude-haiku-4-5", 4_092, "low", None),  # a budget is 1,024 tokens at least
        ("claude-haiku-4-5", 1_024, "high", None),
        ("claude-opus-5", 1_024, "high", {"type": "adaptive"}),
        ("unheard-of", 8_192, "high", {"type": "enabled", "budget_tokens": 6_553}),
    ],
)
async def test_thinking_leaves_room_for_the_answer(
    server: Any, model: str, limit: int, thinking: str, sent: Any
) -> None:
    """The messages dialect refuses a budget that is not below the limit on output."""
    server.add(Say("42"))
    request = asking(model=model, max_output_tokens=limit, thinking=thinking)
    async with wired(Dialect.ANTHROPIC, server.base_url("anthropic")) as wire:
        await ask(wire, request)
    assert server.requests[0].body.get("thinking") == sent
