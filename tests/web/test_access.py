"""Who gets in, and what every answer carries (dashboard contract, 1)."""

import asyncio
import gzip
import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from homarus.kernel.capabilities import BUILTIN, ROLES, role_reaches
from homarus.testing.daemon import Daemon, key
from homarus.web.acts import ACTS, csrf
from homarus.web.guard import SESSION_COOKIE
from homarus.web.static import HTMX_SHA256, Files

PAGES = (
    "/app",
    "/app/stop",
    "/app/board",
    "/app/agents",
    "/app/threads",
    "/app/threads/team",
    "/app/receipts",
)
WAIT_S = 10.0


async def link(client: httpx2.AsyncClient) -> str:
    reply = await client.post("/api/v1/dashboard/codes")
    assert reply.status_code == 201, reply.text
    return str(reply.json()["url"])


async def signed_in(daemon: Daemon, token: str | None = None) -> httpx2.AsyncClient:
    """A browser's client: no token, a session's cookie."""
    owner = daemon.owner if token is None else daemon.client(token)
    visitor = daemon.client(None)
    reply = await visitor.get(await link(owner))
    assert (reply.status_code, reply.headers["location"]) == (303, "/app")
    return visitor


def cookie_of(visitor: httpx2.AsyncClient) -> str:
    return str(visitor.cookies[SESSION_COOKIE])


# -- codes -----------------------------------------------------------------------------------


async def test_a_code_is_good_once(daemon: Daemon) -> None:
    url = await link(daemon.owner)
    first = await daemon.client(None).get(url)
    assert first.status_code == 303
    again = await daemon.client(None).get(url)
    assert again.status_code == 401
    assert "dashboard.code" in again.text
    assert SESSION_COOKIE not in again.headers.get("set-cookie", "")


async def test_the_session_cookie_is_for_the_browser_alone(daemon: Daemon) -> None:
    reply = await daemon.client(None).get(await link(daemon.owner))
    flags = reply.headers["set-cookie"].lower()
    for flag in ("httponly", "samesite=strict", "path=/app", "max-age=43200"):
        assert flag in flags


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "owner"])
async def test_every_operator_may_look(daemon: Daemon, role: str) -> None:
    _, secret = await daemon.token(kind="operator", role=role)
    visitor = await signed_in(daemon, secret)
    for path in PAGES:
        assert (await visitor.get(path)).status_code == 200


async def test_no_other_token_opens_the_dashboard(daemon: Daemon) -> None:
    agent = await daemon.agent("coder")
    _, of_agent = await daemon.token(kind="agent", agentId=agent)
    for secret in (daemon.company_token, of_agent):
        reply = await daemon.client(secret).post("/api/v1/dashboard/codes", headers=key())
        assert (reply.status_code, reply.json()["code"]) == (403, "permission.capability")
        visitor = daemon.client(None, Origin=daemon.url)
        reply = await visitor.post("/app/login", data={"token": secret})
        assert reply.status_code == 403
        assert not visitor.cookies
    reply = await daemon.anybody.post("/api/v1/dashboard/codes")
    assert reply.status_code == 401


async def test_without_a_session_there_is_only_the_door(daemon: Daemon) -> None:
    for path in (*PAGES, "/app/tasks/T-1", "/app/agents/x"):
        reply = await daemon.anybody.get(path)
        assert (reply.status_code, reply.headers["location"]) == (303, "/app/login")
        assert (await daemon.anybody.get(path + "?fragment=1")).status_code == 401
    reply = await daemon.anybody.get("/app/board", headers={"Cookie": f"{SESSION_COOKIE}=guess"})
    assert reply.status_code == 303
    reply = await daemon.owner.get("/app/board")
    assert reply.status_code == 303, "a bearer token is no session"


# -- the token field -------------------------------------------------------------------------


async def test_the_token_field_lets_an_operator_in(daemon: Daemon) -> None:
    visitor = daemon.client(None, Origin=daemon.url)
    reply = await visitor.post("/app/login", data={"token": f" {daemon.owner_token}\n"})
    assert reply.status_code == 303
    assert (await visitor.get("/app/board")).status_code == 200


@pytest.mark.parametrize("data", [{"token": "ho_wrong"}, {"token": ""}, {}, {"other": "x"}])
async def test_a_wrong_token_is_told_nothing_more(daemon: Daemon, data: dict[str, str]) -> None:
    reply = await daemon.client(None, Origin=daemon.url).post("/app/login", data=data)
    assert reply.status_code == 401
    assert "identity.unknown" in reply.text
    assert "ho_wrong" not in reply.text


