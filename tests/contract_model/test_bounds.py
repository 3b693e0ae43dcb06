"""Bounds of the port, whatever a provider sends."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from homarus.agents import port
from homarus.agents.endpoint import Dialect
from homarus.agents.port import Fault, Stop, ToolCall
from homarus.agents.wires import Wire
from homarus.testing.model_server import Answer, Call, ModelServer, Say, Think
from tests.contract_model.talk import ask, asking, warm, wired

SHORT = 40


@pytest.fixture
async def short(server: ModelServer, dialect: Dialect) -> AsyncIterator[Wire]:
    """A wire that takes SHORT characters of an answer."""
    async with wired(dialect, server.base_url(dialect.value), reply_chars=SHORT) as made:
        yield made


@pytest.mark.parametrize(
    "chars, stop", [(39, Stop.END), (40, Stop.END), (41, Stop.LENGTH), (4_000, Stop.LENGTH)]
)
async def test_text(server: Any, short: Wire, chars: int, stop: Stop) -> None:
    server.add(Say("x" * chars))
    came = await ask(short, asking())
    assert came.text == "x" * min(chars, SHORT)
    assert came.answered is not None
    assert (came.answered.message.text, came.answered.stop) == (came.text, stop)


async def test_thinking_counts(server: Any, short: Wire) -> None:
    server.add((Think("h" * 100), Say("never")))
    came = await ask(short, asking())
    assert (came.text, came.thinking) == ("", "h" * SHORT)
    assert came.answered is not None
    assert (came.answered.stop, came.parts) == (Stop.LENGTH, ())


async def test_arguments_count_and_a_torn_call_is_left_out(server: Any, short: Wire) -> None:
    server.add((Say("I look."), Call("fs.read", {"path": "x" * 100})))
    came = await ask(short, asking())
    assert came.answered is not None
    assert (came.answered.message.text, came.answered.stop) == ("I look.", Stop.LENGTH)
    assert came.answered.message.calls == ()


@pytest.mark.parametrize("calls, taken", [(64, True), (65, False)])
async def test_calls(server: Any, wire: Any, calls: int, taken: bool) -> None:
    assert port.MAX_TOOL_CALLS == 64
    server.add(Answer(tuple(Call("fs.read", {}) for _ in range(calls))))
    came = await ask(wire, asking())
    if taken:
        assert [type(part) for part in came.parts] == [ToolCall] * calls
    else:
        assert came.failure is not None
        assert came.failure.fault is Fault.MALFORMED


async def test_bytes(server: ModelServer, dialect: Dialect) -> None:
    server.add(Say("x" * 10_000))
    async with wired(dialect, server.base_url(dialect.value), wire_bytes=4_000) as wire:
        came = await ask(wire, asking())
    assert came.failure is not None
    assert came.failure.fault is Fault.SERVER


async def test_a_steady_drip_ends_too(server: ModelServer, dialect: Dialect) -> None:
    server.add(Say("warm"), Say("x" * 10_000))
    url = server.base_url(dialect.value)
    await warm(dialect, url)
    async with wired(dialect, url, answer_s=0.0) as wire:
        came = await ask(wire, asking())
    assert came.failure is not None
    assert came.failure.fault is Fault.STALLED
