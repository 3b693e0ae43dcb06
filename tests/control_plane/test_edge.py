"""What the edge answers before any route runs, and to what is wrong."""

from pathlib import Path

import pytest

from homarus.control_plane.match import Matcher
from homarus.control_plane.route import read_route
from homarus.testing.daemon import Daemon, key, running

UUID = "01a1f978-acee-72aa-8763-e53ee771c702"


async def test_health_needs_no_token(daemon: Daemon) -> None:
    for path in ("/health", "/healthz"):
        reply = await daemon.anybody.get(path)
        assert (reply.status_code, reply.json()) == (200, {"ok": True, "status": "live"})
    for path in ("/ready", "/readyz"):
        reply = await daemon.anybody.get(path)
        assert reply.status_code == 200
        assert reply.json()["ready"] is True
        assert reply.json()["failing"] == []
    reply = await daemon.anybody.get("/api/health")
    assert reply.json()["checks"] == {"database": "ok"}
    assert (await daemon.anybody.get("/api/version")).json()["version"]


async def test_runtime_health_is_compact_and_names_what_clients_grep(daemon: Daemon) -> None:
    reply = await daemon.company.get("/api/mcp/runtime/health")
    assert reply.status_code == 200
    for name in ("emperorVersion", "recommendedSkillVersion", "minimumBridgeVersion", "docsUrl"):
        assert f'"{name}":"' in reply.text
    body = reply.json()
    assert body["ok"] is True
    assert body["companyId"] == daemon.company_id
    assert body["apiBaseUrl"] == daemon.url
    assert body["wsUrl"] == daemon.socket_url
    assert all(isinstance(flag, bool) for flag in body["capabilities"].values())


@pytest.mark.parametrize("mount", ["/api/mcp", "/api/v1"])
@pytest.mark.parametrize("path", ["/agents", "/agents/", "/runtime/health/"])
async def test_both_mounts_and_the_trailing_slash(daemon: Daemon, mount: str, path: str) -> None:
    reply = await daemon.company.get(mount + path)
    assert reply.status_code == 200
    assert not reply.history


@pytest.mark.parametrize(
    "method, path, status, code",
    [
        ("GET", "/api/mcp/nothing", 404, "route.unknown"),
        ("GET", "/api/mcp/agents//", 404, "route.unknown"),
        ("GET", "/api/mcp/agents/x/y/z/0", 404, "route.unknown"),
        ("GET", "/api/mcpagents", 404, "route.unknown"),
        ("GET", "/nowhere", 404, "route.unknown"),
        ("GET", "/api/mcp/" + "a" * 4000, 404, "route.unknown"),
        ("GET", "/api/mcp/tasks/claim", 405, "route.method"),
        ("PUT", "/api/mcp/agents", 405, "route.method"),
        ("DELETE", "/api/mcp/agents", 405, "route.method"),
        ("GET", "/api/mcp/agents/not-an-id", 400, "request.bad_id"),
        ("GET", "/api/mcp/agents/%00", 400, "request.nul"),
        ("GET", f"/api/mcp/agents/{UUID}", 404, "agent.unknown"),
        ("GET", f"/api/mcp/tasks/{UUID}", 404, "task.unknown"),
        ("GET", "/api/mcp/agents?cursor=%00", 400, "request.nul"),
        ("GET", "/api/mcp/agents?cursor=x", 400, "request.cursor"),
        ("GET", "/api/mcp/agents?" + "&".join(f"a{i}=" for i in range(200)), 400, "request.query"),
    ],
)
async def test_wrong_paths(daemon: Daemon, method: str, path: str, status: int, code: str) -> None:
    reply = await daemon.owner.request(method, path)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert isinstance(reply.json()["error"], str)
    assert reply.json()["remedy"]
    if status == 405:
        assert reply.headers["allow"]


DEEP = b'{"name": ' + b"[" * 100 + b"]" * 100 + b"}"

BODIES = [
    (b'{"name":', 400, "request.json"),
    (b"not json", 400, "request.json"),
    (b"\xff\xfe", 400, "request.json"),
    (b'{"name": "\xff"}', 400, "request.json"),
    (b'{"name": "a"} trailing', 400, "request.json"),
    (b"[" * 100, 400, "request.json"),
    (b"", 400, "request.body_missing"),
    (b"{}", 400, "request.schema"),
    (b"[]", 400, "request.schema"),
    (b"null", 400, "request.schema"),
    (b'{"name": 7}', 400, "request.schema"),
    (b'{"name": "a", "template": null}', 400, "request.schema"),
    (b'{"name": "a\\u0000b"}', 400, "request.nul"),
    (DEEP, 400, "request.too_deep"),
    (b"[" * 200_000 + b"]" * 200_000, 400, "request.too_deep"),
    (b'{"name": "' + b"a" * 10_000_000 + b'"}', 413, "request.body_too_large"),
]


