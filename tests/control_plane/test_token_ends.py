"""When a company token ends, to the millisecond; and what is written of its use."""

from pathlib import Path

import pytest

from homarus.kernel.tokens import DAY_MS
from homarus.kernel.uses import USE_MS
from homarus.testing.daemon import Daemon, running
from homarus.testing.ground import ManualClock

PATH = "/api/settings/tokens"


@pytest.mark.parametrize("scope, days", [("mcp_full", 90), ("mcp_danger", 30)])
async def test_a_token_ends_with_its_scopes_lifetime(tmp_path: Path, scope: str, days: int) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock=clock) as daemon:
        reply = await daemon.owner.post(PATH, json={"name": "b", "scope": scope})
        client = daemon.client(reply.json()["secret"])
        clock.advance(days * DAY_MS - 1)
        assert (await client.get("/api/mcp/agents")).status_code == 200
        clock.advance(1)
        gone = await client.get("/api/mcp/agents")
        assert (gone.status_code, gone.json()["code"]) == (401, "identity.expired")


async def last_used(daemon: Daemon, token: str) -> str | None:
    await daemon.app.maintenance.note_uses()
    rows = (await daemon.owner.get(PATH)).json()["tokens"]
    found: dict[str, str | None] = {row["id"]: row["lastUsedAt"] for row in rows}
    return found[token]


async def test_use_is_written_once_a_minute(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock=clock) as daemon:
        made = (await daemon.owner.post(PATH, json={"name": "b"})).json()
        token, client = made["token"]["id"], daemon.client(made["secret"])
        assert await last_used(daemon, token) is None
        seen = []
        for step_ms in (0, USE_MS - 1, 1):
            clock.advance(step_ms)
            await client.get("/api/mcp/agents")
            seen.append(await last_used(daemon, token))
        assert seen[0] == seen[1] != seen[2]
    async with running(tmp_path, clock=clock) as daemon:
        assert await last_used(daemon, token) == seen[2]


async def test_what_was_noted_is_written_at_a_stop(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock=clock) as daemon:
        made = (await daemon.owner.post(PATH, json={"name": "b"})).json()
        await daemon.client(made["secret"]).get("/api/mcp/agents")
    async with running(tmp_path, clock=clock) as daemon:
        assert await last_used(daemon, made["token"]["id"]) is not None
