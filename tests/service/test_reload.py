"""Edits of homarus.json under a running daemon: good ones count, bad ones change nothing, and no
connection notices either."""

import asyncio
import contextlib
import json
import logging
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from homarus.agents.toolbox import BASIC
from homarus.app import build
from homarus.base.errors import Unavailable
from homarus.base.logs import OWN
from homarus.config import active, edit
from homarus.config.active import Active
from homarus.config.edit import changed
from homarus.config.files import read as on_disk
from homarus.config.home import make_home
from homarus.config.problem import Place
from homarus.config.read import Loaded, read
from homarus.config.schema import BY_FIELD, FILE, Settings
from homarus.config.settings import source
from homarus.service.reloading import Reloader
from homarus.service.serve import Service
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.scripted_model import Hang, ScriptedModel
from tests.support.profile import chosen_profile

EDITS = chosen_profile().pick(ci=20, full=200)
SOON_S: Final = 20.0
OFF = "{gateway: {reload: {mode: 'off'}}}"
QUICK = "{gateway: {reload: {mode: 'hot', debounceMs: 0}}}"
QUICK_S: Final = 0.01


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    loggers = [logging.getLogger(), logging.getLogger(OWN)]
    before = [logger.level for logger in loggers]
    yield
    for logger, least in zip(loggers, before, strict=True):
        logger.setLevel(least)


@contextlib.asynccontextmanager
async def edited(home: Path, text: str = OFF, **more: Any) -> AsyncIterator["Edited"]:
    home.mkdir(exist_ok=True)  # noqa: ASYNC240  (nothing runs yet)
    (home / FILE).write_text(text)
    async with running(home, **more) as daemon:
        yield Edited(home, daemon)


class Edited:
    """A daemon and its file. `check` is what SIGHUP does."""

    def __init__(self, home: Path, daemon: Daemon) -> None:
        self.home = home
        self.daemon = daemon
        self.file = home / FILE
        assert daemon.service.reloader is not None
        self.reloader: Reloader = daemon.service.reloader

    @property
    def settings(self) -> Settings:
        return self.daemon.app.settings

    @property
    def told(self) -> Active:
        said = active.read(self.home)
        assert said is not None
        return said

    async def check(self, text: str | None = None) -> bool:
        """Whether the file (now `text`) was taken."""
        if text is not None:
            self.file.write_text(text)
        return await self.reloader.check() is not None

    async def set(self, path: str, value: Any) -> bool:
        return await self.check(changed(self.file.read_text(), path, value))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_S):
            while not condition():
                await self.reloader.looked()

    def dial(self) -> connect:
        headers = {"Authorization": f"Bearer {self.daemon.company_token}"}
        return connect(self.daemon.socket_url, additional_headers=headers)


# -- what counts at once, does -------------------------------------------------------------------


async def test_a_limit_of_sockets_holds_for_those_that_come(tmp_path: Path) -> None:
    async with edited(tmp_path / "h") as e:
        assert await e.set("gateway.maxSockets", 1)
        async with e.dial() as first:
            await first.recv()
            with pytest.raises(InvalidStatus) as refused:
                await e.dial()
            assert refused.value.response.status_code == 503
            assert await e.set("gateway.maxSockets", 2)
            async with e.dial() as second:
                await second.recv()
                await first.ping()


async def test_tools_over_http(tmp_path: Path) -> None:
    model = ScriptedModel("hello")
    async with edited(tmp_path / "h", turns=model.turns(tools=BASIC)) as e:
        body = {"name": "ada", "executor": "llm"}
        await e.daemon.owner.post("/api/v1/agents", json=body, headers=key())
        tool = BASIC[0].spec.name

        async def invoked() -> int:
            reply = await e.daemon.owner.post("/tools/invoke", json={"tool": tool, "args": {}})
            return reply.status_code

        assert await invoked() != 404
        assert await e.set("gateway.tools.deny", [tool])
        assert await invoked() == 404


async def test_more_turns_start_at_once(tmp_path: Path) -> None:
    model = ScriptedModel(Hang("I am thinking"))
    async with edited(tmp_path / "h", turns=model.turns()) as e:
        assert await e.set("agents.defaults.maxConcurrent", 1)
        turns = []
        for name in ("ada", "bob"):
            body = {"name": name, "executor": "llm"}
            await e.daemon.owner.post("/api/v1/agents", json=body, headers=key())
            body = {"agentId": name, "text": "hello"}
            reply = await e.daemon.owner.post("/api/v1/turns", json=body, headers=key())
            turns.append(reply.json()["turn"]["id"])
        await asyncio.wait_for(model.hanging.wait(), SOON_S)
        assert e.daemon.app.runner.busy == 1
        model.hanging.clear()
        assert await e.set("agents.defaults.maxConcurrent", 2)
        await asyncio.wait_for(model.hanging.wait(), SOON_S)
        assert e.daemon.app.runner.busy == 2
        model.release()


