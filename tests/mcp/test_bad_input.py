"""Bad input at `/mcp`: a clear error, never a 5xx, and the daemon goes on."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from homarus.control_plane.route import MAX_BODY_BYTES
from homarus.testing.daemon import CLIENT_TIMEOUT_S, Address, beside, key

PARSE, REQUEST, METHOD, PARAMS = -32700, -32600, -32601, -32602
OURS = -32000
ACCEPT = {"accept": "application/json, text/event-stream"}


def message(method: str = "tools/list", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def nested(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with beside(tmp_path_factory.mktemp("bad") / "home") as address:
        yield address


@pytest.fixture(scope="module")
def company(daemon: Address) -> Iterator[httpx2.Client]:
    """Acts with the company's token, which may act for `ada`."""
    headers = {"Authorization": f"Bearer {daemon.company_token}"}
    with httpx2.Client(base_url=daemon.url, headers=headers, timeout=CLIENT_TIMEOUT_S) as made:
        made.post("/api/v1/agents", json={"name": "ada"}, headers=key()).raise_for_status()
        yield made


def post(client: httpx2.Client, content: Any, **headers: str) -> httpx2.Response:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = ACCEPT | {"content-type": "application/json"} | headers
    reply = client.post("/mcp", content=raw, headers=sent)
    assert reply.status_code < 500, reply.text
    return reply


CALL = message("tools/call", name="list_tasks", arguments={})
BIG = message("tools/call", name="add_note", arguments={"taskId": "T-1", "note": "x" * 2_000_000})
MODERN = {"mcp-protocol-version": "2026-07-28"}


@pytest.mark.parametrize(
    "content, headers, status, number",
    [
        # what is no JSON-RPC
        (b"", {}, 400, PARSE),
        (b"{", {}, 400, PARSE),
        (b"\xff\xfe", {}, 400, PARSE),
        (b'{"jsonrpc": NaN}', {}, 400, PARSE),
        (b'"text"', {}, 400, PARAMS),
        ([], {}, 400, PARAMS),
        ([CALL, CALL], {}, 400, PARAMS),
        ({"jsonrpc": "1.0", "id": 1, "method": "tools/list"}, {}, 400, PARAMS),
        ({"id": 1, "method": "tools/list"}, {}, 400, PARAMS),
        (message() | {"params": []}, {}, 400, PARAMS),
        (message() | {"params": nested(40)}, {}, 400, REQUEST),
        (message() | {"id": "a\0b"}, {}, 400, REQUEST),
        ([CALL], MODERN, 400, REQUEST),
        (b"{", MODERN, 400, PARSE),
        # what the protocol does not know
        (message("tools/drop"), {}, 200, METHOD),
        (message("tools/call"), {}, 200, PARAMS),
        (message("tools/call", name=3), {}, 200, PARAMS),
        (message("tools/call", name="list_tasks", arguments=[]), {}, 200, PARAMS),
        (message("tools/call", name="no_such_tool", arguments={}), {}, 200, PARAMS),
        (message("resources/read", uri="file:///etc/passwd"), {}, 200, METHOD),
        # headers
        (CALL, {"mcp-protocol-version": "1999-01-01"}, 400, None),
        (CALL, {"mcp-protocol-version": "x" * 500}, 400, None),
        (CALL, MODERN, 400, None),
        (CALL, {"accept": "text/html"}, 406, None),
        (CALL, {"accept": ""}, 406, None),
        (CALL, {"content-type": "text/plain"}, 400, None),
        (CALL, {"mcp-session-id": "made-up"}, 200, None),
        # size
        (BIG, {}, 413, REQUEST),
        (b" " * (MAX_BODY_BYTES + 1), {}, 413, REQUEST),
    ],
)  # fmt: skip
def test_what_is_wrong_as_it_stands(
    company: httpx2.Client, content: Any, headers: dict[str, str], status: int, number: int | None
) -> None:
    reply = post(company, content, **headers)
    assert reply.status_code == status, reply.text
    if number is not None:
        assert reply.json()["error"]["code"] == number, reply.text
    again = post(company, CALL)
    assert again.json()["result"]["structuredContent"]["tasks"] == []


def test_a_body_of_exactly_the_bound_is_taken(company: httpx2.Client) -> None:
    raw = json.dumps(CALL).encode()
    reply = post(company, raw + b" " * (MAX_BODY_BYTES - len(raw)))
    assert reply.status_code == 200


