"""MCP servers through a running daemon: an owner registers, the daemon looks, grants decide."""

import asyncio
import json
from typing import Any

import pytest

from homarus.backends import layers
from homarus.backends.local import interpreter
from tests.support.studio import Studio

pytest.importorskip("mcp")
WAIT_S = 60
PATH = "/api/v1/mcp-servers"
ARGV = [interpreter().python, "-m", "homarus.testing.mcp_server", json.dumps({"tools": ["echo"]})]


async def looked(acme: Studio, name: str) -> dict[str, Any]:
    """The server once the daemon has looked at it."""
    changed = asyncio.Event()
    undo = acme.daemon.app.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                changed.clear()
                server = (await acme.owner.get(f"{PATH}/{name}")).json()["server"]
                if server["lookedAt"] is not None:
                    return dict(server)
                await changed.wait()
    finally:
        undo()


async def test_a_server_from_its_registration_to_its_removal(acme: Studio) -> None:
    body = {"name": "notes", "argv": ARGV, "reads": ["echo"]}
    made = await acme.owner.post(PATH, json=body)
    assert made.status_code == 201, made.text
    server = await looked(acme, "notes")
    if layers.probe().sandbox != "bwrap":
        assert "mcp.sandbox" in server["fault"]
        return
    assert server["fault"] is None
    (tool,) = server["tools"]
    assert (tool["id"], tool["quarantined"], tool["granted"]) == ("mcp.notes.echo", True, False)
    again = await acme.owner.post(f"{PATH}/notes/look")
    assert (again.status_code, again.json()["server"]["lookedAt"]) == (202, None)
    gone = await acme.owner.delete(f"{PATH}/notes")
    assert gone.json()["server"]["enabled"] is False
    listed = (await acme.owner.get(PATH)).json()["servers"]
    assert [(s["name"], s["enabled"]) for s in listed] == [("notes", False)]


async def test_values_of_headers_are_never_shown(acme: Studio) -> None:
    body = {"name": "crm", "url": "http://127.0.0.1:1/mcp", "headers": {"X-Key": "a-value"}}
    made = await acme.owner.post(PATH, json=body)
    assert made.json()["server"]["headers"] == ["X-Key"]
    shown = await acme.owner.get(f"{PATH}/crm")
    assert "a-value" not in shown.text + made.text


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({}, 400, "request.schema"),
        ({"name": "x"}, 400, "mcp.transport"),
        ({"name": "X", "argv": ["a"]}, 400, "mcp.name"),
        ({"name": "x", "argv": "a"}, 400, "request.schema"),
        ({"name": "x", "url": "file:///x"}, 400, "mcp.url"),
    ],
)
async def test_what_is_no_server(
    acme: Studio, body: dict[str, Any], status: int, code: str
) -> None:
    reply = await acme.owner.post(PATH, json=body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_agents_and_company_tokens_register_none(acme: Studio) -> None:
    reply = await acme.clients["ada"].post(PATH, json={"name": "x", "argv": ["a"]})
    assert reply.status_code == 403
    missing = await acme.owner.get(f"{PATH}/none")
    assert (missing.status_code, missing.json()["code"]) == (404, "mcp.unknown")
