"""What is the worker's alone: a mirror's credential and its target (redline R3)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from homarus.base.action import Action
from homarus.base.errors import HomarusError
from homarus.egress.proxy import Egress
from homarus.egress.secrets import Secrets
from homarus.flows import mirrors
from homarus.flows.reaching import Run
from homarus.kernel import settings
from homarus.kernel.keys import MasterKey
from homarus.outbox.credentials import Credentials
from homarus.store.port import Tx
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.hook_receiver import Receiver

SECRET = "the credential of a mirror, which nobody else sees"


class Board:
    """A daemon whose company mirrors to a receiver on loopback; `ada` is an agent of it."""

    def __init__(self, daemon: Daemon, home: Path, receiver: Receiver) -> None:
        self.daemon = daemon
        self.home = home
        self.receiver = receiver
        self.resource = ""

    async def ask(self, who: httpx2.AsyncClient, method: str, path: str, body: Any = None) -> Any:
        return await who.request(method, f"/api/v1{path}", json=body, headers=key())

    async def store(self, capability: str, fn: Any, *args: Any) -> Any:
        action = Action(self.daemon.company_id, capability, "company:", system="tests")
        return await self.daemon.app.store.write(action, fn, *args)


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    home = tmp_path / "home"
    with Receiver(SECRET.encode()) as receiver:
        async with running(home) as daemon:
            made = Board(daemon, home, receiver)
            where = f"127.0.0.1:{receiver.port}"
            body = {"name": "hook", "resourceType": "secret", "provider": "webhook",
                    "secretText": SECRET, "configText": json.dumps({"hosts": [where]})}  # fmt: skip
            reply = await made.ask(daemon.owner, "POST", "/resources", body)
            made.resource = reply.json()["resource"]["id"]
            config = {"url": receiver.url, "secret": "secret://hook"}
            body = {"name": "board", "targetType": "webhook", "config": config, "delayS": 0}
            reply = await made.ask(daemon.owner, "POST", "/mirrors", body)
            assert reply.status_code == 201, reply.text
            yield made


async def test_nobody_is_lent_it_whatever_its_resource_is_called(board: Board) -> None:
    daemon = board.daemon
    agent = await daemon.agent("ada", role="coder")
    _, secret = await daemon.token(kind="agent", agentId=agent, scope="mcp_danger")
    danger = daemon.client(secret)
    path = f"/resources/{board.resource}"
    for change in (None, {"name": "other"}, {"configText": '{"hosts": ["*"]}'}):
        if change is not None:
            await board.ask(daemon.owner, "PATCH", path, change)
        for who in (danger, daemon.owner, daemon.company):
            reply = await board.ask(who, "POST", f"{path}/lease", {"agentId": "ada"})
            assert reply.status_code >= 400, reply.text
            assert SECRET not in reply.text
    asked = [("GET", "/mirrors"), ("GET", "/mirrors/board"), ("POST", "/mirrors/board/check"),
             ("GET", path), ("GET", "/outbox")]  # fmt: skip
    for method, place in asked:
        assert SECRET not in (await board.ask(daemon.owner, method, place)).text


async def test_an_agents_requests_neither_carry_it_nor_reach_the_target(board: Board) -> None:
    app, company = board.daemon.app, board.daemon.company_id
    master = MasterKey.from_file(board.home / "run" / "master.key")
    secrets = Secrets(app.store, master)
    run = Run("run", company, await board.daemon.agent("ada"), "web.fetch")
    where = ("127.0.0.1", board.receiver.port)
    with pytest.raises(HomarusError, match="none of that name"):
        await secrets.fill(run, (("x-key", "secret://hook"),), *where, safe=True)
    egress: Egress = app.egress
    posts = len(board.receiver.posts)
    for hosts in ((f"127.0.0.1:{where[1]}",), ("*", "127.0.0.0/8", f"127.0.0.1:{where[1]}")):
        async with egress.open(run, hosts) as lease:
            with pytest.raises(HomarusError) as refused:
                lease.rules.check(*where)
            assert refused.value.code == "egress.mirror"
            async with httpx2.AsyncClient(proxy=lease.url(), trust_env=False) as client:
                reply = await client.post(board.receiver.url, json={"type": "push"})
            assert (reply.status_code, reply.headers["x-homarus-code"]) == (403, "egress.mirror")
    assert len(board.receiver.posts) == posts


async def test_the_worker_uses_it_for_the_hosts_of_its_resource_alone(board: Board) -> None:
    daemon = board.daemon
    master = MasterKey.from_file(board.home / "run" / "master.key")
    credentials = Credentials(daemon.app.store, master)
    row = await daemon.app.store.read(mirrors.need, daemon.company_id, "board")
    assert await credentials.value(row, "hook") == SECRET
    with pytest.raises(HomarusError, match="does not name it"):
        await credentials.value(row, "other")
    await board.ask(daemon.owner, "PATCH", f"/resources/{board.resource}",
                    {"configText": '{"hosts": ["elsewhere.example"]}'})  # fmt: skip
    with pytest.raises(HomarusError, match="it is not for 127"):
        await credentials.value(row, "hook")


async def test_no_other_worker_pushes(board: Board) -> None:
    company = board.daemon.company_id
    await board.store("mirror.settle", _enforce)
    for system in ("caller", "notices", "tests"):
        action = Action(company, "mirror.push", "mirror:webhook/board", system=system)
        with pytest.raises(HomarusError) as refused:
            await board.daemon.app.store.write(action, lambda tx: None)
        assert refused.value.code == "R3.direct_write"


def _enforce(tx: Tx) -> None:
    settings.put(tx, "level", "enforce")


@pytest.mark.parametrize("place", ["/mirrors", "/mirrors/paged"])
async def test_only_who_manages_mirrors_sees_an_address_whole(board: Board, place: str) -> None:
    daemon = board.daemon
    url = "https://hooks.example.com:8443/T0P/path?key=K"
    body = {"name": "paged", "targetType": "webhook",
            "config": {"url": url, "secret": "secret://hook", "perMinute": 60}}  # fmt: skip
    reply = await board.ask(daemon.owner, "POST", "/mirrors", body)
    assert reply.status_code == 201, reply.text
    agent = await daemon.agent("ada", role="coder")
    _, hers = await daemon.token(kind="agent", agentId=agent, scope="mcp_danger")
    _, viewer = await daemon.token(kind="operator", role="viewer")
    _, operator = await daemon.token(kind="operator", role="operator")
    for who, shown in (
        (daemon.owner, url), (daemon.client(operator), url),
        (daemon.client(viewer), "https://hooks.example.com"),
        (daemon.client(hers), "https://hooks.example.com"),
        (daemon.company, "https://hooks.example.com"),
    ):  # fmt: skip
        reply = await board.ask(who, "GET", place)
        assert reply.status_code == 200, reply.text
        found = reply.json()
        mirror = found["mirror"] if "mirror" in found else found["mirrors"][-1]
        assert mirror["config"] == {"url": shown, "secret": "secret://hook", "perMinute": 60}
        assert (shown == url) == ("T0P" in reply.text)
