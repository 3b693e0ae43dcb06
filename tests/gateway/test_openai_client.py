"""OpenAI's own client against a daemon: it is told nothing but address and token."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from homarus.agents.port import Fault, Image, ModelRequest, Text
from homarus.agents.scripted import Say
from homarus.testing.daemon import Address, beside, key
from homarus.testing.scripted_model import ScriptedModel, failure
from tests.gateway.asking import CHAT_WEATHER, MODEL, WEATHER

openai = pytest.importorskip("openai", reason="needs the extra `agent`")

CALL = Say("", (("get_weather", {"city": "Rome"}),))
PNG = base64.b64encode(b"\x89PNG\r\n").decode()


class Talk:
    """A client, and the model behind the agent that it talks to."""

    def __init__(self, at: Address, model: ScriptedModel) -> None:
        self.at = at
        self.model = model
        self.client = openai.OpenAI(base_url=f"{at.url}/v1", api_key=at.owner_token)

    def say(self, *replies: Any) -> None:
        self.model.then(*replies)

    @property
    def asked(self) -> ModelRequest:
        return self.model.requests[-1]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    model = ScriptedModel("Hello, I am ada.")
    home = tmp_path_factory.mktemp("openai") / "home"
    with beside(home, turns=model.turns()) as at:
        owner = httpx2.Client(
            base_url=at.url, headers={"Authorization": f"Bearer {at.owner_token}"}
        )
        with owner:
            made = owner.post("/api/v1/agents", json={"name": "ada"}, headers=key()).json()
            owner.patch(
                f"/api/v1/agents/{made['agent']['id']}", json={"executor": "llm"}, headers=key()
            ).raise_for_status()
        made_talk = Talk(at, model)
        with made_talk.client:
            yield made_talk


def test_models(talk: Talk) -> None:
    ids = [model.id for model in talk.client.models.list()]
    assert ids == ["openclaw", "openclaw/default", "openclaw/ada"]
    one = talk.client.models.retrieve("openclaw/ada")
    assert (one.id, one.object, one.owned_by) == ("openclaw/ada", "model", "openclaw")
    with pytest.raises(openai.NotFoundError):
        talk.client.models.retrieve("gpt-4o")


# -- responses -----------------------------------------------------------------------------


def test_a_response(talk: Talk) -> None:
    talk.say("Hello, I am ada.")
    made = talk.client.responses.create(model=MODEL, input="Who are you?", instructions="Be brief.")
    assert (made.output_text, made.status) == ("Hello, I am ada.", "completed")
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
    assert "Be brief." in talk.asked.system
    again = talk.client.responses.create(
        model=MODEL, input="And again?", previous_response_id=made.id
    )
    assert again.id != made.id
    assert len(talk.asked.messages) == 3


def test_a_response_as_it_comes(talk: Talk) -> None:
    talk.say("Word by word it comes.")
    kinds, text = [], ""
    for event in talk.client.responses.create(model=MODEL, input="Go", stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert text == "Word by word it comes."
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_the_stream_helper_puts_it_together(talk: Talk) -> None:
    talk.say("Word by word.")
    with talk.client.responses.stream(model=MODEL, input="Go") as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert (final.output_text, final.status) == ("Word by word.", "completed")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_tool_of_the_clients(talk: Talk, streaming: bool) -> None:
    talk.say(CALL, "It is sunny in Rome.")
    first = responded(talk, streaming, model=MODEL, input="Weather in Rome?", tools=[WEATHER])
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Rome"})
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = responded(
        talk, streaming, model=MODEL, input=[result], previous_response_id=first.id, tools=[WEATHER]
    )
    assert second.output_text == "It is sunny in Rome."
    assert [type(m).__name__ for m in talk.asked.messages] == [
        "UserMessage", "AssistantMessage", "ToolResult",
    ]  # fmt: skip


def responded(talk: Talk, streaming: bool, **asked: Any) -> Any:
    if not streaming:
        return talk.client.responses.create(**asked)
    with talk.client.responses.stream(**asked) as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


def test_what_was_answered_is_sent_back_as_it_was(talk: Talk) -> None:
    """Without a previous response: output items are input items of the next request."""
    talk.say(CALL, "Sunny.")
    items: list[Any] = [{"role": "user", "content": "Weather?"}]
    first = talk.client.responses.create(model=MODEL, input=items, tools=[WEATHER])
    items += first.output
    call = first.output[-1]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    assert talk.client.responses.create(model=MODEL, input=items).output_text == "Sunny."


def test_a_picture(talk: Talk) -> None:
    talk.say("A cat.")
    parts = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
    ]
    talk.client.responses.create(model=MODEL, input=[{"role": "user", "content": parts}])
    assert talk.asked.messages[-1].content == (Text("What is it?"), Image("image/png", PNG))


# -- chat completions ----------------------------------------------------------------------


def test_a_completion(talk: Talk) -> None:
    talk.say("Hello.")
    made = talk.client.chat.completions.create(
        model="homarus/ada",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    )
    assert made.choices[0].message.content == "Hello."
    assert made.choices[0].finish_reason == "stop"
    assert made.usage.total_tokens > 0
    assert made.model == "homarus/ada"


def test_a_completion_as_it_comes(talk: Talk) -> None:
    talk.say("Word by word it comes.")
    chunks = list(
        talk.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "Word by word it comes."
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("streaming", [False, True])
def test_a_tool_of_the_clients_in_a_completion(talk: Talk, streaming: bool) -> None:
    talk.say(CALL, "It is sunny.")
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    first = completed(talk, streaming, messages=messages)
    assert first.finish_reason == "tool_calls"
    (call,) = first.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_weather", {"city": "Rome"},
    )  # fmt: skip
    messages.append(first.message)
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    assert completed(talk, streaming, messages=messages).message.content == "It is sunny."


def completed(talk: Talk, streaming: bool, **asked: Any) -> Any:
    asked |= {"model": MODEL, "tools": [CHAT_WEATHER]}
    if not streaming:
        return talk.client.chat.completions.create(**asked).choices[0]
    with talk.client.chat.completions.stream(**asked) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion().choices[0]


# -- errors, and another kind of client ----------------------------------------------------


def test_errors_are_of_the_clients_own_kinds(talk: Talk) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        talk.client.responses.create(model="gpt-4o", input="Hi")
    assert bad.value.code == "request.model"
    with pytest.raises(openai.AuthenticationError):
        talk.client.with_options(api_key="ho_wrong").responses.create(model=MODEL, input="Hi")
    with pytest.raises(openai.NotFoundError):
        talk.client.responses.create(model="openclaw/nobody", input="Hi")
    with pytest.raises(openai.NotFoundError):
        talk.client.embeddings.create(model=MODEL, input="Hi")


def test_a_turn_that_failed_is_not_asked_again_by_the_client(talk: Talk) -> None:
    talk.say(failure(Fault.REQUEST))
    before = len(talk.model.requests)
    with pytest.raises(openai.BadRequestError) as bad:
        talk.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}]
        )
    assert bad.value.code == "model.request"
    assert len(talk.model.requests) == before + 1


def test_a_stream_that_fails_raises(talk: Talk) -> None:
    talk.say(failure(Fault.REQUEST))
    with pytest.raises(openai.APIError, match="scripted to fail"):
        list(
            talk.client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True
            )
        )


def test_the_asynchronous_client(talk: Talk) -> None:
    talk.say("Yes.")

    async def many() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{talk.at.url}/v1", api_key=talk.at.owner_token
        ) as client:
            made = await asyncio.gather(
                *(client.responses.create(model=MODEL, input=f"{n}") for n in range(5))
            )
            return [one.output_text for one in made]

    assert asyncio.run(many()) == ["Yes."] * 5


def test_headers_go_along(talk: Talk) -> None:
    talk.say("Yes.")
    made = [
        talk.client.responses.with_raw_response.create(
            model="openclaw", input="Hi",
            extra_headers={
                "x-openclaw-agent-id": "ada", "x-openclaw-session-key": "shared",
                "Idempotency-Key": "once",
            },
        )
        for _ in range(2)
    ]  # fmt: skip
    first, again = (one.parse() for one in made)
    assert first.id == again.id
    assert made[1].headers["idempotency-replayed"] == "true"
    assert first._request_id == first.id.removeprefix("resp_")
