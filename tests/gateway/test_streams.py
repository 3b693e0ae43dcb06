"""The order of events on both wires, event by event (gateway contract, 14.1, 14.2)."""

from pathlib import Path
from typing import Any

import pytest

from homarus.agents.port import Fault, Stop
from homarus.agents.scripted import Say
from homarus.testing.scripted_model import Broken, failure
from tests.gateway.asking import CHAT_WEATHER, MODEL, WEATHER, asking

CALL = (("get_weather", {"city": "Rome"}),)
OWN = (("time_now", {}),)
BEGIN = ["response.created", "response.in_progress", "item.added message", "part.added"]
CLOSED = ["text.done", "part.done"]
END = ["response.completed", "[DONE]"]
ANSWER = [*CLOSED, "item.done final_answer"]
ASIDE = [*CLOSED, "item.done commentary"]
NEXT = ["item.added message", "part.added"]
FUNCTION = ["item.added function_call", "item.done function_call"]


def short(name: str, data: Any) -> str:
    """One word an event; what the contract says of it besides its name."""
    if data == "[DONE]":
        return data
    assert data["type"] == name
    kind = name.removeprefix("response.")
    match kind:
        case "output_text.delta":
            return f"+{data['delta']}"
        case "output_text.done" | "content_part.added" | "content_part.done":
            return kind.removeprefix("output_").removeprefix("content_")
        case "output_item.added":
            return f"item.added {data['item']['type']}"
        case "output_item.done":
            item = data["item"]
            cut = " incomplete" if item["status"] == "incomplete" else ""
            return f"item.done {item.get('phase') or item['type']}{cut}"
    return name


RESPONSES: list[tuple[str, tuple[Any, ...], list[str]]] = [
    ("one text", ("Two words",), [*BEGIN, "+Two words", *ANSWER, *END]),
    ("nothing to say", ("NO_REPLY",), [*BEGIN, *ANSWER, *END]),
    (
        "a call of the client's tool",
        (Say("", CALL),),
        [*BEGIN, *ASIDE, *FUNCTION, *END],
    ),
    (
        "a text and two calls",
        (Say("Let me see", CALL + CALL),),
        [*BEGIN, "+Let me see", *ASIDE, *FUNCTION, *FUNCTION, *END],
    ),
    (
        "a tool of the agent's own, then the answer",
        (Say("One moment", OWN), "It is noon"),
        [*BEGIN, "+One moment", *ASIDE, *NEXT, "+It is noon", *ANSWER, *END],
    ),
    (
        "its own tool without a word before",
        (Say("", OWN), "It is noon"),
        [*BEGIN, "+It is noon", *ANSWER, *END],
    ),
    (
        "its own tool and the client's in one answer",
        (Say("", OWN + CALL),),
        [*BEGIN, *ASIDE, *FUNCTION, *END],
    ),
    (
        "cut off at the limit",
        (Say("As much as fits", stop=Stop.LENGTH),),
        [*BEGIN, "+As much as fits", *CLOSED, "item.done final_answer incomplete",
         "response.incomplete", "[DONE]"],
    ),
    ("a failure", (failure(Fault.REQUEST),), [*BEGIN, "response.failed", "[DONE]"]),
]  # fmt: skip


def joined(events: list[str]) -> list[str]:
    """Neighbouring deltas as one: how a text is split is not the contract's."""
    found: list[str] = []
    for event in events:
        if event.startswith("+") and found and found[-1].startswith("+"):
            found[-1] += event[1:]
        else:
            found.append(event)
    return found


@pytest.mark.parametrize(
    ("replies", "expected"), [row[1:] for row in RESPONSES], ids=[row[0] for row in RESPONSES]
)
async def test_responses(tmp_path: Path, replies: tuple[Any, ...], expected: list[str]) -> None:
    async with asking(tmp_path / "home", *replies) as ask:
        body = {"model": MODEL, "input": "Hi", "stream": True, "tools": [WEATHER]}
        events = await ask.events("/v1/responses", body)
        assert joined([short(*event) for event in events]) == expected
        numbers = [data["sequence_number"] for _, data in events[:-1]]
        assert numbers == list(range(len(numbers)))
        last = events[-2][1]["response"]
        items = [d["item"] for n, d in events if n == "response.output_item.done"]
        if last["status"] != "failed":
            assert last["output"] == items
            ends = {data["response"]["id"] for n, data in events if "response" in data}
            assert ends == {last["id"]}


