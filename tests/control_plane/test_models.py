"""Configured models: who may add them, a key that nothing gives back, whether one answers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.endpoint import Dialect
from homarus.company import models
from homarus.control_plane.models import MAX_ANSWER_TOKENS, QUESTION, ROUTES
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.model_server import Fail, ModelServer, Overflow, Say, Stall
from tests.support.engines import BOTH
from tests.support.surface import surface

KEY = "sk-planted-9f3a77c1"
HERE = {"dialect": "openai", "baseUrl": "http://127.0.0.1:11434/v1", "model": "llama3.2"}
HOSTED = {"dialect": "anthropic", "baseUrl": "https://api.anthropic.com", "model": "claude-opus-5"}


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        yield made


async def add(s, *, token=None, **body):
    return await s.call(ROUTES, "POST", "/models", HERE | body, token=token)


async def names(s, **query):
    answer = await s.call(ROUTES, "GET", "/models", query=query)
    return [row["name"] for row in answer.body["models"]]


# -- rows ----------------------------------------------------------------------------------


@BOTH
async def test_the_life_of_a_model(s):
    made = await add(s, contextTokens=8_192, maxOutputTokens=1_024)
    assert made.status == 201
    assert made.body["model"] | {"createdAt": "", "updatedAt": ""} == {
        "name": "default", "dialect": "openai", "baseUrl": "http://127.0.0.1:11434/v1",
        "model": "llama3.2", "keyConfigured": False, "contextTokens": 8_192,
        "maxOutputTokens": 1_024, "fallbacks": [], "createdAt": "", "updatedAt": "",
    }  # fmt: skip
    await add(s, name="fast", **HOSTED, key=KEY, fallbacks=["default"])
    assert await names(s) == ["default", "fast"]
    again = await add(s, model="qwen3")
    assert (again.status, again.body["model"]["model"]) == (200, "qwen3")
    one = await s.call(ROUTES, "GET", "/models/fast")
    assert (one.body["model"]["fallbacks"], one.body["model"]["keyConfigured"]) == (
        ["default"], True,
    )  # fmt: skip
    used = await s.call(ROUTES, "DELETE", "/models/default")
    assert (used.status, used.body["code"]) == (409, "model.used")
    gone = await s.call(ROUTES, "DELETE", "/models/fast")
    assert (gone.status, gone.body["model"]["name"]) == (200, "fast")
    assert await names(s) == ["default"]
    for method in ("GET", "DELETE"):
        answer = await s.call(ROUTES, method, "/models/fast")
        assert (answer.status, answer.body["code"]) == (404, "model.unknown")
    assert [len(await s.events(kind)) for kind in ("model_added", "model_removed")] == [3, 1]


@BOTH
async def test_pages(s):
    for name in ("c", "a", "b"):
        await add(s, name=name)
    first = await s.call(ROUTES, "GET", "/models", query={"limit": "2"})
    assert [row["name"] for row in first.body["models"]] == ["a", "b"]
    assert await names(s, limit="2", cursor=first.body["nextCursor"]) == ["c"]


@pytest.mark.parametrize(
    "body, code",
    [
        ({"name": ""}, "model.name"),
        ({"name": "Big"}, "model.name"),
        ({"name": "x" * 65}, "model.name"),
        ({"dialect": "gemini"}, "model.dialect"),
        ({"baseUrl": "ftp://host"}, "model.url"),
        ({"baseUrl": "http://"}, "model.url"),
        ({"baseUrl": "http://[1"}, "model.url"),
        ({"baseUrl": "http://host:99999"}, "model.url"),
        ({"baseUrl": "http://user:pass@host"}, "model.url"),
        ({"baseUrl": "http://host/v1?key=1"}, "model.url"),
        ({"baseUrl": "http://host/v1#a"}, "model.url"),
        ({"baseUrl": "http://host/" + "x" * 300}, "model.url"),
        ({"model": ""}, "model.id"),
        ({"model": " "}, "model.id"),
        ({"model": "x" * 301}, "model.id"),
        ({"key": ""}, "model.bad_key"),
        ({"key": "two words"}, "model.bad_key"),
        ({"key": "two\nlines"}, "model.bad_key"),
        ({"key": "schlüssel"}, "model.bad_key"),
        ({"key": "x" * 4_097}, "model.bad_key"),
        ({"key": 5}, "request.schema"),
        ({"contextTokens": 1_023}, "model.limits"),
        ({"contextTokens": 8_192, "maxOutputTokens": 8_192}, "model.limits"),
        ({"maxOutputTokens": 15}, "model.limits"),
        ({"fallbacks": ["nobody"]}, "model.fallback"),
        ({"fallbacks": ["default"]}, "model.fallback"),
        ({"fallbacks": ["a", "a"]}, "model.fallback"),
        ({"fallbacks": ["a", "b", "c", "d", "e"]}, "model.fallback"),
        ({"unknown": 1}, "request.schema"),
        ({"baseUrl": "http://models.example.com/v1", "key": KEY}, "model.insecure"),
        ({"baseUrl": "http://93.184.216.34/v1", "key": KEY}, "model.insecure"),
    ],
)
async def test_models_that_cannot_be(s, body, code):
    answer = await add(s, **body)
    assert (answer.status, answer.body["code"]) == (400, code)
    assert KEY not in answer.text
    assert await names(s) == []


@pytest.mark.parametrize(
    "base_url",
    [
        "https://models.example.com/v1", "http://127.0.0.1:8000/v1", "http://localhost:8000/v1",
        "http://[::1]:8000/v1", "http://192.168.1.20:8000/v1", "http://10.0.0.7/v1",
        "http://gpu/v1", "http://gpu.lan/v1",
    ],
)  # fmt: skip
async def test_where_a_key_may_go(s, base_url):
    assert (await add(s, baseUrl=base_url + "/", key=KEY)).body["model"]["baseUrl"] == base_url


async def test_an_unencrypted_address_without_a_key(s):
    assert (await add(s, baseUrl="http://models.example.com/v1")).status == 201


async def test_there_is_a_bound(s, monkeypatch):
    monkeypatch.setattr(models, "MAX_MODELS", 2)
    assert [(await add(s, name=name)).status for name in ("a", "b", "a")] == [201, 201, 200]
    assert (await add(s, name="c")).body["code"] == "model.many"


# -- keys ----------------------------------------------------------------------------------


@BOTH
async def test_a_key_is_kept_sealed_and_never_shown(s):
    replies = [
        await add(s, **HOSTED, key=f"  {KEY}\n"),
        await add(s, **HOSTED, maxOutputTokens=1_000),
        await s.call(ROUTES, "GET", "/models"),
        await s.call(ROUTES, "GET", "/models/default"),
    ]
    assert all(KEY not in reply.text for reply in replies)
    assert replies[1].body["model"]["keyConfigured"] is True, "it stays where it was given for"
    [(row, sealed)] = [
        (chosen.model, chosen.key) for chosen in await s.read(models.chain, s.company, None)
    ]
    assert KEY.encode() not in sealed
    assert s.sealer.unseal(sealed, models.about(s.company, row.name)) == KEY.encode()
    without = await add(s, **HOSTED, key=None)
    assert without.body["model"]["keyConfigured"] is False


@pytest.mark.parametrize(
    "change", [{"baseUrl": "https://elsewhere.example.com"}, {"dialect": "openai"}]
)
async def test_a_key_does_not_move_with_the_address(s, change):
    await add(s, **HOSTED, key=KEY)
    answer = await add(s, **HOSTED | change)
    assert (answer.status, answer.body["code"]) == (400, "model.key_moved")
    assert (await add(s, **HOSTED | change, key=None)).status == 200


async def test_no_file_holds_the_key(s):
    await s.call(ROUTES, "POST", "/models", HOSTED | {"key": KEY}, key="k")
    files = [p for p in (s.home / "local-ssot").iterdir() if p.is_file()]
    assert files and all(KEY.encode() not in p.read_bytes() for p in files)


# -- who -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, role, adds, reads, tests", [
    ("operator", "owner", 201, 200, True),
    ("operator", "approver", 403, 200, True),
    ("operator", "operator", 403, 200, True),
    ("operator", "viewer", 403, 200, False),
    ("runtime", None, 403, 200, False),
])  # fmt: skip
async def test_who_may(daemon: Daemon, kind: str, role: str, adds: int, reads: int, tests: bool):
    _, secret = await daemon.token(kind=kind, **({"role": role} if role else {}))
    who = daemon.client(secret)
    made = await who.post("/api/v1/models", json=HERE, headers=key())
    assert made.status_code == adds
    await daemon.owner.post("/api/v1/models", json=HERE, headers=key())
    assert (await who.get("/api/v1/models")).status_code == reads
    tested = await who.post("/api/v1/models/default/test")
    assert (tested.status_code == 403) != tests
    removed = await who.delete("/api/v1/models/default")
    assert removed.status_code == (200 if adds == 201 else 403)


# -- which one -----------------------------------------------------------------------------


@BOTH
async def test_which_model_an_agent_is_answered_by(s):
    async def chosen(wanted):
        return [row.model.name for row in await s.read(models.chain, s.company, wanted)]

    with pytest.raises(Exception, match=r"model\.none"):
        await chosen(None)
    await add(s, name="small")
    await add(s, name="default", fallbacks=["small"])
    await add(s, name="smart", model="claude-opus-5", fallbacks=["default", "small"])
    for wanted, expected in [
        (None, ["default", "small"]),
        ("", ["default", "small"]),
        ("small", ["small"]),
        ("smart", ["smart", "default", "small"]),
        ("claude-opus-5", ["smart", "default", "small"]),
        ("llama3.2", ["default", "small"]),
    ]:
        assert await chosen(wanted) == expected, wanted
    with pytest.raises(Exception, match=r"model\.unknown"):
        await chosen("gpt-2")


# -- whether one answers -------------------------------------------------------------------


@pytest.fixture
def provider() -> Iterator[ModelServer]:
    with ModelServer(key=KEY) as server:
        yield server


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "home") as daemon:
        yield daemon


async def configured(daemon: Daemon, provider: ModelServer, dialect: str, **body: Any) -> None:
    given = {
        "dialect": dialect, "baseUrl": provider.base_url(dialect), "model": "careful-1", "key": KEY,
    }  # fmt: skip
    made = await daemon.owner.post("/api/v1/models", json=given | body, headers=key())
    assert made.status_code < 300, made.text


async def tested(daemon: Daemon, name: str = "default") -> Any:
    return await daemon.owner.post(f"/api/v1/models/{name}/test")


@pytest.mark.parametrize("dialect", [dialect.value for dialect in Dialect])
async def test_a_test_says_what_came_back(
    office: Daemon, provider: ModelServer, dialect: str
) -> None:
    await configured(office, provider, dialect)
    provider.add(Say("ready", usage=(12, 3)))
    reply = await tested(office)
    assert reply.status_code == 200, reply.text
    found = reply.json()["test"]
    assert (found["name"], found["model"], found["text"]) == ("default", "careful-1", "ready")
    assert (found["inputTokens"], found["outputTokens"], found["stop"]) == (12, 3, "stop")
    assert 0 <= found["firstEventMs"] <= found["latencyMs"]
    [seen] = provider.requests
    assert (seen.last, seen.tools) == (QUESTION, ())


@pytest.mark.parametrize(
    "reply, code",
    [(Fail(401), "model.key"), (Fail(429), "model.busy"), (Fail(500), "model.server"),
     (Overflow(), "model.overflow"), (Fail(404), "model.request")],
)  # fmt: skip
async def test_a_test_says_what_is_wrong(
    office: Daemon, provider: ModelServer, reply: Any, code: str
) -> None:
    await configured(office, provider, "openai")
    provider.add(reply)
    answer = await tested(office)
    assert (answer.status_code, answer.json()["code"]) == (502, code)
    assert answer.json()["remedy"]
    assert KEY not in answer.text


async def test_a_test_of_an_unknown_model(office: Daemon) -> None:
    answer = await tested(office, "nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "model.unknown")


async def test_a_test_is_paid_for(office: Daemon, provider: ModelServer) -> None:
    await configured(office, provider, "openai")
    await office.owner.put(
        "/api/v1/prices",
        json={"name": "careful-1", "inputMicros": 3_000_000, "outputMicros": 15_000_000},
    )

    async def spend() -> Any:
        rows = (await office.owner.get("/api/v1/spend")).json()["spend"]["today"]["scopes"]
        return [(row["spent"]["moneyMicros"], row["reserved"]["moneyMicros"]) for row in rows]

    provider.add(Say("ready", usage=(100, 10)), Fail(500), Say("ready", usage=(100, 10)))
    await tested(office)
    assert await spend() == [(100 * 3 + 10 * 15, 0)]
    await tested(office)
    assert await spend() == [(450, 0)], "what failed gives back what it had set aside"
    least = 15 * MAX_ANSWER_TOKENS
    budget = {"scope": "company", "unit": "money", "period": "day", "limit": 450 + least}
    assert (await office.owner.put("/api/v1/budgets", json=budget)).status_code == 200
    refused = await tested(office)
    assert (refused.status_code, refused.json()["code"]) == (403, "budget.exhausted")
    assert len(provider.requests) == 2, "nothing was asked"


async def test_a_test_leaves_intent_and_outcome(office: Daemon, provider: ModelServer) -> None:
    await configured(office, provider, "openai")
    provider.add(Say("ready"), Fail(500))
    await tested(office)
    await tested(office)

    def read(rx: Any) -> list[Any]:
        return rx.all(
            "select capability, outcome from receipt where capability='model.test' order by seq"
        )

    rows = await office.app.store.read(read)
    assert [tuple(row)[1] for row in rows] == [None, 0, None, 1]


async def test_a_changed_key_is_used_at_once(office: Daemon, provider: ModelServer) -> None:
    await configured(office, provider, "openai", key="sk-old")
    assert (await tested(office)).json()["code"] == "model.key"
    await configured(office, provider, "openai")
    provider.add(Say("ready"))
    assert (await tested(office)).status_code == 200


async def test_the_daemon_stops_while_a_provider_hangs(
    tmp_path: Path, provider: ModelServer
) -> None:
    provider.add(Stall())
    async with running(tmp_path / "home") as daemon:
        await configured(daemon, provider, "openai")
        asking = asyncio.create_task(tested(daemon))
        await asyncio.to_thread(provider.wait, lambda s: len(s.requests) == 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
