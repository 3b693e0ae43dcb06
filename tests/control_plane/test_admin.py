"""Companies, tokens, STOP, capabilities and the feed, by the wire."""

from typing import Any

import pytest

from homarus.testing.daemon import Daemon, key

OTHER = {"X-Homarus-Company": "other"}


async def post(daemon: Daemon, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    reply = await daemon.owner.post(f"/api/v1{path}", json=body, headers=headers)
    return reply.status_code, reply.json()


async def test_founding_and_changing_a_company(daemon: Daemon) -> None:
    status, made = await post(daemon, "/companies", {"name": "Öl & Söhne", "template": "solo"})
    assert (status, made["company"]["slug"], made["company"]["template"]) == (
        201,
        "l-s-hne",
        "solo",
    )
    for ref in ("l-s-hne", made["company"]["id"]):
        reply = await daemon.owner.get(f"/api/v1/companies/{ref}")
        assert reply.json()["company"] == made["company"]
    path = f"/api/v1/companies/{made['company']['id']}"
    reply = await daemon.owner.patch(path, json={"contextNotes": "be kind"})
    assert reply.json()["company"]["contextNotes"] == "be kind"
    reply = await daemon.owner.patch(path, json={"name": "Oil", "contextNotes": None})
    assert (reply.json()["company"]["name"], reply.json()["company"]["contextNotes"]) == (
        "Oil",
        None,
    )
    listed = (await daemon.owner.get("/api/v1/companies")).json()["companies"]
    assert [row["name"] for row in listed] == ["Default", "Oil"]
    own = (await daemon.company.get("/api/v1/companies")).json()["companies"]
    assert [row["slug"] for row in own] == ["default"]


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"name": "A", "slug": "A b"}, 400, "company.slug"),
        ({"name": "A", "slug": ""}, 400, "company.slug"),
        ({"name": "A", "slug": "-a"}, 400, "company.slug"),
        ({"name": "A", "slug": "a" * 49}, 400, "company.slug"),
        ({"name": " ", "slug": "a"}, 400, "company.name"),
        ({"name": "A" * 201, "slug": "a"}, 400, "company.name"),
        ({"name": "A", "template": "huge"}, 400, "company.template"),
        ({"name": "A", "slug": "default"}, 409, "company.exists"),
        ({"name": "日本"}, 400, "company.slug"),
    ],
)
async def test_companies_that_cannot_be(
    daemon: Daemon, body: dict[str, Any], status: int, code: str
) -> None:
    got, answer = await post(daemon, "/companies", body)
    assert (got, answer["code"]) == (status, code)


async def test_founding_leaves_a_receipt_and_an_event_of_the_instance(daemon: Daemon) -> None:
    _, made = await post(daemon, "/companies", {"name": "Other"})
    instance = {"X-Homarus-Company": "@instance"}
    events = (await daemon.owner.get("/api/v1/events", headers=instance)).json()["events"]
    assert events[-1]["kind"] == "company_created"
    assert events[-1]["subject"] == made["company"]["id"]
    assert events[-1]["actor"].startswith("operator:")


async def test_a_token_is_shown_once_and_never_stored_with_a_key(daemon: Daemon) -> None:
    headers = {"Idempotency-Key": "k"}
    _, first = await post(daemon, "/tokens", {"name": "bridge"}, **headers)
    _, second = await post(daemon, "/tokens", {"name": "bridge"}, **headers)
    assert first["secret"].startswith("ec_")
    assert len(first["secret"]) == 51
    assert first["secret"] != second["secret"]
    listed = await daemon.owner.get("/api/v1/tokens")
    assert first["secret"] not in listed.text
    assert {"id", "name", "scope", "createdAt", "expiresAt"} <= listed.json()["tokens"][0].keys()
    reply = await daemon.client(first["secret"]).get("/api/mcp/agents")
    assert reply.status_code == 200


@pytest.mark.parametrize(
    "body, code",
    [
        ({"name": ""}, "token.name"),
        ({"name": "a", "kind": "king"}, "token.kind"),
        ({"name": "a", "scope": "all"}, "token.scope"),
        ({"name": "a", "role": "owner"}, "token.role"),
        ({"name": "a", "kind": "operator"}, "token.role"),
        ({"name": "a", "kind": "operator", "role": "king"}, "token.role"),
        ({"name": "a", "kind": "agent"}, "token.agent"),
        ({"name": "a", "lifetimeDays": 0}, "token.lifetime"),
        ({"name": "a", "lifetimeDays": 10_000_000}, "token.lifetime"),
    ],
)
async def test_tokens_that_cannot_be(daemon: Daemon, body: dict[str, Any], code: str) -> None:
    status, answer = await post(daemon, "/tokens", body)
    assert (status, answer["code"]) == (400, code)


async def test_roles_of_operators(daemon: Daemon) -> None:
    _, viewer = await daemon.token(kind="operator", role="viewer")
    _, operator = await daemon.token(kind="operator", role="operator")
    for secret, method, path, body, status in (
        (viewer, "GET", "/tokens", None, 200),
        (viewer, "POST", "/stops", {"scope": "company"}, 403),
        (viewer, "POST", "/tokens", {"name": "x"}, 403),
        (operator, "POST", "/tokens", {"name": "x"}, 403),
        (operator, "POST", "/companies", {"name": "x"}, 403),
        (operator, "POST", "/stops", {"scope": "company"}, 201),
    ):
        reply = await daemon.client(secret).request(method, f"/api/v1{path}", json=body)
        assert reply.status_code == status, (method, path)