async def test_a_huge_form_is_refused(daemon: Daemon) -> None:
    visitor = daemon.client(None, Origin=daemon.url)
    reply = await visitor.post("/app/login", data={"token": "x" * 10_000})
    assert reply.status_code == 413


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
@pytest.mark.parametrize("path", ["/app/login", "/app/logout"])
async def test_other_sites_cannot_post(daemon: Daemon, path: str, headers: dict[str, str]) -> None:
    reply = await daemon.client(None, **headers).post(path, data={"token": daemon.owner_token})
    assert reply.status_code == 403
    assert "web.origin" in reply.text


# -- the end of a session --------------------------------------------------------------------


async def test_a_session_ends_with_its_token(daemon: Daemon) -> None:
    token, secret = await daemon.token(kind="operator", role="viewer")
    visitor = await signed_in(daemon, secret)
    assert (await visitor.get("/app/board")).status_code == 200
    await daemon.owner.delete(f"/api/v1/tokens/{token}", headers=key())
    assert (await visitor.get("/app/board")).status_code == 303


async def test_signing_out_ends_the_session_everywhere(daemon: Daemon) -> None:
    visitor = await signed_in(daemon)
    kept = cookie_of(visitor)
    reply = await visitor.post("/app/logout", headers={"Origin": daemon.url})
    assert reply.status_code == 303
    reply = await daemon.anybody.get("/app/board", headers={"Cookie": f"{SESSION_COOKIE}={kept}"})
    assert reply.status_code == 303


# -- companies -------------------------------------------------------------------------------


async def test_an_operator_of_the_instance_switches_companies(daemon: Daemon) -> None:
    reply = await daemon.owner.post(
        "/api/v1/companies", json={"slug": "second", "name": "Second"}, headers=key()
    )
    assert reply.status_code == 201, reply.text
    visitor = await signed_in(daemon)
    assert "Second" in (await visitor.get("/app/board?company=second")).text
    assert 'value="second" selected' in (await visitor.get("/app/agents")).text
    reply = await visitor.get("/app/board?company=none")
    assert (reply.status_code, "company.unknown" in reply.text) == (404, True)


async def test_an_operator_of_one_company_sees_no_other(daemon: Daemon) -> None:
    await daemon.owner.post(
        "/api/v1/companies", json={"slug": "second", "name": "Second"}, headers=key()
    )
    _, secret = await daemon.token(kind="operator", role="owner")
    visitor = await signed_in(daemon, secret)
    assert "Second" not in (await visitor.get("/app/board")).text
    assert (await visitor.get("/app/board?company=second")).status_code == 404


# -- every answer ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/app/login", "/app/nothing", "/app/board?state=x"])
async def test_pages_carry_the_policy_and_no_inline_code(daemon: Daemon, path: str) -> None:
    visitor = await signed_in(daemon)
    reply = await visitor.get(path)
    policy = reply.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", reply.text)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", reply.text)
    assert reply.text.count("<h1") == 1


async def test_a_foreign_name_is_not_answered(daemon: Daemon) -> None:
    visitor = await signed_in(daemon)
    for host in ("evil.example", f"evil.example:{urlsplit(daemon.url).port}", "x" * 400):
        reply = await visitor.get("/app/board", headers={"Host": host})
        assert reply.status_code == 403
    for host in ("localhost:1", "127.0.0.1", "[::1]:80"):
        reply = await visitor.get("/app/board", headers={"Host": host})
        assert reply.status_code == 200


async def test_files_are_named_by_content_and_kept_for_ever(daemon: Daemon) -> None:
    files = Files()
    for name, url in files.urls.items():
        reply = await daemon.anybody.get(url)
        assert reply.status_code == 200, name
        assert "immutable" in reply.headers["cache-control"]
        assert hashlib.sha256(reply.content).hexdigest()[:12] in url
    assert (await daemon.anybody.get("/app/static/000000000000/app.css")).status_code == 404
    assert (await daemon.anybody.get("/app/static/x/../../pages.py")).status_code in (303, 404)


def test_htmx_is_the_release_that_was_chosen() -> None:
    files = Files()
    found = files.find(files.urls["htmx.min.js"])
    assert found is not None
    assert hashlib.sha256(found.plain).hexdigest() == HTMX_SHA256