def test_a_notification_is_taken_and_answers_nothing(company: httpx2.Client) -> None:
    reply = post(company, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (reply.status_code, reply.content) == (202, b"")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"])
def test_only_post_is_offered(company: httpx2.Client, method: str) -> None:
    reply = company.request(method, "/mcp", headers={"accept": "text/event-stream"})
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "headers, status, code",
    [
        ({"authorization": ""}, 401, "identity.unknown"),
        ({"authorization": "Bearer ec_wrong"}, 401, "identity.unknown"),
        ({"authorization": "Basic YTpi"}, 401, "identity.unknown"),
        ({"host": "evil.example"}, 403, "origin.host"),
        ({"origin": "http://evil.example"}, 403, "origin.foreign"),
        ({"origin": "null"}, 403, "origin.foreign"),
        ({"x-homarus-company": "nobody"}, 403, "identity.company"),
    ],
)
def test_who_stays_outside(
    company: httpx2.Client, headers: dict[str, str], status: int, code: str
) -> None:
    reply = post(company, CALL, **headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["data"]["code"]) == (status, OURS, code)
    assert code in error["message"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer ec_wrong"}])
def test_401_says_where_to_get_a_token(daemon: Address, headers: dict[str, str]) -> None:
    reply = httpx2.post(f"{daemon.url}/mcp", json=CALL, headers=headers)
    where = f"{daemon.url}/.well-known/oauth-protected-resource/mcp"
    assert reply.status_code == 401
    assert (
        reply.headers["www-authenticate"] == f'Bearer realm="homarus", resource_metadata="{where}"'
    )


def test_a_host_writes_nothing_into_the_header(daemon: Address) -> None:
    reply = httpx2.post(f"{daemon.url}/mcp", json=CALL, headers={"host": 'localhost:1", a="b'})
    assert reply.status_code in (401, 403)
    assert reply.headers.get("www-authenticate", '""""').count('"') == 4


def test_the_own_page_may_and_a_slash_does_not_matter(company: httpx2.Client) -> None:
    reply = post(company, CALL, origin=str(company.base_url).rstrip("/"))
    assert reply.status_code == 200
    slashed = company.post("/mcp/", json=CALL, headers=ACCEPT)
    assert slashed.status_code == 200
    assert (company.post("/mcp/tools", json=CALL, headers=ACCEPT)).status_code == 404


@pytest.mark.parametrize(
    "tool, arguments, code",
    [
        ("claim", {}, "mcp.arguments"),
        ("claim", {"agentId": 7}, "mcp.arguments"),
        ("claim", {"agentId": None}, "mcp.arguments"),
        ("claim", {"agentId": ["ada"]}, "mcp.arguments"),
        ("claim", {"agentId": "ada", "agent": "ada"}, "mcp.arguments"),
        ("claim", {"agentId": "ada", "leaseSeconds": "60"}, "mcp.arguments"),
        ("claim", {"agentId": "ada", "leaseSeconds": 10**30}, "claim.lease"),
        ("claim", {"agentId": "ada", "leaseSeconds": -1}, "claim.lease"),
        ("claim", {"agentId": "nobody"}, "agent.unknown"),
        ("claim", {"agentId": "ada", "idempotencyKey": ""}, "mcp.arguments"),
        ("claim", {"agentId": "ada", "idempotencyKey": "k" * 129}, "mcp.arguments"),
        ("claim", {"agentId": "ada", "idempotencyKey": "ключ 🔑\r\n"}, None),
        ("get_task", {"taskId": ""}, "mcp.arguments"),
        ("get_task", {"taskId": "x" * 301}, "mcp.arguments"),
        ("get_task", {"taskId": "../agents"}, "request.bad_id"),
        ("get_task", {"taskId": "T-1/notes?a=b#c"}, "request.bad_id"),
        ("get_task", {"taskId": "T-999999"}, "task.unknown"),
        ("get_agent", {"agentId": "{id}"}, "request.bad_id"),
        ("list_tasks", {"limit": 0}, "mcp.arguments"),
        ("list_tasks", {"limit": 501}, "mcp.arguments"),
        ("list_tasks", {"limit": True}, "mcp.arguments"),
        ("list_tasks", {"limit": 500, "cursor": "&limit=9"}, "request.cursor"),
        ("list_tasks", {"state": "dead"}, "mcp.arguments"),
        ("create_task", {"projectId": "p", "taskType": "t"}, "mcp.arguments"),
        ("update_task", {"taskId": "T-1", "fixed": {"role": "owner"}}, "mcp.arguments"),
        ("create_knowledge_note", {"name": "n", "configText": "t", "provider": "x"},
         "mcp.arguments"),
        ("create_knowledge_note", {"name": "n", "configText": "t", "secretText": "x"},
         "mcp.arguments"),
        ("add_note", {"taskId": "T-1", "note": "n", "handoff": {"toRole": "x"}}, "mcp.arguments"),
        ("call_capability", {"capability": "task.claim", "taskId": "T-1"}, "call.builtin"),
        ("request_approval", {"taskIds": [1]}, "mcp.arguments"),
    ],
)  # fmt: skip
def test_arguments(
    company: httpx2.Client, tool: str, arguments: dict[str, Any], code: str | None
) -> None:
    result = post(company, message("tools/call", name=tool, arguments=arguments)).json()["result"]
    assert result["structuredContent"].get("code") == code, result
    assert result["isError"] is (code is not None)


def test_an_unknown_tool_is_a_protocol_error_that_names_the_nearest(
    company: httpx2.Client,
) -> None:
    asked = message("tools/call", name="claimtask", arguments={})
    error = post(company, asked).json()["error"]
    assert (error["code"], error["data"]["code"]) == (PARAMS, "mcp.tool_unknown")
    assert "claim_task" in error["message"]


def test_many_at_once_are_each_answered(company: httpx2.Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: post(company, CALL | {"id": n}), range(60)))
    assert [reply.json()["id"] for reply in replies] == list(range(60))
