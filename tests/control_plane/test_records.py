"""Artifacts, incidents, the ledger and backups over HTTP, through a whole daemon."""

import asyncio
import hashlib
import socket

import msgspec
import pytest

from homarus.kernel.anchors import parse
from homarus.kernel.verify import Verifier
from homarus.records.blobs import MAX_FILE_BYTES
from homarus.store.restore import verify
from homarus.testing.daemon import Daemon, key

FILE = ("report.md", b"# Report\n" * 100_000, "text/markdown")


async def upload(daemon: Daemon, file=FILE, **fields):
    reply = await daemon.company.post(
        "/api/mcp/artifacts/upload", data={"kind": "report"} | fields, files={"file": file},
        headers=key(),
    )  # fmt: skip
    assert reply.status_code == 201, reply.text
    return reply.json()["artifact"]


async def test_what_goes_up_comes_down(daemon: Daemon):
    row = await upload(daemon, projectId=await daemon.project())
    assert row["sha256"] == hashlib.sha256(FILE[1]).hexdigest()
    reply = await daemon.company.get(f"/api/mcp/artifacts/{row['id']}/download")
    assert reply.content == FILE[1]
    assert reply.headers["content-type"] == "text/markdown"
    assert reply.headers["content-disposition"].startswith('attachment; filename="report.md"')
    assert reply.headers["x-content-type-options"] == "nosniff"
    listed = (await daemon.company.get("/api/mcp/artifacts?kind=report")).json()["artifacts"]
    assert [one["id"] for one in listed] == [row["id"]]


async def test_an_upload_needs_its_key_and_is_stored_once(daemon: Daemon):
    path, files = "/api/mcp/artifacts/upload", {"file": FILE}
    reply = await daemon.company.post(path, data={"kind": "r"}, files=files)
    assert (reply.status_code, reply.json()["code"]) == (400, "idempotency.missing")
    same = key()
    first, again = [
        await daemon.company.post(path, data={"kind": "r"}, files=files, headers=same)
        for _ in range(2)
    ]
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_an_upload_that_is_too_large_is_answered(daemon: Daemon):
    headers = key() | {"content-type": "multipart/form-data; boundary=x"}
    reply = await daemon.company.post(
        "/api/mcp/artifacts/upload", content=b"\0" * (MAX_FILE_BYTES + 2_000_000), headers=headers
    )
    assert (reply.status_code, reply.json()["code"]) == (413, "artifact.too_large")


async def test_a_client_that_goes_away_leaves_nothing(daemon: Daemon):
    head = (
        "POST /api/mcp/artifacts/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        f"Authorization: Bearer {daemon.company_token}\r\nIdempotency-Key: gone\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf'
    )
    host, _, port = daemon.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode())
    await writer.drain()
    writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    writer.close()
    await upload(daemon)
    assert len((await daemon.company.get("/api/mcp/artifacts")).json()["artifacts"]) == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b"])
async def test_a_path_as_a_name_is_refused(daemon: Daemon, name: str):
    headers = key() | {"content-type": "multipart/form-data; boundary=x"}
    reply = await daemon.company.post(
        "/api/mcp/artifacts/upload", headers=headers,
        content=b'--x\r\nContent-Disposition: form-data; name="kind"\r\n\r\nr\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="' + name.encode()
        + b'"\r\n\r\ny\r\n--x--\r\n',
    )  # fmt: skip
    assert (reply.status_code, reply.json()["code"]) == (400, "artifact.file_name")


async def test_an_incident_from_open_to_resolved(daemon: Daemon):
    project = await daemon.project()
    body = {"severity": "high", "reasonCode": "x", "summary": "It broke", "projectId": project}
    reply = await daemon.company.post("/api/mcp/incidents", json=body, headers=key())
    row = reply.json()["incident"]
    assert (reply.status_code, row["status"]) == (201, "open")
    path = f"/api/mcp/incidents/{row['id']}"
    reply = await daemon.company.patch(path, json={"status": "resolved"}, headers=key())
    assert reply.json()["incident"]["resolvedAt"]
    assert (await daemon.company.get(path)).json()["incident"]["status"] == "resolved"
    assert (await daemon.company.delete(path, headers=key())).status_code == 403
    assert (await daemon.owner.delete(path, headers=key())).status_code == 200
    assert (await daemon.company.get(path)).status_code == 404


async def test_the_ledger_over_http_verifies(daemon: Daemon):
    await upload(daemon)
    for scope in ({}, {"X-Homarus-Company": "@instance"}):
        reply = await daemon.owner.get("/api/v1/audit/anchors", headers=scope)
        lines = [msgspec.json.encode(row) for row in reply.json()["anchors"]]
        verifier, after = Verifier(anchors=parse(lines)), 0
        while after is not None:
            reply = await daemon.owner.get(
                "/api/v1/audit/export", params={"afterSeal": after, "limit": 1}, headers=scope
            )
            page = reply.json()
            for line in [page["header"]] * (after == 0) + page["lines"]:
                verifier.feed_bytes(msgspec.json.encode(line))
            after = page["nextAfterSeal"]
        report = verifier.finish()
        assert report.ok, report.findings
        assert report.receipts > 0


async def test_the_ledger_is_for_operators(daemon: Daemon):
    for path in ("receipts", "audit/export", "audit/anchors", "why/T-1", "backups"):
        reply = await daemon.company.get(f"/api/v1/{path}")
        assert reply.status_code == 403, path


async def test_why_an_artifact(daemon: Daemon):
    row = await upload(daemon)
    answer = (await daemon.owner.get(f"/api/v1/why/{row['number']}")).json()["answer"]
    assert (answer["what"], answer["verdict"], answer["outcome"]) == (
        "artifact.create", "allow", "done",
    )  # fmt: skip


async def test_a_backup_over_http_is_whole(daemon: Daemon):
    await upload(daemon)
    reply = await daemon.owner.post("/api/v1/backups")
    made = reply.json()["backup"]
    assert reply.status_code == 201
    assert verify(daemon.app.settings.home / "backups" / made["name"])[1] == []
    listed = (await daemon.owner.get("/api/v1/backups")).json()["backups"]
    assert [one["name"] for one in listed] == [made["name"]]
