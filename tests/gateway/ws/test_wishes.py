"""How a run is to be: what is heard, what is a hint, what is refused (gateway contract, 6)."""

from pathlib import Path
from typing import Any

import pytest

from homarus.testing.daemon import key
from homarus.testing.scripted_model import Hang
from tests.gateway.ws.talking import over, said, talking


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("agent", {"message": "x", "idempotencyKey": "k", "cwd": "/tmp"}),
        ("agent", {"message": "x", "idempotencyKey": "k", "modelRun": True}),
        ("agent", {"message": "x", "idempotencyKey": "k", "promptMode": "minimal"}),
        ("agent", {"message": "x", "idempotencyKey": "k", "provider": "openai"}),
        ("agent", {"message": "x", "idempotencyKey": "k", "provider": "openai", "model": "gpt-x"}),
        ("chat.send", said("x", "k", expectedSessionSettings={"model": "y"})),
        ("sessions.create", {"message": "x", "parentSessionKey": "main"}),
    ],
)
async def test_a_wish_that_would_go_unheard_is_refused(
    tmp_path: Path, method: str, params: dict[str, Any]
) -> None:
    async with talking(tmp_path / "home", "Yes.") as (ask, client):
        error = await client.error(method, params)
        assert error["code"] == "UNAVAILABLE" and "is not offered" in error["message"]
        assert await ask.turns() == []


async def test_hints_that_change_nothing_are_taken(tmp_path: Path) -> None:
    hints = {"lane": "main", "groupId": "g", "groupChannel": "c", "groupSpace": "s",
             "promptMode": "full", "timeout": 0}  # fmt: skip
    async with talking(tmp_path / "home", "Yes.", "Yes.") as (_, client):
        await client.call("agent", {"message": "x", "idempotencyKey": "k1"} | hints)
        assert (await over(client, "k1"))["state"] == "final"
        await client.call("chat.send", said("x", "k2", fastMode=True, timeoutMs=0))
        assert (await over(client, "k2"))["state"] == "final"


@pytest.mark.parametrize(
    ("provider", "model", "found"),
    [("fast", "gpt-x", "fast"), ("openai", "gpt-x", "fast"), ("openai", "slow", "slow"),
     ("slow", "gpt-x", None), ("anthropic", "gpt-x", None)],
)  # fmt: skip
async def test_a_provider_that_has_the_model(
    tmp_path: Path, provider: str, model: str, found: str | None
) -> None:
    async with talking(tmp_path / "home", "Yes.") as (ask, client):
        for name, wire in (("fast", "gpt-x"), ("slow", "gpt-y")):
            body = {"name": name, "dialect": "openai", "baseUrl": "http://127.0.0.1:9/v1",
                    "model": wire}  # fmt: skip
            reply = await ask.client.post("/api/v1/models", json=body, headers=key())
            assert reply.status_code < 300, reply.text
        params = {"message": "x", "idempotencyKey": "k", "provider": provider, "model": model}
        if found is None:
            assert (await client.error("agent", params))["details"]["reason"] == "provider"
            return
        await client.call("agent", params)
        await over(client, "k")
        row = (await client.call("sessions.describe", {"key": "main"}))["session"]
        assert row["model"] == found


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("agent", {"message": "Hi", "idempotencyKey": "k", "timeout": 1}),
        ("chat.send", said("Hi", "k", timeoutMs=1_000)),
        ("sessions.send", {"key": "main", "message": "Hi", "idempotencyKey": "k",
                           "timeoutMs": 1_000}),
    ],
)  # fmt: skip
async def test_a_run_ends_when_its_time_is_over(
    tmp_path: Path, method: str, params: dict[str, Any]
) -> None:
    async with talking(tmp_path / "home", Hang("Let me")) as (ask, client):
        reply = await client.raw_call(method, params)
        assert reply["ok"], reply
        told = await over(client, "k")
        assert (told["state"], told["errorKind"]) == ("error", "timeout")
        assert "longer than the 1 s" in told["errorMessage"]
        if method == "agent":
            final = await client.reply(reply["id"])
            assert final["payload"]["status"] == "error"
            assert final["error"]["code"] == "UNAVAILABLE"
        (turn,) = await ask.turns()
        assert (turn["state"], turn["outcome"]["error"]) == ("failed", "turn.timeout")
