"""Execution logs and the JSON-RPC root (control-plane contract, 7)."""

import pytest

from homarus.control_plane import actions, rpc
from tests.support.engines import BOTH
from tests.support.surface import surface

UNKNOWN = "00000000-0000-7000-8000-000000000000"
ROUTES = (*actions.ROUTES, *rpc.ROUTES)


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        made.bridge = await made.token(acts_for=[made.ada])
        yield made


async def post(s, path, body, **more):
    return await s.call(ROUTES, "POST", path, body, **({"token": s.bridge} | more))


@BOTH
async def test_a_run_and_its_steps(s):
    project = await s.project()
    body = {"agentId": "ada", "projectId": project, "metadataJson": {"k": 1}}
    run = (await post(s, "/actions", body)).body["actionRun"]
    assert (run["agentId"], run["projectId"], run["kind"], run["status"]) == (
        s.ada,
        project,
        "task_execution",
        "running",
    )
    path = f"/actions/{run['id']}/steps"
    first = await post(s, path, {"toolName": "grep", "inputSummaryJson": {"q": "x"}})
    second = await post(s, path, {"errorText": "no match", "endedAt": "2026-01-02T03:04:05Z"})
    assert [a.status for a in (first, second)] == [201, 201]
    assert [a.body["step"]["number"] for a in (first, second)] == [1, 2]
    assert first.body["step"]["inputSummaryJson"] == {"q": "x"}
    assert second.body["step"]["endedAt"] == "2026-01-02T03:04:05.000Z"


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"agentId": "nobody"}, 403, "agent.unknown"),
        ({"projectId": UNKNOWN}, 404, "project.unknown"),
        ({"taskId": UNKNOWN}, 404, "task.unknown"),
        ({"agentId": "ada", "sessionId": UNKNOWN}, 404, "session.unknown"),
        ({"sessionId": UNKNOWN}, 400, "action.agent_missing"),
        ({"kind": "x" * 201}, 400, "action.word"),
        ({"summary": "x" * 10_001}, 400, "action.text"),
        ({"startedAt": "now"}, 400, "request.time"),
        ({"metadataJson": 1}, 400, "request.schema"),
    ],
)
async def test_runs_that_cannot_be(s, body, status, code):
    answer = await post(s, "/actions", body)
    assert (answer.status, answer.body["code"]) == (status, code)


async def test_a_foreign_or_unknown_run_takes_no_step(s):
    run = (await post(s, "/actions", {})).body["actionRun"]["id"]
    spy = await s.token(company=await s.other_company())
    for ref, token, status in [(run, spy, 404), (UNKNOWN, s.bridge, 404), ("x", s.bridge, 400)]:
        assert (await post(s, f"/actions/{ref}/steps", {}, token=token)).status == status


@BOTH
@pytest.mark.parametrize("ref", [1, "one", None])
async def test_status_summary(s, ref):
    await s.project()
    answer = await post(s, "", {"jsonrpc": "2.0", "id": ref, "method": "status.summary"})
    assert (answer.status, answer.body) == (
        200,
        {
            "jsonrpc": "2.0",
            "id": ref,
            "result": {
                "agents": 1,
                "projects": 1,
                "tasks": 0,
                "status": "online",
                "contextNotes": None,
            },
        },
    )


@pytest.mark.parametrize("method", ["agents.remove", "tools/list", ""])
async def test_an_unknown_method_is_an_rpc_error_with_http_200(s, method):
    answer = await post(s, "", {"jsonrpc": "2.0", "id": 9, "method": method})
    assert (answer.status, answer.body["id"], answer.body["error"]["code"]) == (200, 9, -32601)


@pytest.mark.parametrize(
    "body",
    [[], "x", 5, {}, {"method": "status.summary"}, {"jsonrpc": "1.0", "method": "x"},
     {"jsonrpc": "2.0"}, {"jsonrpc": "2.0", "method": 5}, [{"jsonrpc": "2.0", "method": "x"}]],
)  # fmt: skip
async def test_what_is_no_json_rpc_is_400(s, body):
    answer = await post(s, "", body)
    assert (answer.status, answer.body["code"]) == (400, "rpc.request")