async def test_level_connections_and_drain(tmp_path: Path) -> None:
    async with edited(tmp_path / "h", drain_s=None) as e:
        text = "{logging: {level: 'error'}, gateway: {maxConnections: 77, drainSeconds: 3}}"
        assert await e.check(text)
        assert logging.getLogger().level == logging.ERROR
        assert (e.settings.max_connections, e.settings.drain_s) == (77, 3.0)


# -- what waits, and what is wrong -----------------------------------------------------------------


async def test_what_needs_a_restart_is_named_and_waits(tmp_path: Path) -> None:
    async with edited(tmp_path / "h") as e:
        text = "{gateway: {reload: {mode: 'hot'}, maxSockets: 5, publicUrl: 'http://a.example'}}"
        assert await e.check(text)
        assert (e.settings.max_sockets, e.settings.public_url) == (5, "")
        assert e.told.waiting == ("gateway.publicUrl",)
        assert e.told.values["gateway.publicUrl"].value == ""
        assert e.told.values["gateway.maxSockets"].where == "homarus.json:1:35"
        assert not e.daemon.service.restart_asked.is_set()
        assert await e.check("{gateway: {reload: {mode: 'hot'}}}")
        assert e.told.waiting == ()
        assert await e.check("{gateway: {publicUrl: 'http://a.example'}}")
        assert e.daemon.service.restart_asked.is_set(), "mode hybrid"


async def test_another_store_is_never_taken_up_by_itself(tmp_path: Path) -> None:
    async with edited(tmp_path / "h", environ={"PASSWORD": "hunter2"}) as e:
        assert await e.check("{store: 'postgresql://me:${PASSWORD}@db/x'}")
        assert (e.settings.store, e.told.waiting) == ("sqlite", ("store",))
        assert not e.daemon.service.restart_asked.is_set()
        assert "hunter2" not in (e.home / active.PLACE).read_text()


async def test_a_restart_to_an_address_that_is_taken_is_refused(tmp_path: Path) -> None:
    def taken(settings: Settings) -> None:
        raise Unavailable("serve.address", f"port {settings.port} cannot be had", "Choose another.")

    async with edited(tmp_path / "h", port=None, environ={"HOMARUS_PORT": "0"}) as e:
        asked: list[int] = []
        loaded = without_flags(e)
        reloader = Reloader(loaded, e.daemon.service.apply, lambda: asked.append(1), taken)
        e.file.write_text("{gateway: {port: 5}}")
        assert await reloader.check() is None
        assert (asked, reloader.problems[0].code) == ([], "settings.address")
        assert "port 5 cannot be had" in reloader.problems[0].message


def without_flags(e: Edited) -> Loaded:
    """The same files, without environment and flags."""
    loaded = e.reloader.loaded
    return msgspec.structs.replace(
        loaded, source=msgspec.structs.replace(loaded.source, environ={}, flags={})
    )


async def test_a_bad_edit_keeps_what_was_and_says_so(tmp_path: Path) -> None:
    async with edited(tmp_path / "h") as e:
        assert await e.set("gateway.maxSockets", 7)
        before, digest = e.settings, e.told.digest
        assert not await e.set("gateway.maxSockets", "many")
        assert e.settings is before
        (problem,) = e.told.problems
        assert (problem["path"], problem["line"]) == ("gateway.maxSockets", 1)
        assert e.told.digest == digest
        assert e.told.values["gateway.maxSockets"].value == 7
        assert await e.set("gateway.maxSockets", 8)
        assert (e.settings.max_sockets, e.told.problems) == (8, ())


# -- the watcher -----------------------------------------------------------------------------------


async def test_editors_write_halves_rename_and_remove(tmp_path: Path) -> None:
    async with edited(tmp_path / "h", QUICK, poll_s=QUICK_S) as e:
        good = changed(QUICK, "gateway.maxSockets", 5)
        e.file.write_text(good[:-9])  # what a slow save looks like
        await e.until(lambda: bool(e.reloader.problems))
        assert e.settings.max_sockets == 1_000
        draft = e.home / "4913"
        draft.write_text(good)
        draft.replace(e.file)
        await e.until(lambda: e.settings.max_sockets == 5)
        assert e.reloader.problems == ()
        e.file.unlink()
        await e.until(lambda: bool(e.reloader.problems))
        assert "the file is gone" in e.reloader.problems[0].message
        assert e.settings.max_sockets == 5
        e.file.write_text(good)
        await e.until(lambda: not e.reloader.problems)
        (e.home / "elsewhere").write_text(changed(good, "gateway.maxSockets", 6))
        e.file.unlink()
        e.file.symlink_to("elsewhere")
        await e.until(lambda: e.settings.max_sockets == 6)


