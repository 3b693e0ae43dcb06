"""Every way in which a provider fails is one `ModelFailure`, with a fault that the loop acts on."""

import asyncio
import logging
import threading
import traceback
from typing import Any

import pytest

from homarus.agents.endpoint import Dialect
from homarus.agents.port import AGAIN, Delta, Fault, ModelFailure, Usage
from homarus.agents.wires import REMEDIES
from homarus.testing.model_server import (
    Cut,
    Fail,
    Garbage,
    ModelServer,
    Overflow,
    Reply,
    Say,
    Stall,
)
from tests.contract_model.talk import KEY, ask, asking, warm, wired
from tests.support.scripted_http import Answer as Http
from tests.support.scripted_http import scripted

SILENT_S = 1.0
"""What counts as silence where it is the case; an event that came is read far sooner."""
LONG_S = 60.0

FAULTS: list[tuple[str, Reply, set[Fault], str]] = [
    # name, what the provider does, fault, what had come by then
    ("rate limit", Fail(429), {Fault.BUSY}, ""),
    ("overloaded", Fail(529), {Fault.BUSY}, ""),
    ("overloaded, in the stream", Fail(529, after="par"), {Fault.BUSY}, "par"),
    ("rate limit, in the stream", Fail(429, after="par"), {Fault.BUSY}, "par"),
    ("500", Fail(500), {Fault.SERVER}, ""),
    ("502", Fail(502), {Fault.SERVER}, ""),
    ("503", Fail(503), {Fault.SERVER}, ""),
    ("504", Fail(504), {Fault.SERVER}, ""),
    ("500, in the stream", Fail(500, after="par"), {Fault.SERVER}, "par"),
    ("408", Fail(408), {Fault.SERVER}, ""),
    ("cut", Cut("par"), {Fault.SERVER}, "par"),
    ("cut at once", Cut(""), {Fault.SERVER}, ""),
    ("cut, politely", Cut("par", clean=True), {Fault.SERVER}, "par"),
    ("context overflow", Overflow(), {Fault.OVERFLOW}, ""),
    ("a body too large", Fail(413), {Fault.OVERFLOW}, ""),
    ("context overflow, other words", Fail(400, "request (9001 tokens) exceeds the available "
                                           "context size (8192 tokens)"), {Fault.OVERFLOW}, ""),
    ("wrong key", Fail(401), {Fault.KEY}, ""),
    ("forbidden", Fail(403), {Fault.KEY}, ""),
    ("no money left", Fail(402), {Fault.KEY}, ""),
    ("bad request", Fail(400), {Fault.REQUEST}, ""),
    ("no such model", Fail(404), {Fault.REQUEST}, ""),
    ("unprocessable", Fail(422), {Fault.REQUEST}, ""),
    ("a page", Garbage("html"), {Fault.MALFORMED}, ""),
    ("no JSON", Garbage("json"), {Fault.MALFORMED}, ""),
    ("other JSON", Garbage("shape"), {Fault.MALFORMED, Fault.SERVER}, ""),
    ("nothing at all", Garbage("empty"), {Fault.MALFORMED}, ""),
]  # fmt: skip


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case[0])
async def test_a_failure(server: ModelServer, wire: Any, case: Any) -> None:
    _, reply, faults, text = case
    server.add(reply, Say("never"))
    came = await ask(wire, asking())
    assert came.failure is not None
    assert (came.failure.fault in faults, came.text) == (True, text), came.failure
    assert came.failure.remedy == REMEDIES[came.failure.fault]
    assert came.failure.code == f"model.{came.failure.fault.value}"
    assert len(server.requests) == 1, "nothing is tried twice here: the loop does that"


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("seconds", [0, 1, 90])
async def test_retry_after_is_handed_on(
    server: ModelServer, wire: Any, status: int, seconds: int
) -> None:
    server.add(Fail(status, retry_after_s=seconds))
    failure = (await ask(wire, asking())).failure
    assert failure is not None
    assert (failure.retry_after_s, failure.fault in AGAIN) == (seconds, True)


@pytest.mark.parametrize(
    "reply, text",
    [(Stall(after=None), ""), (Stall(after=""), ""), (Stall(after="par"), "par")],
    ids=["no status line", "no event", "in the middle"],
)
async def test_silence_ends_the_stream_and_the_connection(
    server: ModelServer, dialect: Dialect, reply: Stall, text: str
) -> None:
    server.add(Say("warm"), reply)
    url = server.base_url(dialect.value)
    await warm(dialect, url)
    first_s = LONG_S if text else SILENT_S
    async with wired(dialect, url, first_event_s=first_s, next_event_s=SILENT_S) as wire:
        came = await ask(wire, asking())
    assert came.failure is not None
    assert (came.failure.fault, came.text) == (Fault.STALLED, text)
    await asyncio.to_thread(server.wait, lambda s: s.left == 1)


