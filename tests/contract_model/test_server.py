"""The scripted provider is one: the official clients of each dialect understand what it says."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from homarus.testing.model_script import Answer, Script, Seen, from_json
from homarus.testing.model_server import (
    Call,
    Cut,
    Echo,
    Fail,
    Hold,
    ModelServer,
    Overflow,
    Refuse,
    Say,
    Stall,
    Think,
    When,
)

KEY = "sk-1"
TOOL = {"type": "object", "properties": {}}
LOOK = Answer((Think("hm"), Say("I look."), Call("fs.read", {"path": "a"})), usage=(30, 7))


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(key=KEY, models=("careful-1",)) as made:
        yield made


class Client:
    """One question by an official client, whole or streamed: `(text, calls, stop, usage)`."""

    def __init__(self, server: ModelServer, key: str = KEY) -> None:
        more: Any = {"api_key": key, "max_retries": 0}
        self.openai = openai.OpenAI(base_url=server.base_url("openai"), **more)
        self.anthropic = anthropic.Anthropic(base_url=server.base_url("anthropic"), **more)

    def chat(self, stream: bool) -> Any:
        call: Any = {
            "model": "careful-1", "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "function": {"name": "fs_read", "parameters": TOOL}}],
        }  # fmt: skip
        if stream:
            with self.openai.chat.completions.stream(
                **call, stream_options={"include_usage": True}
            ) as events:
                found = events.get_final_completion()
        else:
            found = self.openai.chat.completions.create(**call)
        choice = found.choices[0]
        calls = [(c.function.name, c.function.arguments) for c in choice.message.tool_calls or ()]
        usage = (found.usage.prompt_tokens, found.usage.completion_tokens)
        return choice.message.content or "", calls, choice.finish_reason, usage

    def responses(self, stream: bool) -> Any:
        call: Any = {
            "model": "careful-1", "input": "hi",
            "tools": [{"type": "function", "name": "fs_read", "parameters": TOOL}],
        }  # fmt: skip
        if stream:
            with self.openai.responses.stream(**call) as events:
                found = events.get_final_response()
        else:
            found = self.openai.responses.create(**call)
        calls = [(i.name, i.arguments) for i in found.output if i.type == "function_call"]
        usage = (found.usage.input_tokens, found.usage.output_tokens)
        return found.output_text, calls, found.status, usage

    def messages(self, stream: bool) -> Any:
        call: Any = {
            "model": "careful-1", "max_tokens": 100,
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"name": "fs_read", "input_schema": TOOL}],
        }  # fmt: skip
        if stream:
            with self.anthropic.messages.stream(**call) as events:
                found = events.get_final_message()
        else:
            found = self.anthropic.messages.create(**call)
        text = "".join(block.text for block in found.content if block.type == "text")
        calls = [(b.name, b.input) for b in found.content if b.type == "tool_use"]
        usage = (found.usage.input_tokens, found.usage.output_tokens)
        return text, calls, found.stop_reason, usage


WIRES = ("chat", "responses", "messages")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_official_clients(server: ModelServer, wire: str, stream: bool) -> None:
    server.add(Say("42"), LOOK, Say("The ans", stop="length"))
    ask = getattr(Client(server), wire)
    text, calls, stop, _ = ask(stream)
    assert (text, calls, stop in ("stop", "completed", "end_turn")) == ("42", [], True)
    text, calls, stop, usage = ask(stream)
    arguments = {"path": "a"} if wire == "messages" else '{"path":"a"}'
    assert (text, calls, usage) == ("I look.", [("fs_read", arguments)], (30, 7))
    assert stop in ("tool_calls", "completed", "tool_use")
    if stream and wire != "messages":
        with pytest.raises((openai.LengthFinishReasonError, RuntimeError)):
            ask(stream)  # those clients raise where the others tell
    else:
        assert ask(stream)[2] in ("length", "incomplete", "max_tokens")
    assert [seen.stream for seen in server.requests] == [stream] * 3


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "reply, error",
    [
        (Fail(429, retry_after_s=3), "RateLimitError"),
        (Fail(401), "AuthenticationError"),
        (Fail(404), "NotFoundError"),
        (Fail(500), "InternalServerError"),
        (Overflow(), "BadRequestError"),
        (Cut(), "APIConnectionError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_official_clients_see_the_failure(
    server: ModelServer, wire: str, reply: Any, error: str
) -> None:
    server.add(reply)
    library: Any = anthropic if wire == "messages" else openai
    with pytest.raises(getattr(library, error)):
        getattr(Client(server), wire)(False)


@pytest.mark.parametrize("wire", WIRES)
def test_a_wrong_key_and_an_unknown_model(server: ModelServer, wire: str) -> None:
    library: Any = anthropic if wire == "messages" else openai
    with pytest.raises(library.AuthenticationError):
        getattr(Client(server, "sk-2"), wire)(False)
    server.models = ("other-1",)
    with pytest.raises(library.NotFoundError):
        getattr(Client(server), wire)(False)
    assert server.requests == [], "what was refused is not part of the script"


def test_lists_of_models(server: ModelServer) -> None:
    client = Client(server)
    assert [row.id for row in client.openai.models.list()] == ["careful-1"]
    assert [row.id for row in client.anthropic.models.list()] == ["careful-1"]
    tags = httpx2.get(f"{server.url}/api/tags").json()
    assert [row["name"] for row in tags["models"]] == ["careful-1"]


@pytest.mark.parametrize(
    "path, body",
    [
        ("/v1/chat/completions", b"{"),
        ("/v1/chat/completions", b"[]"),
        ("/v1/chat/completions", b"{}"),
        ("/v1/chat/completions", b'{"model": "careful-1", "messages": [5]}'),
        ("/v1/chat/completions", b'{"model": "careful-1", "messages": [{"role": "tool", '
                                 b'"tool_call_id": "c1", "content": ""}]}'),
        ("/v1/responses", b'{"model": "careful-1"}'),
        ("/v1/responses", b'{"model": "careful-1", "input": "a", "tools": [{"name": "a.b"}]}'),
        ("/v1/messages", b'{"model": "careful-1", "messages": [{"role": "user"}]}'),
        ("/v1/messages", b'{"model": "careful-1", "max_tokens": 5, "messages": '
                         b'[{"role": "assistant", "content": "a"}]}'),
    ],
)  # fmt: skip
def test_what_providers_refuse(server: ModelServer, path: str, body: bytes) -> None:
    reply = httpx2.post(server.url + path, content=body, headers={"x-api-key": KEY})
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize("method, path", [("GET", "/"), ("POST", "/v1/embeddings")])
def test_what_is_not_there(server: ModelServer, method: str, path: str) -> None:
    assert httpx2.request(method, server.url + path).status_code == 404


# -- scripts -------------------------------------------------------------------------------


def seen(last: str) -> Seen:
    return Seen("openai", "m", False, "", last, (), {}, {})


def test_rules_come_before_the_order() -> None:
    def shout(asked: Seen) -> Any:
        return Say("loud") if asked.last.isupper() else None

    script = Script(
        [Say("1"), When("Weather", Say("rain"), times=2), shout, (Think("hm"), Say("2"))]
    )
    asked = ["hi", "the weather?", "HEY", "WEATHER", "weather", "more"]
    taken = [script.take(seen(last)) for last in asked]
    assert taken == [
        Say("1"), Say("rain"), Say("loud"), Say("rain"), Answer((Think("hm"), Say("2"))),
        Fail(400, "the script has no reply left", code="script_ended"),
    ]  # fmt: skip


def test_a_script_as_json() -> None:
    text = """[
        {"type": "say", "text": "42"},
        {"type": "when", "says": "weather", "reply": {"type": "call", "name": "web.fetch"}},
        {"type": "answer", "parts": [{"type": "think", "text": "hm"}, {"type": "refuse"}]},
        {"type": "fail", "status": 429, "retry_after_s": 1},
        {"type": "stall", "after": null}
    ]"""
    assert from_json(text) == [
        Say("42"), When("weather", Call("web.fetch")), Answer((Think("hm"), Refuse())),
        Fail(429, retry_after_s=1), Stall(None),
    ]  # fmt: skip


# -- waiting -------------------------------------------------------------------------------


def test_a_held_reply_comes_when_it_is_released(server: ModelServer) -> None:
    server.add(Hold(Say("now")))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(Client(server).chat, True)
        server.wait(lambda s: len(s.requests) == 1)
        assert not asking.done()
        server.release()
        assert asking.result()[0] == "now"


def test_waiting_is_bounded(server: ModelServer) -> None:
    with pytest.raises(TimeoutError, match="0 requests"):
        server.wait(lambda s: bool(s.requests), timeout_s=0.01)


def test_the_end_of_the_server_ends_a_stalled_stream() -> None:
    with ThreadPoolExecutor(1) as pool:
        with ModelServer(Stall()) as server:
            asking = pool.submit(Client(server).chat, True)
            server.wait(lambda s: len(s.requests) == 1)
        with pytest.raises(openai.APIConnectionError):
            asking.result()


def test_alone_it_echoes() -> None:
    argv = [sys.executable, "-m", "homarus.testing.model_server"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            client = openai.OpenAI(base_url=f"{child.stdout.readline().strip()}/v1", api_key="x")
            found = client.responses.create(model="any", input="hello")
        finally:
            child.kill()
    assert found.output_text == "You said: hello"


async def test_many_at_once(server: ModelServer) -> None:
    server.reset(lambda asked: Echo("re: "))
    client = openai.AsyncOpenAI(base_url=server.base_url("openai"), api_key=KEY, max_retries=0)

    async def ask(n: int) -> str:
        messages: Any = [{"role": "user", "content": f"n{n}"}]
        found = await client.chat.completions.create(model="careful-1", messages=messages)
        return found.choices[0].message.content or ""

    assert await asyncio.gather(*map(ask, range(50))) == [f"re: n{n}" for n in range(50)]
    await client.close()