async def test_included_files_are_watched_also_broken_ones(tmp_path: Path) -> None:
    async with edited(tmp_path / "h", QUICK, poll_s=QUICK_S) as e:
        more = e.home / "more.json5"
        more.write_text("{gateway: {maxSockets: 'x'}}")
        e.file.write_text(QUICK.replace("{", "{$include: 'more.json5', ", 1))
        await e.until(lambda: bool(e.reloader.problems))
        assert e.reloader.problems[0].place == Place("more.json5", 1, 24)
        more.write_text("{gateway: {maxSockets: 5}}")
        await e.until(lambda: e.settings.max_sockets == 5)
        more.write_text("{gateway: {maxSockets: 6}}")
        await e.until(lambda: e.settings.max_sockets == 6)


async def test_a_file_that_comes_is_taken_up(tmp_path: Path) -> None:
    home = tmp_path / "h"
    async with running(home, poll_s=QUICK_S) as daemon:
        e = Edited(home, daemon)
        e.file.write_text("{gateway: {maxSockets: 5}}")
        await e.until(lambda: e.settings.max_sockets == 5)


async def test_an_edit_during_the_start_is_not_missed(tmp_path: Path) -> None:
    home = tmp_path / "h"
    make_home(Settings(home=home))
    loaded = read(source(home, {}, port=0, drain_s=1.0))
    (home / FILE).write_text("{gateway: {maxSockets: 5}}")
    service = Service(build(loaded.settings), loaded, poll_s=QUICK_S)
    await service.start()
    try:
        reloader = service.reloader
        assert reloader is not None
        async with asyncio.timeout(SOON_S):
            while service.app.settings.max_sockets != 5:
                await reloader.looked()
    finally:
        await service.stop()


async def test_nothing_is_left_of_it_when_the_daemon_stops(tmp_path: Path) -> None:
    async with edited(tmp_path / "h") as e:
        await e.until(lambda: (e.home / active.PLACE).exists())
        assert oct((e.home / active.PLACE).stat().st_mode)[-3:] == "600"
    assert not (e.home / active.PLACE).exists()


# -- many edits, under load ------------------------------------------------------------------------

VALUES: Final[dict[str, Callable[[random.Random], Any]]] = {
    "log_level": lambda r: r.choice(["debug", "info", "warning", "error"]),
    "max_turns": lambda r: r.randrange(1, 100),
    "max_connections": lambda r: r.randrange(200, 5_000),
    "max_sockets": lambda r: r.randrange(100, 2_000),
    "http_tools_allow": lambda r: [f"t{n}" for n in range(r.randrange(4))],
    "http_tools_deny": lambda r: [f"t{n}" for n in range(r.randrange(4))],
    "reload_debounce_ms": lambda r: r.randrange(0, 1_000),
}
BROKEN: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: text[: len(text) // 2],
    lambda text: text + "}",
    lambda text: "",
    lambda text: changed(text, "gateway.maxSocket", 5),
    lambda text: changed(text, "gateway.maxSockets", "5"),
    lambda text: changed(text, "gateway.maxSockets", 0),
    lambda text: changed(text, "level", "observe"),
    lambda text: changed(text, "store", "postgresql://me:hunter2@db/x"),
    lambda text: changed(text, "gateway.publicUrl", "http://${NOWHERE}"),
    lambda text: text.replace("{", "{store: 'sqlite', store: 'sqlite', ", 1),
    lambda text: "[" * 5_000,
)


async def test_random_edits_under_load(tmp_path: Path) -> None:
    r = random.Random(11)
    async with edited(tmp_path / "h") as e, e.dial() as socket:
        await socket.recv()
        asked: list[int] = []
        stop = asyncio.Event()

        async def ask() -> None:
            """One connection, kept alive; a failure fails the test."""
            async with e.daemon.client(e.daemon.company_token) as client:
                while not stop.is_set():
                    reply = await client.get("/api/mcp/agents")
                    asked.append(reply.status_code)

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(ask())
            good = e.file.read_text()
            wanted = e.settings
            for n in range(EDITS):
                if r.random() < 0.5:
                    assert not await e.check(r.choice(BROKEN)(good)), n
                else:
                    field = r.choice(list(VALUES))
                    value = VALUES[field](r)
                    good = changed(good, BY_FIELD[field].path, value)
                    wanted = replace(
                        wanted, **{field: tuple(value) if isinstance(value, list) else value}
                    )
                    if r.random() < 0.5:
                        found = on_disk(e.file, FILE)
                        assert found is not None
                        edit.write(e.file, FILE, good, found.digest)
                        assert await e.check(), n
                    else:
                        assert await e.check(good), n
                assert e.settings == wanted, n
            stop.set()
        assert {*asked} == {200}
        assert len(asked) > EDITS / 10
        await socket.ping()
        await e.daemon.agent("ada")
        async with asyncio.timeout(SOON_S):
            assert json.loads(await socket.recv())["type"]
        assert "hunter2" not in (e.home / active.PLACE).read_text()
        assert e.told.pid == os.getpid()
