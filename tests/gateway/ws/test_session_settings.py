"""Settings of a session that clients change: `sessions.patch` (gateway contract, 7)."""

from pathlib import Path
from typing import Any

from tests.gateway.ws.talking import over, said, talking

MAIN = "agent:ada:main"


async def test_what_clients_keep_of_a_session(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        await client.call("chat.send", said("Hi", "k1"))
        await over(client, "k1")
        other = (await client.call("sessions.create", {"key": "other"}))["key"]

        async def listed(**params: Any) -> set[str]:
            rows = (await client.call("sessions.list", params))["sessions"]
            return {row["key"] for row in rows}

        flags = ("archived", "pinned", "unread")
        entry = (await client.call("sessions.describe", {"key": other}))["session"]
        assert [entry[name] for name in flags] == [False, False, False]
        patched = await client.call("sessions.patch", {"key": other} | dict.fromkeys(flags, True))
        assert [patched["entry"][name] for name in flags] == [True, True, True]
        for given, found in (
            ({}, {MAIN}), ({"archived": False}, {MAIN}), ({"archived": True}, {other}),
            ({"archived": "all"}, {MAIN, other}),
        ):  # fmt: skip
            assert await listed(**given) == found, given
        again = (await client.call("sessions.reset", {"key": other}))["entry"]
        assert [again[name] for name in flags] == [False, True, False]
        for value in (False, None):
            await client.call("sessions.patch", {"key": other, "pinned": True})
            cleared = await client.call("sessions.patch", {"key": other, "pinned": value})
            assert cleared["entry"]["pinned"] is False
        assert await listed() == {MAIN, other}


UNOFFERED = {
    "verboseLevel": "on", "reasoningLevel": "stream", "elevatedLevel": "full",
    "responseUsage": "tokens", "execHost": "node", "execSecurity": "full", "execAsk": "always",
    "execNode": "n1", "sendPolicy": "deny", "groupActivation": "always",
}  # fmt: skip


async def test_settings_that_sessions_do_not_have(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        key_ = (await client.call("sessions.create", {"key": "other"}))["key"]
        for name, value in UNOFFERED.items():
            cleared = await client.call("sessions.patch", {"key": key_, name: None})
            assert cleared["ok"] and name not in cleared["entry"], name
            error = await client.error("sessions.patch", {"key": key_, name: value})
            assert (error["code"], error["details"]["reason"]) == ("UNAVAILABLE", name)


async def test_levels_of_thinking(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        key_ = (await client.call("sessions.create", {"key": "other"}))["key"]
        for level in ("off", "low", "medium", "high"):
            patched = await client.call("sessions.patch", {"key": key_, "thinkingLevel": level})
            assert patched["entry"]["thinkingLevel"] == level
        for method in ("sessions.patch", "sessions.create"):
            error = await client.error(method, {"key": key_, "thinkingLevel": "wild"})
            assert error["code"] == "INVALID_REQUEST"
            assert "no level of thinking 'wild'" in error["message"]
