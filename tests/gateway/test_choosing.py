"""Which agent is asked where nobody is named: every face offers the way that works there."""

from pathlib import Path

import pytest

from tests.gateway.asking import asking
from tests.gateway.ws.talking import talking

TWO = ("ada", "bob")
TOOL = {"tool": "time_now"}
HTTP = [
    ("/v1/responses", {"model": "openclaw", "input": "Hi"},
     "Name one as `model`: openclaw/ada, openclaw/bob."),
    ("/v1/chat/completions",
     {"model": "openclaw", "messages": [{"role": "user", "content": "Hi"}]},
     "Name one as `model`: openclaw/ada, openclaw/bob."),
    ("/tools/invoke", TOOL, "Name one as `agentId`: ada, bob."),
]  # fmt: skip
SOCKET = [
    ("agent", {"message": "Hi", "idempotencyKey": "a"}),
    ("tools.invoke", {"name": "time_now"}),
]
NAMED = "Name one as `agentId`: ada, bob."


@pytest.mark.parametrize(("path", "body", "remedy"), HTTP)
async def test_over_http(tmp_path: Path, path: str, body: dict[str, object], remedy: str) -> None:
    async with asking(tmp_path / "home", agents=TWO) as ask:
        error = (await ask.post(path, body)).json()["error"]
        assert error["code"] == "agent.choose"
        assert error["message"] == f"2 agents run here. {remedy}"


async def test_over_the_socket(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Good morning.", agents=TWO) as (_, client):
        for method, params in SOCKET:
            error = await client.error(method, params)
            assert error["details"]["code"] == "agent.choose", method
            assert error["details"]["remedy"] == NAMED
            assert error["message"] == f"2 agents run here. {NAMED}"
        first = await client.call(
            "agent", {"message": "Hi", "idempotencyKey": "b", "agentId": "bob"}
        )
        assert (first["status"], first["agentId"]) == ("accepted", "bob")
