"""A secret planted in ten places is in no log, list, error, receipt or artifact index; and one that
is lent is in the reply of its lease alone."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from homarus.base.logs import configure
from homarus.control_plane import table
from homarus.control_plane.route import Route
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.ground import ManualClock

SECRET_TEXT = "hunter2-the-mailbox-password"
BASIC = "Basic aHVudGVyMjpzM2NyM3Q="
NOWHERE = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Path]:
    """Everything that the process logs, at the lowest level."""
    close = configure(tmp_path / "logs", "debug", stderr=False)
    yield tmp_path / "logs"
    close()


class Planted:
    """A daemon with secrets in it; `replies` are all that it answered since."""

    def __init__(self, daemon: Daemon, home: Path, secrets: list[str]) -> None:
        self.daemon = daemon
        self.home = home
        self.secrets = secrets
        self.replies: list[tuple[str, int, str]] = []

    async def ask(self, who: httpx2.AsyncClient, method: str, path: str, **how: object) -> object:
        headers = key() | dict(how.pop("headers", {}))  # type: ignore[call-overload]
        reply = await who.request(method, path, headers=headers, **how)  # type: ignore[arg-type]
        text = f"{reply.text}\n{reply.headers}"
        self.replies.append((f"{method} {path}", reply.status_code, text))
        return reply

    def found_in(self, text: str) -> list[str]:
        return [secret for secret in self.secrets if secret in text]


@pytest.fixture
async def planted(tmp_path: Path, logs: Path) -> AsyncIterator[Planted]:
    home = tmp_path / "home"
    async with running(home) as daemon:
        agent = await daemon.agent("ada", role="coder")
        _, agent_secret = await daemon.token(kind="agent", agentId=agent)
        _, minted = await daemon.token()
        secrets = [
            daemon.owner_token, daemon.company_token, agent_secret, minted, SECRET_TEXT, BASIC[6:],
            (home / "run" / "master.key").read_text().strip(),
        ]  # fmt: skip
        made = Planted(daemon, home, secrets)
        await plant(made, agent, minted)
        yield made


async def plant(made: Planted, agent: str, token: str) -> None:
    """The ten places. What is refused is as welcome as what is stored."""
    ask, us = made.ask, made.daemon.company
    project = await made.daemon.project()
    api = "/api/mcp"
    spec = {"projectId": project, "taskType": "inventory", "allowUnderspecified": True}
    # 1 a task's words, 2 its notes, 3 its result
    task = await ask(us, "POST", f"{api}/tasks", json=spec | {"title": f"with {token}"})
    task_id = task.json()["task"]["id"]  # type: ignore[attr-defined]
    await ask(us, "POST", f"{api}/tasks/claim", json={"agentId": "ada"})
    note = {"note": f"use {token} here", "agentId": "ada"}
    await ask(us, "POST", f"{api}/tasks/{task_id}/notes", json=note)
    result = {"state": "review", "agentId": "ada", "comment": token, "outputJson": {"t": token}}
    await ask(us, "POST", f"{api}/tasks/{task_id}/result", json=result)
    # 4 an artifact's name, title and metadata
    form = {
        "kind": "report", "title": token, "metadataJson": f'{{"a": "{token}"}}', "taskId": task_id,
    }  # fmt: skip
    await ask(us, "POST", f"{api}/artifacts/upload", data=form, files={"file": (token, b"x")})
    reference = {
        "kind": "report", "contentType": "text/plain", "projectId": project, "title": token,
        "metadataJson": {"a": token}, "originalFilename": token, "storageUrl": f"s3://{token}/k",
        "sha256": "a" * 64, "sizeBytes": 1,
    }  # fmt: skip
    await ask(us, "POST", f"{api}/artifacts", json=reference)
    # 5 a sealed secret
    resource = {
        "name": "mailbox", "resourceType": "mailbox", "provider": "imap", "secretText": SECRET_TEXT,
    }  # fmt: skip
    box = await ask(us, "POST", f"{api}/resources", json=resource)
    box_id = box.json()["resource"]["id"]  # type: ignore[attr-defined]
    await ask(us, "POST", f"{api}/resources/{box_id}/lease", json={"agentId": "ada"})
    await ask(made.daemon.owner, "GET", f"{api}/resources/{box_id}/access-log")
    wrong = resource | {"secretText": None, "configText": f"password: {SECRET_TEXT}"}
    await ask(us, "POST", f"{api}/resources", json=wrong)
    mail = {"provider": "imap", "name": "mail", "secretJson": {"password": SECRET_TEXT}}
    await ask(us, "POST", f"{api}/agents/{agent}/integrations", json=mail)
    mail |= {"secretJson": None, "configJson": {"password": SECRET_TEXT}}
    await ask(us, "POST", f"{api}/agents/{agent}/integrations", json=mail)
    await ask(us, "GET", f"{api}/tasks/{task_id}/context")
    # 6 the Authorization header, well and badly formed
    for header in (f"Bearer {token}", f"Bearer {token}x", BASIC, f"Token {token}", token):
        await ask(made.daemon.anybody, "GET", f"{api}/agents", headers={"Authorization": header})
    # 7 the query, 8 the path
    for name in ("token", "access_token", "search", "state", "cursor", "company", "projectId"):
        for path in ("agents", "tasks", "artifacts", "receipts", "incidents"):
            await ask(us, "GET", f"{api}/{path}?{name}={token}")
    for path in (
        f"tasks/{token}",
        f"why/{token}",
        f"receipts/{token}",
        f"artifacts/{token}",
        token,
    ):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            await ask(us, method, f"{api}/{path}", json={"title": "x"})
    # 9 an agent, actor or incident that is named by it
    for who in (us, made.daemon.owner):
        await ask(who, "POST", f"{api}/tasks/claim", json={"agentId": token})
        await ask(who, "POST", f"{api}/agents/heartbeat", json={"agentId": token, "currentLoad": 0})
    incident = {"severity": "low", "reasonCode": "x", "summary": token, "taskId": task_id}
    await ask(us, "POST", f"{api}/incidents", json=incident)
    message = {"text": f"my token is {token}", "agentId": "ada"}
    await ask(us, "POST", f"{api}/messages/send", json=message)
    memory = {"content": token, "agentId": agent}
    await ask(us, "POST", f"{api}/agents/{agent}/memory", json=memory)
    # 10 bodies that cannot be read, idempotency keys, traces
    for body in (
        f'{{"name": {token}}}',
        f'{{"name": ["{token}"]}}',
        f"{token}",
        f'{{"{token}": 1}}',
    ):
        await ask(us, "POST", f"{api}/agents", content=body.encode())
    headers = {"Idempotency-Key": token, "X-Homarus-Trace": token, "X-Homarus-Company": token}
    await ask(made.daemon.owner, "POST", f"{api}/agents", json={"name": "eve"}, headers=headers)


def list_routes() -> list[str]:
    """Every GET of the surface, with an id that is nothing where it wants one."""
    paths = [
        route.path
        for route in table.routes()
        if route.method == "GET" and (isinstance(route, Route) or "{" not in route.path)
    ]
    return sorted({re.sub(r"\{\w+\}", NOWHERE, path) for path in paths} - {"/messages/sync"})


async def test_no_reply_shows_a_secret(planted: Planted) -> None:
    for who, path in itertools.product(
        (planted.daemon.owner, planted.daemon.company), list_routes()
    ):
        await planted.ask(who, "GET", f"/api/v1{path}")
    listed = "".join(text for asked, _, text in planted.replies if asked == "GET /api/v1/artifacts")
    assert "[redacted]" in listed, "the artifacts were listed, and had held a secret"
    shown = {asked: planted.found_in(text) for asked, _, text in planted.replies}
    assert {asked: found for asked, found in shown.items() if found} == {}
    assert [asked for asked, status, _ in planted.replies if status >= 500] == []


async def test_no_row_holds_a_secret(planted: Planted) -> None:
    await planted.daemon.service.stop()
    conn = apsw.Connection(str(planted.home / "local-ssot" / "ssot.db"))
    names = [
        str(row[0]) for row in conn.execute("select name from sqlite_schema where type='table'")
    ]
    held = {}
    for name in names:
        rows = conn.execute(f'select * from "{name}"').fetchall()
        found = planted.found_in("\n".join(repr(row) for row in rows))
        if found:
            held[name] = found
    conn.close()
    assert held == {}


async def test_no_log_line_holds_a_secret(planted: Planted, logs: Path) -> None:
    await planted.daemon.service.stop()
    text = (logs / "homarus.log").read_text("utf-8")
    assert "anchored" in text, "something was logged"
    assert planted.found_in(text) == []


# -- a secret on loan: where it may be, and where it is ---------------------------------------

LENT = "lent-9c41d7-the-only-copy"
SOON_S = 10.0
MAX_FRAMES = 500


def holders(home: Path) -> list[str]:
    """Files below a home, the write-ahead log among them, that hold the secret in clear."""
    return [
        str(path.relative_to(home))
        for path in sorted(home.rglob("*"))
        if path.is_file() and LENT.encode() in path.read_bytes()
    ]


async def heard(client: ClientConnection, last: str) -> str:
    """All frames up to the one of type `last`."""
    text = ""
    for _ in range(MAX_FRAMES):
        async with asyncio.timeout(SOON_S):
            said = str(await client.recv())
        text += said
        if json.loads(said).get("type") == last:
            return text
    raise AssertionError(f"no frame {last}")


async def closed_with(client: ClientConnection) -> int:
    async with asyncio.timeout(SOON_S):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as error:
            assert error.rcvd is not None
            return error.rcvd.code


async def test_must_show_6_a_secret_is_read_by_a_lease_alone_and_revoking_closes_sockets(
    tmp_path: Path, logs: Path
) -> None:
    home = tmp_path / "home"
    async with running(home) as daemon:
        ada = await daemon.agent("ada")
        danger_id, danger = await daemon.token(scope="mcp_danger")
        granted = {"agentId": ada}
        path = f"/api/v1/tokens/{danger_id}/grants"
        assert (await daemon.owner.post(path, json=granted, headers=key())).status_code == 201
        lender = daemon.client(danger)
        url, header = daemon.socket_url, {"Authorization": f"Bearer {danger}"}
        async with connect(url, additional_headers=header) as client:
            replies = [await daemon.company.post(
                "/api/mcp/resources", headers=key(),
                json={"name": "box", "resourceType": "mailbox", "provider": "imap",
                      "secretText": LENT},
            )]  # fmt: skip
            box = replies[0].json()["resource"]["id"]
            lend = f"/api/mcp/resources/{box}/lease"

            refused = await daemon.company.post(lend, json={"agentId": "ada"}, headers=key())
            assert (refused.status_code, refused.json()["code"]) == (403, "permission.scope")
            lent = await lender.post(lend, json={"agentId": "ada"}, headers=key())
            assert (lent.status_code, lent.json()["secretText"]) == (200, LENT)
            lease = lent.json()["lease"]["id"]

            replies += [refused]
            replies.append(await lender.post(f"/api/mcp/leases/{lease}/renew", json={}))
            for who in (daemon.owner, daemon.company, lender):
                for route in ("resources", f"resources/{box}", "resources/context", "leases",
                              f"resources/{box}/access-log", "events", "receipts"):  # fmt: skip
                    replies.append(await who.get(f"/api/v1/{route}"))
            rotated = {"secretText": f"{LENT}-2"}
            replies.append(await lender.patch(f"/api/mcp/resources/{box}", json=rotated))
            assert [r.url.path for r in replies if LENT in r.text] == []
            assert [r.url.path for r in replies if r.status_code >= 500] == []

            integration = {"provider": "x", "name": "y", "secretJson": LENT}
            made = await lender.post(
                f"/api/mcp/agents/{ada}/integrations", json=integration, headers=key()
            )
            assert made.status_code == 201 and LENT not in made.text
            assert LENT not in await heard(client, "agent_integration_created")

            assert holders(home) == [] and holders(logs) == [], "while it runs, with its log"
            gone = await daemon.owner.delete(f"/api/v1/tokens/{danger_id}", headers=key())
            assert gone.status_code == 200
            assert await closed_with(client) == 4401
        assert (await lender.post(lend, json={}, headers=key())).status_code == 401
        (row,) = (await daemon.owner.get("/api/v1/leases")).json()["leases"]
        assert (row["id"], row["endReason"]) == (lease, "token_revoked")
    assert holders(home) == [] and holders(logs) == [], "and after it stopped"


async def test_a_lease_that_ran_out_while_the_daemon_was_down_is_ended_after_its_start(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    home = tmp_path / "home"
    body = {"name": "box", "resourceType": "mailbox", "provider": "imap", "secretText": LENT}
    async with running(home, clock=clock) as daemon:
        _, danger = await daemon.token(scope="mcp_danger")
        lender = daemon.client(danger)
        made = await lender.post("/api/mcp/resources", json=body, headers=key())
        box = made.json()["resource"]["id"]
        assert (await lender.post(f"/api/mcp/resources/{box}/lease", json={})).status_code == 200
    clock.advance(600_000)
    async with running(home, clock=clock) as daemon:
        after = 0
        async with asyncio.timeout(SOON_S):
            while True:
                (row,) = (await daemon.owner.get("/api/v1/leases")).json()["leases"]
                assert row["endReason"] == "expired", "for whoever asks, from the first moment"
                if row["endedAt"] is not None:
                    break
                after = await news(daemon, after)


async def news(daemon: Daemon, after: int) -> int:
    """Wait until the feed has passed `after`: the head then."""
    return await daemon.app.feed.wait(daemon.company_id, after, SOON_S)
