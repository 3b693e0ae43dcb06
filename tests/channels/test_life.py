"""Channels over a daemon's life: configured while it runs, stopped by STOP, restarted."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homarus.testing.daemon import key
from homarus.testing.fake_channel import FakeChannel
from tests.channels.desk import Desk, desk, write
from tests.gateway.ws.client import joined

HOT: dict[str, Any] = {"gateway": {"reload": {"debounceMs": 0}}}
ON: dict[str, Any] = HOT | {"channels": {"telegram": {"dmPolicy": "open"}}}


async def edit(d: Desk, home: Path, config: dict[str, Any]) -> None:
    reloader = d.daemon.service.reloader
    assert reloader is not None
    write(home, config)
    await reloader.check()


async def test_a_channel_is_configured_while_the_daemon_runs(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.", config=HOT) as d:
        assert d.daemon.app.channels.channels is None
        await edit(d, tmp_path, ON)
        d.channel.say("hello")
        await d.channel.posted(1)
        await edit(d, tmp_path, HOT)
        async with joined(d.daemon) as client:
            assert (await client.call("channels.status"))["channelOrder"] == []
            ref = d.channel.say("anybody?")
            await edit(d, tmp_path, ON)
            await d.channel.heard(ref)
            assert (await client.call("channels.status"))["channelOrder"] == ["telegram"]


async def test_a_stop_holds_what_is_to_go_out_until_it_is_lifted(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.") as d, joined(d.daemon) as client:
        body = {"scope": "company", "subject": d.daemon.company_id, "reason": "wait"}
        reply = await d.client.post("/api/v1/stops", json=body, headers=key())
        assert reply.status_code < 300, reply.text
        send = {"to": "7", "message": "hello", "idempotencyKey": "k"}
        error = await client.error("send", send)
        assert error["details"]["code"] == "OUTBOUND_DELIVERY_QUEUED"
        assert "a STOP is in force" in error["message"]
        await d.channel.heard(d.channel.say("are you there?"))
        assert (d.channel.sent(), await d.states()) == ([], ["queued"])
        stop = reply.json()["stop"]["id"]
        assert (await d.client.delete(f"/api/v1/stops/{stop}", headers=key())).status_code < 300
        assert sorted(out.text for out in await d.channel.posted(2)) == ["Yes.", "hello"]


async def test_what_waits_goes_out_after_a_restart(tmp_path: Path) -> None:
    first = FakeChannel()
    first.starts = False
    async with desk(tmp_path, channel=first) as d, joined(d.daemon) as client:
        await client.error("send", {"to": "7", "message": "hello", "idempotencyKey": "k"})
    assert first.sent() == []
    async with desk(tmp_path) as d:
        assert [out.text for out in await d.channel.posted(1)] == ["hello"]


async def test_a_send_that_hangs_is_not_repeated_by_the_next_daemon(tmp_path: Path) -> None:
    hangs = FakeChannel()
    hangs.modes = ["hang"]
    async with desk(tmp_path, "Yes.", channel=hangs) as d:
        hangs.say("hello")
        await d.until(["sending"])
    async with desk(tmp_path, channel=FakeChannel(lookup=False)) as d:
        await d.until(["unknown"])
        assert d.channel.sent() == []


@pytest.mark.postgres
async def test_of_two_daemons_one_has_the_account_and_the_other_takes_over(
    tmp_path: Path, migrated_url: str
) -> None:
    one, two, two_run = FakeChannel(), FakeChannel(), tmp_path / "two" / "run"
    async with desk(tmp_path / "two", "Two.", channel=two, store=migrated_url) as b:
        two.say("hello", id="a")
        await two.posted(1)
        for file in (*two_run.glob("*.key"), *two_run.glob("*.token")):
            copy(file, tmp_path / "one" / "run")
        async with desk(tmp_path / "one", "One.", channel=one, store=migrated_url):
            one.say("not yet", id="b")
            two.say("again", id="c")
            await two.posted(2)
            assert one.acknowledged == []
            async with joined(b.daemon) as client:
                await client.call("channels.stop", {"channel": "telegram"})
            await one.posted(1)


async def test_another_name_for_an_agents_own_session(tmp_path: Path) -> None:
    config = {"session": {"mainKey": "home"}}
    async with desk(tmp_path, "Yes.", config=config) as d, joined(d.daemon) as client:
        told = client.hello["snapshot"]["sessionDefaults"]
        assert [told[k] for k in ("mainKey", "mainSessionKey", "scope")] == [
            "home", "agent:ada:main", "per-sender",
        ]  # fmt: skip
        for n, name in enumerate(("home", "agent:ada:home", "main")):
            said = {"sessionKey": name, "message": "hello", "idempotencyKey": f"k{n}"}
            await client.call("chat.send", said)
            await client.event(
                "chat", lambda p, n=n: (p["runId"], p["state"]) == (f"k{n}", "final")
            )
        rows = await d.rows("select distinct s.key from turn t join session s on s.id=t.session")
        assert rows == [("agent:ada:main",)]


async def test_one_conversation_of_all_that_is_said(tmp_path: Path) -> None:
    """`session.scope: "global"`: on a channel, and by clients of the gateway, by whatever name."""
    config = {"session": {"scope": "global", "mainKey": "home"},
              "channels": {"telegram": {"dmPolicy": "open", "allowFrom": ["*"]}}}  # fmt: skip
    own = "agent:ada:global"
    async with desk(tmp_path, "Yes.", config=config) as d:
        d.channel.say("hello")
        await d.channel.posted(1)
        async with joined(d.daemon) as client:
            told = client.hello["snapshot"]["sessionDefaults"]
            assert [told[k] for k in ("mainKey", "mainSessionKey", "scope")] == [
                "home", own, "global",
            ]  # fmt: skip
            listed = await client.call("agents.list")
            assert (listed["mainKey"], listed["scope"]) == ("home", "global")
            names = ("main", "home", "agent:ada:main", "agent:ada:home", "global", own)
            for n, name in enumerate(names):
                said = {"sessionKey": name, "message": "hello", "idempotencyKey": f"k{n}"}
                await client.call("chat.send", said)
                await client.event(
                    "chat", lambda p, n=n: (p["runId"], p["state"]) == (f"k{n}", "final")
                )
            first = await client.call("agent", {"message": "hello", "idempotencyKey": "a"})
            assert first["sessionKey"] == own
            await client.call("agent.wait", {"runId": "a"})
            for name in names:
                history = await client.call("chat.history", {"sessionKey": name})
                assert history["totalMessages"] == 2 * (len(names) + 2), name
                error = await client.error("sessions.delete", {"key": name})
                assert "main session" in error["message"]
            shown = (await client.call("sessions.preview", {"keys": list(names)}))["previews"]
            assert {row["status"] for row in shown} == {"ok"}
        rows = await d.rows("select distinct s.key from turn t join session s on s.id=t.session")
        assert rows == [(own,)]


def copy(file: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, folder)


LOADED = """
import asyncio, sys
from pathlib import Path
from homarus.testing.daemon import running

async def main():
    async with running(Path(sys.argv[1])) as daemon:
        assert (await daemon.owner.get("/api/v1/deliveries")).json()["deliveries"] == []

asyncio.run(main())
print("|".join(sorted(name for name in sys.modules if name.startswith("homarus.channels"))))
"""


def test_without_a_channel_nothing_of_them_is_loaded(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", LOADED, str(tmp_path / "home")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "homarus.channels|homarus.channels.switch"