async def test_a_grant_lets_a_token_act_for_an_agent(daemon: Daemon) -> None:
    token_id, secret = await daemon.token()
    agent = await daemon.agent("a1")
    claim = {"agentId": "a1"}
    client = daemon.client(secret)
    assert (await client.post("/api/mcp/tasks/claim", json=claim, headers=key())).status_code == 403
    status, _ = await post(daemon, f"/tokens/{token_id}/grants", {"agentId": "a1"})
    assert status == 201
    reply = await client.post("/api/mcp/tasks/claim", json=claim, headers=key())
    assert (reply.status_code, reply.json()["task"]) == (200, None)
    status, again = await post(daemon, f"/tokens/{token_id}/grants", {"agentId": agent})
    assert (status, again["agentId"]) == (201, agent)
    for path, body, code in (
        (f"/tokens/{agent}/grants", {"agentId": agent}, "token.unknown"),
        (f"/tokens/{token_id}/grants", {"agentId": "nobody"}, "agent.unknown"),
    ):
        assert (await post(daemon, path, body))[1]["code"] == code


async def test_stop_binds_agents_and_lifting_frees_them(daemon: Daemon) -> None:
    agent = await daemon.agent("a1")
    status, made = await post(daemon, "/stops", {"scope": "company", "reason": "look first"})
    assert status == 201
    claim = {"agentId": agent}
    refused = await daemon.company.post("/api/mcp/tasks/claim", json=claim, headers=key())
    assert (refused.status_code, refused.json()["rule"]) == (403, "stop")
    assert "look first" in refused.json()["error"]
    assert (await post(daemon, "/stops", {"scope": "company"}))[0] == 409
    stops = (await daemon.company.get("/api/v1/stops")).json()["stops"]
    assert [row["id"] for row in stops] == [made["stop"]["id"]]
    reply = await daemon.owner.delete(f"/api/v1/stops/{made['stop']['id']}")
    assert reply.status_code == 200
    allowed = await daemon.company.post("/api/mcp/tasks/claim", json=claim, headers=key())
    assert allowed.status_code == 200
    reply = await daemon.owner.delete(f"/api/v1/stops/{made['stop']['id']}")
    assert (reply.status_code, reply.json()["code"]) == (404, "stop.unknown")


CAPABILITY = {
    "id": "files.count",
    "title": "Count files",
    "argv": ["wc", "-l", "{file}"],
    "slots": {"file": "path"},
    "limits": {"wall_s": 10},
}


async def test_capabilities_have_versions_and_can_be_disabled(daemon: Daemon) -> None:
    status, made = await post(daemon, "/capabilities", CAPABILITY)
    assert (status, made["capability"]["version"], made["capability"]["enabled"]) == (201, 1, True)
    assert made["capability"]["effect"] == "exec"
    _, again = await post(daemon, "/capabilities", CAPABILITY | {"trusted": True})
    assert (again["capability"]["version"], again["capability"]["trusted"]) == (2, True)
    reply = await daemon.owner.post("/api/v1/capabilities/files.count/disable")
    assert reply.json()["capability"]["enabled"] is False
    reply = await daemon.owner.delete("/api/v1/capabilities/files.count")
    assert (reply.status_code, reply.json()["code"]) == (409, "capability.disabled")
    listed = (await daemon.company.get("/api/v1/capabilities")).json()["capabilities"]
    assert [(row["id"], row["argv"]) for row in listed] == [("files.count", CAPABILITY["argv"])]
    assert (await daemon.company.get("/api/v1/capabilities/files.count")).status_code == 200
    reply = await daemon.company.get("/api/v1/capabilities/files.nothing")
    assert (reply.status_code, reply.json()["code"]) == (404, "capability.unknown")


@pytest.mark.parametrize(
    "change, code",
    [
        ({"id": "nodots"}, "capability.id"),
        ({"id": "task.claim"}, "capability.id"),
        ({"id": "a." + "b" * 200}, "capability.id"),
        ({"title": ""}, "capability.title"),
        ({"argv": []}, "argv.bad_template"),
        ({"argv": ["{file}"]}, "argv.bad_template"),
        ({"slots": {}}, "argv.bad_template"),
        ({"slots": {"file": "anything"}}, "argv.bad_template"),
        ({"grants": ["everybody"]}, "capability.grants"),
        ({"limits": {"wall_s": 0}}, "limits.out_of_range"),
        ({"limits": {"moon": 1}}, "limits.unknown"),
    ],
)
async def test_capabilities_that_cannot_be(
    daemon: Daemon, change: dict[str, Any], code: str
) -> None:
    status, answer = await post(daemon, "/capabilities", CAPABILITY | change)
    assert (status, answer["code"]) == (400, code)


async def test_the_feed_is_gap_free_and_paged(daemon: Daemon) -> None:
    for n in range(5):
        await daemon.agent(f"a{n}")
    seen: list[int] = []
    while True:
        after = seen[-1] if seen else 0
        page = (await daemon.company.get(f"/api/v1/events?after={after}&limit=2")).json()
        if not page["events"]:
            break
        seen += [event["seq"] for event in page["events"]]
    assert seen == list(range(1, page["head"] + 1))
    reply = await daemon.company.get("/api/v1/events?after=-1")
    assert (reply.status_code, reply.json()["code"]) == (400, "request.cursor")