@pytest.mark.parametrize("body, status, code", BODIES)
async def test_bad_bodies(daemon: Daemon, body: bytes, status: int, code: str) -> None:
    before = (await daemon.owner.get("/api/v1/companies")).json()
    reply = await daemon.owner.post("/api/v1/companies", content=body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert (await daemon.owner.get("/api/v1/companies")).json() == before


async def test_errors_say_where(daemon: Daemon) -> None:
    reply = await daemon.owner.post("/api/v1/companies", content=b'{"name": 7}')
    assert "$.name" in reply.json()["error"]
    reply = await daemon.owner.post("/api/v1/companies", content=b"{}")
    assert reply.json()["missingFields"] == ["name"]
    reply = await daemon.owner.post("/api/v1/companies", content=b'{"name": tru}')
    assert "byte" in reply.json()["error"]


async def test_a_large_body_without_a_length_is_cut_too(daemon: Daemon) -> None:
    async def endless() -> object:
        for _ in range(40):
            yield b" " * 65_536

    reply = await daemon.owner.post("/api/v1/companies", content=endless())  # type: ignore[arg-type]
    assert (reply.status_code, reply.json()["code"]) == (413, "request.body_too_large")
    assert (await daemon.anybody.get("/health")).status_code == 200


@pytest.mark.parametrize(
    "header, code",
    [
        (None, "identity.missing"),
        ("Bearer", "identity.unknown"),
        ("Bearer ec_" + "0" * 48, "identity.unknown"),
        ("Basic ec_" + "0" * 48, "identity.unknown"),
        ("Bearer " + "x" * 10_000, "identity.unknown"),
    ],
)
async def test_unknown_callers(daemon: Daemon, header: str | None, code: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    reply = await daemon.anybody.get("/api/mcp/agents", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (401, code)
    assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_a_revoked_token_fails_at_once(daemon: Daemon) -> None:
    token_id, secret = await daemon.token()
    client = daemon.client(secret)
    assert (await client.get("/api/mcp/agents")).status_code == 200
    assert (await daemon.owner.delete(f"/api/v1/tokens/{token_id}")).status_code == 200
    for method, path in (("GET", "/api/mcp/agents"), ("POST", "/api/mcp/runtime/register")):
        body = {"runtimeId": "r", "name": "r"} if method == "POST" else None
        reply = await client.request(method, path, json=body)
        assert (reply.status_code, reply.json()["code"]) == (401, "identity.revoked")


async def test_wrong_scope_and_wrong_company(daemon: Daemon) -> None:
    reply = await daemon.company.post("/api/v1/companies", json={"name": "Mine"})
    assert (reply.status_code, reply.json()["rule"]) == (403, "identity")
    reply = await daemon.company.get("/api/v1/tokens")
    assert (reply.status_code, reply.json()["code"]) == (403, "permission.capability")
    made = await daemon.owner.post("/api/v1/companies", json={"name": "Other"})
    assert made.status_code == 201
    for company in ("other", made.json()["company"]["id"], "no-such"):
        reply = await daemon.company.get("/api/mcp/agents", headers={"X-Homarus-Company": company})
        assert (reply.status_code, reply.json()["code"]) == (403, "identity.company")
        reply = await daemon.company.post(
            "/api/mcp/agents",
            json={"name": "spy"},
            headers=key() | {"X-Homarus-Company": company},
        )
        assert (reply.status_code, reply.json()["code"]) == (403, "identity.company")


async def test_an_instance_token_chooses_the_company(daemon: Daemon) -> None:
    made = (await daemon.owner.post("/api/v1/companies", json={"name": "Other"})).json()
    await daemon.agent("here")
    for company, names in (
        (None, ["here"]),
        ("default", ["here"]),
        ("other", []),
        (made["company"]["id"], []),
    ):
        headers = {} if company is None else {"X-Homarus-Company": company}
        reply = await daemon.owner.get("/api/mcp/agents", headers=headers)
        assert [agent["name"] for agent in reply.json()["agents"]] == names
    for company in ("nobody", "@instance", ""):
        reply = await daemon.owner.get("/api/mcp/agents", headers={"X-Homarus-Company": company})
        assert (reply.status_code, reply.json()["code"]) == (404, "company.unknown")


async def test_an_agent_that_the_token_may_not_act_for(daemon: Daemon) -> None:
    reply = await daemon.owner.post("/api/mcp/agents", json={"name": "theirs"}, headers=key())
    assert reply.status_code == 201
    for name, status, code in (
        ("theirs", 403, "identity.not_granted"),
        ("nobody", 404, "agent.unknown"),
        (UUID, 404, "agent.unknown"),
    ):
        reply = await daemon.company.post(
            "/api/mcp/tasks/claim", json={"agentId": name}, headers=key()
        )
        assert (reply.status_code, reply.json()["code"]) == (status, code)
        assert reply.json()["receipt"]


async def test_a_fault_of_ours_says_nothing_of_itself(daemon: Daemon) -> None:
    def broken(rx: object, call: object) -> object:
        raise RuntimeError("password=hunter2")

    daemon.app.edge._matcher = Matcher((read_route("/broken", broken, "Break"),))  # type: ignore[arg-type]
    reply = await daemon.owner.get("/api/v1/broken")
    assert reply.status_code == 500
    assert reply.json()["code"] == "internal.request"
    assert "hunter2" not in reply.text


async def test_the_same_tokens_after_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home) as first:
        tokens = first.owner_token, first.company_token, first.company_id
    async with running(home) as second:
        assert (second.owner_token, second.company_token, second.company_id) == tokens
        assert (await second.company.get("/api/mcp/agents")).status_code == 200