async def test_a_slow_reader_is_no_silence(server: ModelServer, dialect: Dialect) -> None:
    """What its consumer takes between two events is not counted."""
    server.add(Say("12345678" * 3))
    url = server.base_url(dialect.value)
    async with wired(dialect, url, first_event_s=LONG_S, next_event_s=SILENT_S) as wire:
        stream = wire.stream(asking())
        await anext(stream)
        await asyncio.to_thread(threading.Event().wait, SILENT_S * 1.5)
        events = [event async for event in stream]
    assert events[-1].message.text == "12345678" * 3


async def test_an_address_where_nobody_listens(dialect: Dialect) -> None:
    with ModelServer() as gone:
        url = gone.base_url(dialect.value)
    async with wired(dialect, url) as wire:
        failure = (await ask(wire, asking())).failure
    assert failure is not None
    assert failure.fault is Fault.UNREACHABLE


async def test_what_was_used_all_the_same_is_told(
    server: ModelServer, wire: Any, dialect: Dialect
) -> None:
    """The messages dialect tells at the beginning, the others at the end."""
    server.add(Cut("par"))
    failure = (await ask(wire, asking())).failure
    assert failure is not None
    expected = Usage(input=8, output=1) if dialect is Dialect.ANTHROPIC else None
    assert failure.usage == expected


# -- leaving -------------------------------------------------------------------------------


async def test_leaving_a_stream_closes_the_connection(server: ModelServer, wire: Any) -> None:
    server.add(Stall(after="12345678"), Say("42"))
    stream = wire.stream(asking())
    assert await anext(stream) == Delta("12345678")
    await stream.aclose()
    await asyncio.to_thread(server.wait, lambda s: s.left == 1)
    assert (await ask(wire, asking())).text == "42"


@pytest.mark.parametrize("after", [None, "", "par"])
async def test_cancelling_closes_the_connection(
    server: ModelServer, wire: Any, after: str | None
) -> None:
    server.add(Stall(after))
    task = asyncio.create_task(ask(wire, asking()))
    await asyncio.to_thread(server.wait, lambda s: len(s.requests) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(server.wait, lambda s: s.left == 1)


async def test_closing_waits_for_what_is_under_way(server: ModelServer, dialect: Dialect) -> None:
    server.add(Say("The answer is 42."))
    async with wired(dialect, server.base_url(dialect.value)) as wire:
        stream = wire.stream(asking())
        await anext(stream)
        await wire.close()
        events = [event async for event in stream]
    assert events[-1].message.text == "The answer is 42."


# -- the key -------------------------------------------------------------------------------


async def test_the_key_is_sent_and_told_to_nobody(
    server: ModelServer, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    """Also by a provider that repeats it, and with every logger as talkative as it can be."""
    caplog.set_level(logging.DEBUG)
    server.add(Fail(401, f"Incorrect API key provided: {KEY}"), Fail(500), Garbage("html"))
    async with wired(dialect, server.base_url(dialect.value)) as wire:
        told = [repr(wire), repr(wire._endpoint)]
        for _ in range(3):
            try:
                async for _ in wire.stream(asking()):
                    pass
            except ModelFailure as failure:
                told += traceback.format_exception(failure)
                told += [repr(failure), str(failure.details)]
                assert failure.__cause__ is None is failure.__context__
    assert [seen.headers.get("authorization", seen.headers.get("x-api-key"))
            for seen in server.requests] in ([f"Bearer {KEY}"] * 3, [KEY] * 3)  # fmt: skip
    assert KEY not in "".join(told)
    assert KEY not in caplog.text
    assert not any(KEY in str(vars(record)) for record in caplog.records)


async def test_a_wrong_key(dialect: Dialect) -> None:
    with ModelServer(Say("42"), key="another") as server:
        async with wired(dialect, server.base_url(dialect.value)) as wire:
            failure = (await ask(wire, asking())).failure
    assert failure is not None
    assert (failure.fault, KEY in str(failure)) == (Fault.KEY, False)


async def test_a_redirect_is_not_followed(dialect: Dialect) -> None:
    with scripted(Http()) as elsewhere:
        moved = Http(status=307, headers={"Location": f"{elsewhere.url}/v1/x"})
        with scripted(moved) as server:
            async with wired(dialect, server.url) as wire:
                failure = (await ask(wire, asking())).failure
        assert elsewhere.asked == []
    assert failure is not None
    assert (failure.fault, "307" in failure.message) == (Fault.REQUEST, True)


async def test_nothing_of_the_environment_goes_out(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys, accounts and headers that the SDKs would take from it, and what they tell of us."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY",
                 "ANTHROPIC_AUTH_TOKEN"):  # fmt: skip
        monkeypatch.setenv(name, "planted")
    for name in ("ANTHROPIC_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "X-Planted: planted")
    with ModelServer(Say("42")) as server:
        async with wired(dialect, server.base_url(dialect.value), key=None) as wire:
            assert (await ask(wire, asking())).text == "42"
        [seen] = server.requests
    assert "planted" not in str(seen.headers).lower()
    assert set(seen.headers) <= {
        "host", "accept", "accept-encoding", "connection", "content-type", "content-length",
        "user-agent", "anthropic-version", "anthropic-beta",
    }  # fmt: skip
    assert seen.headers["user-agent"].startswith("homarus/")