async def test_texts_of_a_stream_are_whole(tmp_path: Path) -> None:
    """Deltas of an item, its done events and the last event all say the same text."""
    async with asking(tmp_path / "home", Say("One moment", OWN), "It is noon") as ask:
        body = {"model": MODEL, "input": "Hi", "stream": True}
        events = await ask.events("/v1/responses", body)
    said = {}
    for name, data in events[:-1]:
        if name == "response.output_text.delta":
            said[data["output_index"]] = said.get(data["output_index"], "") + data["delta"]
    assert said == {0: "One moment", 1: "It is noon"}
    done = {d["output_index"]: d["text"] for n, d in events if n == "response.output_text.done"}
    assert done == said
    output = events[-2][1]["response"]["output"]
    assert [item["content"][0]["text"] for item in output] == ["One moment", "It is noon"]
    assert [item["phase"] for item in output] == ["commentary", "final_answer"]


async def test_a_text_that_was_broken_off_is_an_item_that_says_so(tmp_path: Path) -> None:
    """The next try begins anew; nothing said is taken back."""
    replies = (Broken("Hel", failure(Fault.SERVER)), "Hello")
    async with asking(tmp_path / "home", *replies) as ask:
        body = {"model": MODEL, "input": "Hi", "stream": True}
        events = joined([short(*e) for e in await ask.events("/v1/responses", body)])
    answer = ["+Hello", *ANSWER, *END]
    broken = ["+Hel", *CLOSED, "item.done commentary incomplete", *NEXT]
    assert events in ([*BEGIN, *broken, *answer], [*BEGIN, *answer])  # or it was never heard


async def test_a_failed_stream_says_why(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", failure(Fault.REQUEST)) as ask:
        body = {"model": MODEL, "input": "Hi", "stream": True}
        (_, last), (_, done) = (await ask.events("/v1/responses", body))[-2:]
        assert (last["type"], done) == ("response.failed", "[DONE]")
        assert last["response"]["status"] == "failed"
        error = last["response"]["error"]
        assert (error["code"], error["reason"]) == ("invalid_request_error", "model.request")
        chat = body | {"messages": [{"role": "user", "content": "Hi"}]}
        del chat["input"]
        (_, last), (_, done) = (await ask.events("/v1/chat/completions", chat))[-2:]
        assert (last["error"]["code"], done) == ("model.request", "[DONE]")


# -- chat completions ----------------------------------------------------------------------


def chunk(data: Any) -> Any:
    if data == "[DONE]":
        return data
    assert data["object"] == "chat.completion.chunk"
    if not data["choices"]:
        return sorted(data["usage"])
    (choice,) = data["choices"]
    delta = choice["delta"]
    if "content" in delta:
        return f"+{delta['content']}"
    return (delta, choice["finish_reason"])


ROLE = ({"role": "assistant"}, None)
STOPPED = ({}, "stop")
NAMED = {"index": 0, "id": "call_1_0", "type": "function",
         "function": {"name": "get_weather", "arguments": ""}}  # fmt: skip
FILLED = {"index": 0, "function": {"arguments": '{"city": "Rome"}'}}
USAGE = ["completion_tokens", "prompt_tokens", "prompt_tokens_details", "total_tokens"]
CHUNKS: list[tuple[str, tuple[Any, ...], list[Any]]] = [
    ("one text", ("Two words",), [ROLE, "+Two words", STOPPED, USAGE, "[DONE]"]),
    (
        "a call of the client's tool",
        (Say("", CALL),),
        [ROLE, ({"tool_calls": [NAMED]}, None), ({"tool_calls": [FILLED]}, None),
         ({}, "tool_calls"), USAGE, "[DONE]"],
    ),
    (
        "before and after a tool of its own",
        (Say("One moment", OWN), "Noon"),
        [ROLE, "+One moment\n\nNoon", STOPPED, USAGE, "[DONE]"],
    ),
    (
        "cut off at the limit",
        (Say("So far", stop=Stop.LENGTH),),
        [ROLE, "+So far", ({}, "length"), USAGE, "[DONE]"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("replies", "expected"), [row[1:] for row in CHUNKS], ids=[row[0] for row in CHUNKS]
)
async def test_chat_completions(
    tmp_path: Path, replies: tuple[Any, ...], expected: list[Any]
) -> None:
    async with asking(tmp_path / "home", *replies) as ask:
        body = {
            "model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True,
            "stream_options": {"include_usage": True}, "tools": [CHAT_WEATHER],
        }  # fmt: skip
        events = await ask.events("/v1/chat/completions", body)
        found: list[Any] = []
        for name, data in events:
            assert name == ""
            one = chunk(data)
            text = isinstance(one, str) and one.startswith("+")
            if text and isinstance(found[-1], str):
                found[-1] += one[1:]
            else:
                found.append(one)
        assert found == expected
        ids = {data["id"] for _, data in events[:-1]}
        assert len(ids) == 1 and ids.pop().startswith("chatcmpl_")
