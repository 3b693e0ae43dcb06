"""A daemon that logs all that it can does not log what opens it: no frame, header or address of a
connection, whoever made it."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx2
import pytest
from websockets.asyncio.client import connect

from homarus.config import active
from homarus.demo.children import Daemon
from homarus.testing.daemon import key
from homarus.web.guard import SESSION_COOKIE
from tests.gateway.ws.client import dialled_at

PASSWORD: Final = "Wx7nB2kQ9vLm4RtY8pZs"
PIECE: Final = 12
SOON_S: Final = 30.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    home = tmp_path / "home"
    home.mkdir()
    secret = home / "gw.pw"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    (home / "homarus.json").write_text(
        '{logging: {level: "debug"}, gateway: {auth: {mode: "password", '
        'password: {source: "file", id: "gw.pw"}}}}'
    )
    made = Daemon(home, tmp_path / "out")
    yield made
    made.stop()


async def test_no_secret_of_a_connection_is_in_the_log(daemon: Daemon, tmp_path: Path) -> None:
    ready = daemon.ready
    owner = (tmp_path / "home/run/owner.token").read_text().strip()
    socket = f"ws{ready.url.removeprefix('http')}"
    secrets = [PASSWORD, ready.token, ready.gateway_token, owner]
    async with asyncio.timeout(SOON_S):
        for auth in (
            {"token": ready.gateway_token}, {"password": PASSWORD}, {"token": "ho_" + "ab12" * 12},
            {"password": "not-the-password-at-all"},
        ):  # fmt: skip
            async with dialled_at(f"{socket}/") as client:
                await client.greet(auth=auth)
            secrets += auth.values()
        async with connect(
            f"{socket}/api/mcp/ws", additional_headers={"Authorization": f"Bearer {ready.token}"}
        ) as events:
            await events.recv()
        async with httpx2.AsyncClient(base_url=ready.url) as visitor:
            bearer = {"Authorization": f"Bearer {owner}"} | key()
            reply = await visitor.post("/api/v1/dashboard/codes", headers=bearer)
            link = reply.json()["url"]
            assert (await visitor.get(link)).status_code == 303
            cookie = visitor.cookies[SESSION_COOKIE]
        async with connect(
            f"{socket}/app/ws?company=default", origin=ready.url,
            additional_headers={"Cookie": f"{SESSION_COOKIE}={cookie}"},
        ) as page:  # fmt: skip
            await page.recv()
        secrets += [cookie, link.rpartition("=")[2].rpartition("/")[2]]
    told = active.read(tmp_path / "home")
    assert told is not None and told.values["logging.level"].value == "debug"
    await asyncio.to_thread(daemon.stop)
    for log in (tmp_path / "home/logs/homarus.log", tmp_path / "out"):
        text = log.read_text()
        for secret in secrets:
            for piece in (secret[n : n + PIECE] for n in range(len(secret) - PIECE + 1)):
                assert piece not in text, (log.name, _around(text, piece))


def _around(text: str, piece: str) -> str:
    found = re.search(f".*{re.escape(piece)}.*", text)
    return found[0][:500] if found else ""
