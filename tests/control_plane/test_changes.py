"""Changes and documents through a running daemon: redline R4 on every road, and the way round."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.testing.daemon import Daemon, key, running

HOUSE = "rules/house.md"
TEXTS = {"intent": "why", "impact": "whom", "rollbackPlan": "back", "validation": "look"}
WAIT_S = 20.0
POLL_S = 0.05


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "home", document_watch_s=POLL_S, document_hash_s=1.0) as made:
        await until(made, lambda: on_disk(made, HOUSE).exists())
        yield made


async def until(daemon: Daemon, true: Callable[[], Any]) -> Any:
    """Wait for a condition, looked at after each round of the guard; its value."""
    async with asyncio.timeout(WAIT_S):
        while True:
            value = true()
            if isinstance(value, Awaitable):
                value = await value
            if value:
                return value
            await daemon.app.guard.next_round()


def on_disk(daemon: Daemon, path: str) -> Path:
    return daemon.app.settings.home / "company" / "default" / path


async def ask(client: Any, method: str, at: str, **body: Any) -> Any:
    return await client.request(method, f"/api/v1{at}", json=body or None, headers=key())


async def text(daemon: Daemon, path: str = HOUSE) -> str:
    reply = await daemon.owner.get("/api/v1/documents/content", params={"path": path})
    return str(reply.json()["document"]["content"])


async def found(daemon: Daemon) -> list[Any]:
    reply = await daemon.owner.get("/api/v1/changes", params={"status": "found"})
    rows: list[Any] = reply.json()["changes"]
    return rows


async def propose(client: Any, kind: str = "governed_document", **patch: Any) -> Any:
    return await ask(client, "POST", "/changes", kind=kind, patch=patch, **TEXTS)


async def number(reply: Any) -> str:
    assert reply.status_code == 201, reply.text
    return str(reply.json()["change"]["number"])


async def walk(client: Any, change: str, *acts: str) -> Any:
    reply = None
    for act in acts:
        name, confirm, _ = act.partition("+")
        body = {"confirm": True} if confirm else {}
        reply = await ask(client, "POST", f"/changes/{change}/{name}", **body)
        assert reply.status_code in (200, 202), reply.text
    return reply


async def test_one_person_changes_a_governed_document_end_to_end(daemon: Daemon) -> None:
    change = await number(await propose(daemon.owner, path=HOUSE, content="be kind\n"))
    reply = await walk(daemon.owner, change, "validate", "approve")
    assert (reply.status_code, reply.json()["confirmNeeded"]) == (202, True)
    assert (await ask(daemon.owner, "POST", f"/changes/{change}/switch")).status_code == 409
    reply = await walk(daemon.owner, change, "approve+", "switch")
    row = reply.json()["change"]
    assert (row["status"], row["selfApproved"]) == ("switched", True)
    assert await text(daemon) == "be kind\n"
    await until(daemon, lambda: on_disk(daemon, HOUSE).read_text() == "be kind\n")
    await walk(daemon.owner, change, "rollback")
    await until(daemon, lambda: "House rules" in on_disk(daemon, HOUSE).read_text())


@pytest.mark.parametrize(
    "path", [HOUSE, "AGENTS.md", "agents.md", "capabilities.yaml", "wiki/x.md"]
)
async def test_r4_by_the_api(daemon: Daemon, path: str) -> None:
    await daemon.agent("ada")
    for client in (daemon.owner, daemon.company):
        reply = await ask(client, "PUT", "/documents/content", path=path, content="mine")
        assert reply.status_code == 403, reply.text
        body = reply.json()
        assert (body["code"], body["rule"]) == ("R4.governed", "R4")
        assert body["receipt"]
        assert "homarus change new" in body["remedy"]


async def test_plain_documents_are_written_at_once(daemon: Daemon) -> None:
    reply = await ask(daemon.company, "PUT", "/documents/content", path="notes/a.md", content="x")
    assert reply.status_code == 200, reply.text
    await until(daemon, lambda: on_disk(daemon, "notes/a.md").exists())
    listed = (await daemon.owner.get("/api/v1/documents")).json()["documents"]
    assert [(d["path"], d["class"]) for d in listed] == [
        ("AGENTS.md", "governed"), ("capabilities.yaml", "governed"), ("notes/a.md", "plain"),
        (HOUSE, "governed"),
    ]  # fmt: skip


async def test_reading_a_governed_document_leaves_a_receipt(daemon: Daemon) -> None:
    await ask(daemon.owner, "PUT", "/documents/content", path="notes/a.md", content="x")
    for path in (HOUSE, "notes/a.md"):
        await text(daemon, path)
    rows = (await daemon.owner.get("/api/v1/receipts")).json()["receipts"]
    read = [r["target"] for r in rows if r["capability"] == "document.read"]
    assert read == [f"document:{HOUSE}"]


def edit(at: Path) -> None:
    at.write_text("edited\n")


def byte(at: Path) -> None:
    data = bytearray(at.read_bytes())
    data[-2] ^= 1
    at.write_bytes(data)


def link(at: Path) -> None:
    at.unlink()
    at.symlink_to("/etc/passwd")


def rename(at: Path) -> None:
    at.rename(at.parent.parent / "moved.md")


@pytest.mark.parametrize("act", [edit, byte, link, rename, Path.unlink], ids=lambda f: f.__name__)
async def test_r4_on_disk_behind_the_daemons_back(daemon: Daemon, act: Any) -> None:
    at = on_disk(daemon, HOUSE)
    before = at.read_text()
    act(at)
    assert await text(daemon) == before, "the approved version is served at once"
    await until(daemon, lambda: found(daemon))
    await until(daemon, lambda: not at.is_symlink() and at.exists() and at.read_text() == before)
    (change,) = await found(daemon)
    assert (change["number"], change["author"], change["target"]) == ("C-1", "unknown", HOUSE)
    incident = (await daemon.owner.get("/api/v1/incidents")).json()["incidents"][0]
    assert incident["severity"] == "medium"
    assert incident["recommendedActionJson"]["approve"] == "homarus change approve C-1"


async def test_whoever_edited_by_hand_may_approve_it(daemon: Daemon) -> None:
    edit(on_disk(daemon, HOUSE))
    await until(daemon, lambda: found(daemon))
    reply = await walk(daemon.owner, "C-1", "approve", "switch")
    assert reply.json()["change"]["selfApproved"] is False
    await until(daemon, lambda: on_disk(daemon, HOUSE).read_text() == "edited\n")
    assert await text(daemon) == "edited\n"
    assert await found(daemon) == []


async def test_a_company_token_proposes_and_decides_nothing(daemon: Daemon) -> None:
    ada = await daemon.agent("ada", role="coder")
    change = await number(await propose(daemon.company, path=HOUSE, content="x"))
    assert (await ask(daemon.company, "POST", f"/changes/{change}/validate")).status_code == 200
    _, secret = await daemon.token(kind="agent", agentId=ada)
    agent = daemon.client(secret)
    for client in (daemon.company, agent):
        for act in ("approve", "switch", "reject"):
            body = {"reason": "no"} if act == "reject" else {}
            reply = await ask(client, "POST", f"/changes/{change}/{act}", **body)
            assert reply.status_code in (403, 409), (act, reply.text)
    await walk(daemon.owner, change, "approve", "switch")


async def test_a_coo_decides_and_the_owner_does_not(daemon: Daemon) -> None:
    reply = await ask(daemon.owner, "POST", "/agents", name="cora", role="coo")
    assert reply.status_code == 201, reply.text
    _, secret = await daemon.token(kind="agent", agentId=reply.json()["agent"]["id"])
    cora = daemon.client(secret)
    change = await number(await propose(daemon.owner, path=HOUSE, content="x"))
    await walk(daemon.owner, change, "validate")
    reply = await ask(daemon.owner, "POST", f"/changes/{change}/approve", confirm=True)
    assert reply.json()["code"] == "change.author"
    await walk(cora, change, "approve", "switch")
    change = await number(await propose(cora, path=HOUSE, content="y"))
    await walk(cora, change, "validate")
    reply = await ask(cora, "POST", f"/changes/{change}/approve")
    assert reply.json()["code"] == "change.author"
    await walk(daemon.owner, change, "approve", "switch")


async def test_governed_roles_are_given_and_taken_by_changes(daemon: Daemon) -> None:
    first = await ask(daemon.owner, "POST", "/agents", name="cora", role="coo")
    assert first.status_code == 201, "the first one of a company comes with its agent"
    ada = await daemon.agent("ada")
    cora = first.json()["agent"]["id"]
    for method, path, body in (
        ("POST", "/agents", {"name": "carl", "role": "coo"}),
        ("POST", "/agents", {"name": "carl", "role": "approver"}),
        ("PATCH", f"/agents/{ada}", {"role": "coo"}),
        ("PATCH", f"/agents/{cora}", {"role": "coder"}),
        ("PATCH", f"/agents/{cora}", {"role": None}),
    ):
        reply = await daemon.owner.request(method, f"/api/v1{path}", json=body, headers=key())
        assert reply.status_code == 403, reply.text
        assert reply.json()["code"] == "R4.role"
        assert "homarus change new --role" in reply.json()["remedy"]
    same = await ask(daemon.owner, "PATCH", f"/agents/{cora}", role="coo", name="Cora")
    assert same.status_code == 200
    _, secret = await daemon.token(kind="agent", agentId=cora)
    change = await number(
        await propose(daemon.owner, "governed_setting", name="role", agent="ada", role="approver")
    )
    await walk(daemon.owner, change, "validate")
    await walk(daemon.client(secret), change, "approve", "switch")
    shown = (await daemon.owner.get(f"/api/v1/agents/{ada}")).json()["agent"]
    assert shown["role"] == "approver"


async def test_grants_and_levels_are_switched(daemon: Daemon) -> None:
    made = await ask(
        daemon.owner, "POST", "/capabilities", id="files.count", title="Count", argv=["true"]
    )
    assert made.status_code in (200, 201), made.text
    for kind, patch in (
        ("capability_grant", {"capability": "files.count", "grants": ["role:coder"]}),
        ("governed_setting", {"name": "level", "value": "enforce"}),
    ):
        change = await number(await propose(daemon.owner, kind, **patch))
        await walk(daemon.owner, change, "validate", "approve", "approve+", "switch")
    listed = (await daemon.owner.get("/api/v1/capabilities")).json()["capabilities"]
    assert [c["grants"] for c in listed if c["id"] == "files.count"] == [["role:coder"]]
