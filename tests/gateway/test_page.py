"""The control page from a folder of the operator's: what is given out at /control, and what not."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from homarus.gateway.http import page
from homarus.testing.daemon import Daemon, running
from tests.gateway.ws.client import dialled, gateway_token
from tests.gateway.ws.conftest import ONE_LOOP

pytestmark = ONE_LOOP

INDEX = """<!doctype html><html lang="en"><link href="./assets/a.css"><script>var a = 1</script>
<script type="module" src="./assets/a.js"></script></html>"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    place = tmp_path_factory.mktemp("page")
    root = place / "control-ui"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text(INDEX)
    (root / "assets" / "a.js").write_text("let b = 2")
    (place / "secret.json").write_text("{}")
    (root / "assets" / "out.json").symlink_to(place / "secret.json")
    async with running(place / "home", control_root=str(root)) as daemon:
        yield daemon


async def test_the_front_leads_there(served: Daemon) -> None:
    reply = await served.anybody.get("/")
    assert (reply.status_code, reply.headers["location"]) == (302, "/control/")


@pytest.mark.parametrize(
    "path", ["/control", "/control/", "/control/index.html", "/control/chat/x"]
)
async def test_the_page_is_given_for_every_place_in_it(served: Daemon, path: str) -> None:
    reply = await served.anybody.get(path)
    assert (reply.status_code, reply.headers["content-type"]) == (200, page.TYPES[".html"])
    assert 'data-openclaw-control-ui-base-path="/control"' in reply.text
    assert (
        'href="/control/assets/a.css"' in reply.text and 'src="/control/assets/a.js"' in reply.text
    )
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self' 'sha256-" in policy and "unsafe-inline'; script" not in policy
    assert reply.headers["x-frame-options"] == "DENY"


async def test_its_files_are_given(served: Daemon) -> None:
    reply = await served.anybody.get("/control/assets/a.js")
    assert (reply.text, reply.headers["content-type"]) == ("let b = 2", page.TYPES[".js"])
    head = await served.anybody.head("/control/assets/a.js")
    assert (head.content, head.headers["content-length"]) == (b"", "9")


@pytest.mark.parametrize(
    "name",
    ["../secret.json", "assets/../../secret.json", "assets/out.json", "none.js", "assets/b\0.js",
     "assets.js/", "/etc/x.json"],
)  # fmt: skip
async def test_nothing_else_is(served: Daemon, name: str) -> None:
    reply = await served.anybody.get(f"/control/{quote(name, safe='/.')}")
    assert reply.status_code in (200, 404)
    assert "{}" not in reply.text
    if reply.status_code == 200:  # a place in the page
        assert "<html" in reply.text


async def test_nothing_is_changed_there(served: Daemon) -> None:
    assert (await served.anybody.post("/control/")).status_code == 404


async def test_what_it_is_told_first_needs_a_token(served: Daemon) -> None:
    assert (await served.anybody.get(page.CONFIG)).status_code == 401
    reply = await served.client(gateway_token(served)).get(page.CONFIG)
    assert (reply.status_code, reply.json()["basePath"]) == (200, "/control")


async def test_its_socket_is_the_gateways(served: Daemon) -> None:
    async with dialled(served, "/control") as client:
        assert (await client.greet(gateway_token(served)))["ok"]


async def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon:
        for path in ("/", "/control/", page.CONFIG):
            assert (await daemon.anybody.get(path)).status_code == 404, path


async def test_a_folder_without_a_page(tmp_path: Path) -> None:
    async with running(tmp_path / "home", control_root=str(tmp_path)) as daemon:
        reply = await daemon.anybody.get("/control/")
        assert (reply.status_code, reply.json()["code"]) == (503, "control.page")
        assert "gateway.controlUi.root" in reply.json()["remedy"]