async def test_the_first_load_is_small(daemon: Daemon) -> None:
    visitor = await signed_in(daemon)
    page = (await visitor.get("/app/board")).content
    files = Files()
    packed = [files.find(url) for url in files.urls.values()]
    total = len(gzip.compress(page)) + sum(len(file.packed) for file in packed if file)
    assert total < 60_000
    assert len(packed) + 1 <= 6


async def test_no_secret_is_on_a_page(daemon: Daemon) -> None:
    """Neither those of the daemon nor one that somebody pasted where it does not belong."""
    _, minted = await daemon.token(kind="operator", role="viewer")
    project = await daemon.project(f"goal {minted}")
    agent = await daemon.agent("coder", role=f"role {daemon.company_token}")
    said = f"I used {daemon.owner_token}, password=hunter2hunter2"
    asked = {
        "projectId": project,
        "taskType": "tidy_archive",
        "allowUnderspecified": True,
        "inputJson": {"title": said, "description": said},
    }
    reply = await daemon.company.post("/api/v1/tasks", json=asked, headers=key())
    task = reply.json()["task"]["id"]
    await daemon.company.post(f"/api/v1/tasks/{task}/notes", json={"note": said}, headers=key())
    visitor = await signed_in(daemon)
    for path in (*PAGES, "/app/tasks/T-1", f"/app/agents/{agent}"):
        reply = await visitor.get(path)
        assert reply.status_code == 200
        for secret in (
            daemon.owner_token, daemon.company_token, minted, cookie_of(visitor), "hunter2hunter2",
        ):  # fmt: skip
            assert secret not in reply.text, path


# -- roles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
async def test_each_form_takes_the_role_of_its_capability(daemon: Daemon, role: str) -> None:
    """Generated from the route table: the kernel refuses before anything is looked at."""
    _, secret = await daemon.token(kind="operator", role=role)
    visitor = await signed_in(daemon, secret)
    for act in ACTS:
        path = act.rule.format(ref="00000000-0000-7000-8000-000000000000")
        form = {"csrf": csrf(cookie_of(visitor)), "key": act.rule, "text": "hello"}
        reply = await visitor.post(path, data=form, headers={"Origin": daemon.url})
        may = role_reaches(role, BUILTIN[act.capability].operator)
        assert ("permission.capability" in reply.text) is not may, path
        assert may or reply.status_code == 403, path


# -- sockets ---------------------------------------------------------------------------------


def socket(daemon: Daemon, cookie: str | None, origin: str | None = None, **query: Any) -> Any:
    url = f"ws{daemon.url.removeprefix('http')}/app/ws"
    words = "&".join(f"{k}={v}" for k, v in query.items())
    headers = {} if cookie is None else {"Cookie": f"{SESSION_COOKIE}={cookie}"}
    return connect(f"{url}?{words}", additional_headers=headers, origin=origin or daemon.url)


async def test_a_socket_of_another_site_is_refused(daemon: Daemon) -> None:
    visitor = await signed_in(daemon)
    with pytest.raises(InvalidStatus):
        async with socket(daemon, cookie_of(visitor), "http://evil.example"):
            pass


async def test_a_socket_needs_a_session(daemon: Daemon) -> None:
    async with asyncio.timeout(WAIT_S), socket(daemon, None) as opened:
        with pytest.raises(ConnectionClosed):
            await opened.recv()
        assert opened.close_code == 4401


async def test_a_socket_names_changes_and_nothing_else(daemon: Daemon) -> None:
    visitor = await signed_in(daemon)
    async with asyncio.timeout(WAIT_S), socket(daemon, cookie_of(visitor)) as opened:
        assert '"ready"' in await opened.recv()
        agent = await daemon.agent("very-secret-name")
        text = await opened.recv()
        assert f'"subject":"agent:{agent}"' in text
        assert "very-secret-name" not in text


async def test_a_socket_ends_with_its_token(daemon: Daemon) -> None:
    token, secret = await daemon.token(kind="operator", role="viewer")
    visitor = await signed_in(daemon, secret)
    async with asyncio.timeout(WAIT_S), socket(daemon, cookie_of(visitor)) as opened:
        await opened.recv()
        await daemon.owner.delete(f"/api/v1/tokens/{token}", headers=key())
        with pytest.raises(ConnectionClosed):
            while True:
                await opened.recv()
        assert opened.close_code == 4401
