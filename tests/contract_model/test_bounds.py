"""Bounds of the port, whatever a provider sends."""

from typing import Any

import pytest

from homarus.agents import library, port, wires
from homarus.agents.port import Fault, Stop, ToolCall
from homarus.testing.model_server import Answer, Call, Say, Think
from tests.contract_model.talk import ask, asking


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> int:
    """MAX_REPLY_CHARS, made small."""
    monkeypatch.setattr(wires, "MAX_REPLY_CHARS", 40)
    return 40


@pytest.mark.parametrize(
    "chars, stop", [(39, Stop.END), (40, Stop.END), (41, Stop.LENGTH), (4_000, Stop.LENGTH)]
)
async def test_text(server: Any, wire: Any, short: int, chars: int, stop: Stop) -> None:
    server.add(Say("x" * chars))
    came = await ask(wire, asking())
    assert came.text == "x" * min(chars, short)
    assert came.answered is not None
    assert (came.answered.message.text, came.answered.stop) == (came.text, stop)


async def test_thinking_counts(server: Any, wire: Any, short: int) -> None:
    server.add((Think("h" * 100), Say("never")))
    came = await ask(wire, asking())
    assert (came.text, came.thinking) == ("", "h" * short)
    assert came.answered is not None
    assert (came.answered.stop, came.parts) == (Stop.LENGTH, ())


async def test_arguments_count_and_a_torn_call_is_left_out(
    server: Any, wire: Any, short: int
) -> None:
    server.add((Say("I look."), Call("fs.read", {"path": "x" * 100})))
    came = await ask(wire, asking())
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


async def test_bytes(server: Any, wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "MAX_WIRE_BYTES", 4_000)
    server.add(Say("x" * 10_000))
    came = await ask(wire, asking())
    assert came.failure is not None
    assert came.failure.fault is Fault.SERVER


async def test_a_steady_drip_ends_too(
    server: Any, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(Say("warm"), Say("x" * 10_000))
    await ask(wire, asking())
    monkeypatch.setattr(wires, "ANSWER_S", 0.0)
    came = await ask(wire, asking())
    assert came.failure is not None
    assert came.failure.fault is Fault.STALLED
