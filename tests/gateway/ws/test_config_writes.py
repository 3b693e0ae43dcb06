"""Settings changed by a client (gateway contract, 8, 13): each case on a file of its own."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from homarus.config.change import HIDDEN
from homarus.config.schema import FILE
from homarus.gateway.ws import rates
from homarus.gateway.ws.rates import Rates
from homarus.testing.daemon import Daemon, running
from tests.gateway.ws.client import Client, joined
from tests.gateway.ws.conftest import ONE_LOOP

pytestmark = ONE_LOOP
TEXT = """{
  // ours
  gateway: { maxSockets: 900 }, // here
  hooks: { token: "s3cret" },
}
"""
Doc = dict[str, Any]


class Home:
    """A daemon with a file, and a client that may change it."""

    def __init__(self, daemon: Daemon, client: Client) -> None:
        self.daemon = daemon
        self.client = client
        self.file = daemon.app.settings.home / FILE

    async def hash(self) -> str:
        return str((await self.client.call("config.get"))["hash"])

    async def asks(self, method: str, raw: Any, **more: Any) -> Doc:
        """The reply to a change of what is there now."""
        given = {"raw": raw if isinstance(raw, str) else json.dumps(raw), "baseHash": ""} | more
        if given["baseHash"] == "":
            given["baseHash"] = await self.hash()
        return await self.client.raw_call(f"config.{method}", given)

    async def kinds(self) -> list[str]:
        rows = await self.daemon.app.store.read(
            lambda rx: rx.all("select kind from event where kind like 'settings%' order by seq")
        )
        return [row[0] for row in rows]


def made(home: Path, text: str | None) -> None:
    home.mkdir()
    if text is not None:
        (home / FILE).write_text(text)


@asynccontextmanager
async def opened(home: Path, text: str | None = TEXT) -> AsyncIterator[Home]:
    made(home, text)
    async with running(home, poll_s=3600) as daemon, joined(daemon) as client:
        yield Home(daemon, client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """For what changes nothing."""
    async with opened(tmp_path_factory.mktemp("refused") / "home") as h:
        yield h


async def test_a_patch_counts_at_once_and_everybody_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as h, joined(h.daemon) as other:
        reply = await h.asks("patch", {"gateway": {"maxSockets": 800}})
        done = reply["payload"]
        assert h.file.read_text() == TEXT.replace("900", "800"), "comments and secrets stay"
        assert h.daemon.app.settings.max_sockets == 800
        assert (done["ok"], done["changedPaths"]) == (True, ["gateway.maxSockets"])
        assert done["config"] == {"gateway": {"maxSockets": 800}, "hooks": {"token": HIDDEN}}
        assert done["sentinel"]["payload"]["stats"]["requiresRestart"] is False
        assert "restart" not in done and done["sentinel"]["persisted"] is False
        told = await other.event("config.changed")
        assert (told["path"], told["hash"]) == (str(h.file), done["hash"])
        assert await h.hash() == done["hash"]
        assert await h.kinds() == ["settings_change_started", "settings_changed"]
        same = await h.asks("patch", {"gateway": {"maxSockets": 800}})
        assert (same["payload"]["noop"], same["payload"]["changedPaths"]) == (True, [])


async def test_an_edit_by_hand_is_told_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as h:
        h.file.write_text(TEXT.replace("900", "700"))
        assert h.daemon.service.reloader is not None
        await h.daemon.service.reloader.check()
        assert (await h.client.event("config.changed"))["hash"] == await h.hash()
        assert h.daemon.app.settings.max_sockets == 700


async def test_secrets_are_set_by_what_they_refer_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE", "a-password-of-it")
    async with opened(tmp_path / "home", "{}") as h:
        (h.file.parent / "gw.pw").write_text("another-password")
        (h.file.parent / "gw.pw").chmod(0o600)
        of_file, of_env = {"source": "file", "id": "gw.pw"}, {"source": "env", "id": "GATE"}
        for method, reference in (
            ("patch", of_file),
            ("patch", of_env),
            ("set", of_file),
            ("apply", of_env),
            ("patch", "${GATE}"),
            ("patch", of_file),
        ):
            wanted = {"gateway": {"auth": {"password": reference}}}
            reply = await h.asks(method, wanted)
            assert reply["ok"], (method, reference, reply)
            assert reply["payload"]["config"] == wanted
            assert (await h.client.call("config.get"))["parsed"] == wanted
        assert h.daemon.app.settings.auth_password == "another-password"
        raw = (await h.client.call("config.get"))["raw"]
        assert (await h.asks("set", raw))["ok"], "what is read may be sent back"
        reply = await h.asks("patch", {"gateway": {"auth": {"password": None, "mode": "password"}}})
        assert "there is no password" in reply["error"]["message"]


async def test_what_is_read_hides_secrets_and_may_be_sent_back(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as h:
        found = await h.client.call("config.get")
        assert "s3cret" not in json.dumps(found)
        assert found["parsed"]["hooks"] == {"token": HIDDEN}
        assert found["raw"] == TEXT.replace("s3cret", HIDDEN)
        reply = await h.asks("apply", found["raw"].replace("900", "600"))
        assert reply["ok"] and h.file.read_text() == TEXT.replace("900", "600")


async def test_what_is_commented_out_is_hidden_and_put_back(tmp_path: Path) -> None:
    text = TEXT.rstrip()[:-1] + '  // "botToken": "s3cret2",\n}\n'
    async with opened(tmp_path / "home", text) as h:
        found = await h.client.call("config.get")
        assert "s3cret" not in json.dumps(found) and HIDDEN in found["raw"].splitlines()[-2]
        for name in ("set", "apply"):
            text = text.replace("900", "600") if name == "set" else text
            reply = await h.asks(name, found["raw"].replace("900", "600"))
            assert reply["ok"] and "s3cret" not in json.dumps(reply)
            assert h.file.read_text() == text
        reply = await h.asks("patch", {"gateway": {"maxSockets": 500}})
        assert "s3cret" not in json.dumps(reply)
        assert h.file.read_text() == text.replace("600", "500")


async def test_set_writes_and_the_watcher_does_the_rest(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", None) as h:
        done = await h.client.call("config.set", {"raw": "{ gateway: { maxSockets: 500 } }"})
        assert h.file.read_text() == "{ gateway: { maxSockets: 500 } }"
        assert done["config"] == {"gateway": {"maxSockets": 500}}
        assert h.daemon.app.settings.max_sockets == 1_000
        assert h.file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("method", "raw", "more", "says"),
    [
        ("patch", {"gateway": {"maxSockets": 0}}, {}, "invalid config: "),
        ("patch", {"nothing": 1}, {}, "nothing"),
        ("patch", {"redlines": {"R1": "off"}}, {}, "homarus change new"),
        ("patch", {"store": "postgres://u:pw@h/db"}, {}, "invalid config"),
        ("patch", "[1]", {}, "invalid config"),
        ("patch", "{ a: ", {}, "invalid config"),
        ("patch", {"gateway": {"publicUrl": HIDDEN}}, {}, "invalid config"),
        ("apply", "{ gateway: { port: 'x' } }", {}, "gateway.port"),
        ("apply", f"{{ channels: {{ x: {{ token: '{HIDDEN}' }} }} }}", {}, "hidden"),
        ("set", " ", {}, "empty"),
        ("patch", " " * 262_144 + "{}", {}, "at most 262144"),
        ("patch", {}, {"baseHash": None}, "config base hash required"),
        ("set", "{}", {"baseHash": "0" * 64}, "config changed since last load"),
        ("apply", "{}", {"odd": 1}, "unexpected property 'odd'"),
        ("patch", {}, {"replacePaths": ["a"] * 257}, "at most 256"),
    ],
)
async def test_what_is_refused_changes_nothing(
    shared_home: Home, method: str, raw: Any, more: Doc, says: str
) -> None:
    h = shared_home
    reply = await h.asks(method, raw, **more)
    assert not reply["ok"] and reply["error"]["code"] == "INVALID_REQUEST", reply
    assert says in json.dumps(reply["error"]), reply["error"]
    assert "pw" not in json.dumps(reply["error"])
    assert h.file.read_text() == TEXT
    assert await h.kinds() == []


async def test_it_takes_an_owner(shared_home: Home) -> None:
    async with joined(shared_home.daemon, scopes=("operator.write",)) as client:
        for name in ("set", "patch", "apply"):
            error = await client.error(f"config.{name}", {"raw": "{}"})
            assert error["details"]["missingScope"] == "operator.admin"


async def test_a_key_that_takes_a_restart_has_one_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as h:
        patch = {"maintenance": {"anchorSeconds": 300}}
        more = {"restartDelayMs": 60_000, "note": "Anchors", "sessionKey": "agent:ada:main"}
        done = (await h.asks("patch", patch, **more))["payload"]
        assert done["restart"]["delayMs"] == 60_000 and not done["restart"]["coalesced"]
        assert not h.daemon.service.restart_asked.is_set()
        kept = json.loads((h.daemon.app.settings.home / "run/restart-sentinel.json").read_text())
        assert kept["payload"] == done["sentinel"]["payload"]
        assert kept["payload"]["message"] == "Anchors"
        again = (await h.asks("patch", {"maintenance": {"anchorSeconds": 301}}))["payload"]
        assert again["restart"]["coalesced"]


@pytest.mark.parametrize(
    ("calls", "at", "waits"),
    [
        ([0.0] * 29, 0.0, 0.0),
        ([0.0] * 30, 0.0, 60.0),
        ([0.0] * 30, 59.0, 1.0),
        ([0.0] * 30, 60.0, 0.0),
        ([0.0] * 15 + [50.0] * 15, 60.0, 0.0),
        ([1.0] * 30, 60.5, 0.5),
    ],
)
async def test_how_often(calls: list[float], at: float, waits: float) -> None:
    known = Rates()
    for time in calls:
        assert known.wait_s("config.patch", "a", time) == 0
    assert known.wait_s("config.apply", "a", at) == 0 == known.wait_s("config.patch", "b", at)
    assert known.wait_s("config.patch", "a", at) == waits


async def test_too_often_says_when(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as h:
        for _ in range(rates.MAX_CALLS):
            await h.client.raw_call("config.patch", {"raw": "{}"})
        error = await h.client.error("config.patch", {"raw": "{}"})
        assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
        assert 0 < error["retryAfterMs"] <= 60_000


@pytest.mark.parametrize(
    ("mode", "status"), [("hybrid", "active"), ("hot", "active"), ("off", "disabled")]
)
async def test_health_tells_whether_edits_count(tmp_path: Path, mode: str, status: str) -> None:
    home = tmp_path / "home"
    made(home, json.dumps({"gateway": {"reload": {"mode": mode}}}))
    async with running(home) as daemon, joined(daemon) as client:
        found = await client.call("health")
        assert found["configReload"] == {"hotReloadStatus": status}
