"""Connections to configured models: kept while nothing changes, made anew when something does."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from homarus.agents import providers as module
from homarus.agents.port import ModelRequest, Text, UserMessage
from homarus.agents.providers import Providers
from homarus.base.errors import Conflict, NotFound, Unavailable
from homarus.control_plane.models import ROUTES
from homarus.kernel.keys import MasterKey
from homarus.testing.model_server import ModelServer, Say
from tests.support.surface import Surface, surface

KEY = "sk-planted-5511"


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path) as made:
        yield made


@pytest.fixture
async def providers(s: Surface) -> AsyncIterator[Providers]:
    made = Providers(s.store, s.sealer)
    yield made
    await made.close()


async def add(s: Surface, name: str = "default", **body: Any) -> None:
    given = {"name": name, "dialect": "openai", "baseUrl": "http://127.0.0.1:1/v1", "model": "m"}
    answer = await s.call(ROUTES, "POST", "/models", given | body)
    assert answer.status < 300, answer.text


async def test_a_connection_is_kept_until_the_model_changes(
    s: Surface, providers: Providers
) -> None:
    await add(s, "small")
    await add(s, fallbacks=["small"])
    first, standing_in = await providers.chain(s.company, None)
    assert (first.model.name, standing_in.model.name) == ("default", "small")
    again, same = await providers.chain(s.company, None)
    assert (again.port is first.port, same.port is standing_in.port) == (True, True)
    await add(s, fallbacks=["small"], maxOutputTokens=100)
    changed, same = await providers.chain(s.company, "default")
    assert (changed.port is first.port, same.port is standing_in.port) == (False, True)
    assert changed.model.max_output_tokens == 100
    with pytest.raises(Unavailable, match=r"model\.closed"):
        await first.port.prepare("m")


async def test_what_is_not_configured(s: Surface, providers: Providers) -> None:
    with pytest.raises(Conflict, match=r"model\.none"):
        await providers.chain(s.company, None)
    await add(s)
    with pytest.raises(NotFound, match=r"model\.unknown"):
        await providers.chain(s.company, "gpt-2")


async def test_companies_do_not_share(s: Surface, providers: Providers) -> None:
    other = await s.other_company()
    await add(s)
    with pytest.raises(Conflict, match=r"model\.none"):
        await providers.chain(other, None)


async def test_the_key_is_opened_for_the_request_alone(s: Surface, providers: Providers) -> None:
    with ModelServer(Say("42"), key=KEY) as server:
        await add(s, baseUrl=server.base_url("openai"), key=KEY)
        [opened] = await providers.chain(s.company, None)
        request = ModelRequest(opened.model.model, "", (UserMessage((Text("a"),)),))
        events = [event async for event in opened.port.stream(request)]
    assert events[-1].message.text == "42"
    assert KEY not in f"{opened!r} {opened.model!r} {opened.port!r}"


async def test_a_key_sealed_by_another_home_is_said(s: Surface) -> None:
    await add(s, baseUrl="https://models.example.com/v1", key=KEY)
    stranger = Providers(s.store, MasterKey(b"\x08" * 32))
    with pytest.raises(Unavailable, match=r"keys\.unseal"):
        await stranger.chain(s.company, None)


async def test_the_one_needed_longest_ago_is_closed(
    s: Surface, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    for name in ("a", "b", "c"):
        await add(s, name)
    [a] = await providers.chain(s.company, "a")
    [b] = await providers.chain(s.company, "b")
    await providers.chain(s.company, "a")
    await providers.chain(s.company, "c")
    assert [kept.port is a.port for kept in await providers.chain(s.company, "a")] == [True]
    with pytest.raises(Unavailable, match=r"model\.closed"):
        await b.port.prepare("m")
