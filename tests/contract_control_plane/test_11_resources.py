"""Contract, section 11: scoped resources, their leases, notes and context packs."""

from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.contract_control_plane.wire import FRAME_WAIT_S, MAX_FRAMES, Wire

SECRET = "wire-secret-5d20"
NOTE = {"name": "note", "resourceType": "knowledge_base", "provider": "local"}
BOX = NOTE | {"resourceType": "mailbox", "secretText": SECRET}
UNKNOWN = "00000000-0000-7000-8000-000000000000"
FIELDS = {
    "id", "companyId", "scopeType", "scopeId", "provider", "resourceType", "name", "displayName",
    "path", "configText", "status", "isShared", "ownership", "lastUsedAt", "lastFailureAt",
    "lastFailureReason", "createdAt", "updatedAt", "deletedAt",
}  # fmt: skip


@pytest.fixture(scope="module")
def danger(wire: Wire, person: Wire) -> Iterator[Wire]:
    """A token of scope mcp_danger in the company of `wire`."""
    made = minted(person, wire)
    yield made
    made.close()


def minted(person: Wire, wire: Wire) -> Wire:
    body = {"kind": "runtime", "name": "danger", "scope": "mcp_danger"}
    answer = person.post("/api/v1/tokens", body)
    assert answer.status == 201, answer.body
    return Wire(wire.url, answer["secret"], wire.id, {"X-Token-Id": answer["token"]["id"]})


def create(wire: Wire, at: str = "/resources", **body: Any) -> dict[str, Any]:
    made = wire.post(at, NOTE | body)
    assert made.status == 201, made.body
    return dict(made["resource"])


# -- the table, row by row -----------------------------------------------------------------


def test_must_the_plugin_reads_id_name_and_scope_type(wire: Wire) -> None:
    made = create(wire, name="plugin")
    listed = wire.get("/resources?search=plugin")
    assert listed.status == 200
    (row,) = (r for r in listed["resources"] if r["id"] == made["id"])
    assert (row["name"], row["scopeType"]) == ("plugin", "company")
    assert row.keys() >= FIELDS


def test_must_the_plugin_writes_without_a_key(wire: Wire) -> None:
    made = wire.post("/resources", NOTE | {"configText": "one"}, key=None)
    assert made.status == 201
    path = f"/resources/{made['resource']['id']}"
    changed = wire.patch(path, {"configText": "two"}, key=None)
    assert (changed.status, changed["resource"]["configText"]) == (200, "two")
    assert wire.get(path)["resource"]["configText"] == "two"
    assert wire.delete(path, key=None).status == 200
    assert wire.get(path).status == 404


@pytest.mark.parametrize(
    "query, names",
    [
        ("customerId={customer}", "c"),
        ("projectId={project}", "p"),
        ("agentId={agent}", "a"),
        ("scopeType=project&scopeId={project}", "p"),
        ("resourceType=template", "t"),
        ("provider=drive", "t"),
        ("name=t", "t"),
        ("displayName=Shown", "t"),
        ("search=needle", "t"),
        ("q=needle", "t"),
        ("status=paused", "t"),
        ("isShared=true", "t"),
        ("path=docs/q3", "t"),
        ("pathPrefix=docs", "tp"),
    ],
)
def test_filters_of_the_list(query: str, names: str, fixtures: dict[str, Any]) -> None:
    place: Wire = fixtures["wire"]
    answer = place.get("/resources?" + query.format(**fixtures))
    assert answer.status == 200
    assert {row["name"] for row in answer["resources"]} == set(names)


@pytest.fixture(scope="module")
def fixtures(found: Any) -> Iterator[dict[str, Any]]:
    """A company of its own with one resource in each scope."""
    wire = found()
    agent, project, customer = wire.agent(), wire.project(), wire.customer()
    create(wire, name="c", customerId=customer["id"])
    create(wire, name="p", projectId=project["id"], path="docs")
    create(wire, name="a", agentId=agent["name"])
    create(
        wire, name="t", resourceType="template", provider="drive", displayName="Shown",
        configText="hay needle hay", status="paused", isShared=True, path="docs/q3",
    )  # fmt: skip
    yield {
        "wire": wire, "agent": agent["id"], "project": project["id"], "customer": customer["id"],
    }  # fmt: skip
    wire.close()


def test_the_list_has_its_folders_as_a_tree(fixtures: dict[str, Any]) -> None:
    tree = fixtures["wire"].get("/resources")["folders"]
    assert [(f["path"], f["parentPath"], f["resourceCount"]) for f in tree] == [
        ("docs", None, 1),
        ("docs/q3", "docs", 1),
    ]


@pytest.mark.parametrize(
    "body, status",
    [
        ({}, 201),
        ({"configJson": {"host": "mx"}}, 201),
        ({"secretJson": {"login": "ada"}}, 201),
        ({"ownership": "local-runtime", "status": "active", "isShared": False}, 201),
        ({"name": None}, 400),
        ({"resourceType": ""}, 400),
        ({"scopeType": "agent"}, 400),
        ({"projectId": UNKNOWN}, 404),
    ],
)
def test_bodies_of_a_create(wire: Wire, body: dict[str, Any], status: int) -> None:
    answer = wire.post("/resources", NOTE | body)
    assert answer.status == status, answer.body
    if status != 201:
        assert answer["error"]


@pytest.mark.parametrize(
    "kind, keyless", [("projects", 201), ("customers", 400)], ids=["projects", "customers"]
)
def test_the_same_under_projects_and_customers(wire: Wire, kind: str, keyless: int) -> None:
    """The customers' POST needs a key (3.2), the projects' does not."""
    place = (wire.project() if kind == "projects" else wire.customer())["id"]
    base = f"/{kind}/{place}/resources"
    row = create(wire, base, name="here", scopeType="company")
    assert (row["scopeType"], row["scopeId"]) == (kind[:-1], place)
    assert wire.post(base, NOTE, key=None).status == keyless
    assert row["id"] in {r["id"] for r in wire.get(base)["resources"]}
    one = f"{base}/{row['id']}"
    assert wire.patch(one, {"displayName": "Box"}, key=None)["resource"]["displayName"] == "Box"
    assert wire.delete(one, key=None)["resource"]["deletedAt"]
    assert wire.get(one).status == 404


def test_the_context_pack(wire: Wire) -> None:
    project = wire.project()["id"]
    create(wire, name="doctrine", configText="d" * 100, isShared=True)
    create(wire, name="tagged", configText="#pricing " + "t" * 100, projectId=project)
    answer = wire.get(f"/resources/context?projectId={project}&tag=pricing&maxCharsPerResource=50")
    assert answer.status == 200
    assert answer.body.keys() >= {
        "resources", "sources", "totalResources", "usedChars", "maxChars", "tagFilters",
    }  # fmt: skip
    names = [row["name"] for row in answer["sources"]]
    assert names.index("doctrine") < names.index("tagged")
    assert all(len(row["configText"]) <= 50 for row in answer["resources"])
    assert (answer["maxChars"], answer["tagFilters"]) == (12_000, ["pricing"])


def test_a_proposal_creates_a_note(wire: Wire) -> None:
    made = wire.post("/resources/proposals", {"title": "Rule", "proposedText": "Ask first."})
    assert (made.status, made["deprecated"]) == (201, True)
    assert wire.get(f"/resources/{made['resource']['id']}")["resource"]["configText"] == (
        "Ask first."
    )


def test_notes_keep_versions_tags_and_links(wire: Wire) -> None:
    target = create(wire, name="Price list")
    note = create(wire, name="offer", configText="#sales see [[price list]]")
    path = f"/resources/{note['id']}"
    shown = wire.get(path)["resource"]
    assert (shown["tags"], shown["links"]) == (
        ["sales"], [{"title": "price list", "resourceId": target["id"]}],
    )  # fmt: skip
    back = wire.get(f"/resources/{target['id']}/backlinks")["backlinks"]
    assert [row["id"] for row in back] == [note["id"]]
    wire.patch(path, {"configText": "nothing"})
    versions = wire.get(f"{path}/versions")["versions"]
    assert [row["version"] for row in versions] == [2, 1]
    restored = wire.post(f"{path}/versions/1/restore")
    assert restored["resource"]["configText"] == "#sales see [[price list]]"


def test_is_shared_goes_into_every_context_inside_its_scope(wire: Wire) -> None:
    project = wire.project()["id"]
    doctrine = create(wire, configText="always", isShared=True)["id"]
    inside = create(wire, configText="here", isShared=True, projectId=project)["id"]
    outside = create(wire, isShared=True, projectId=wire.project()["id"])["id"]
    context = wire.get(f"/tasks/{wire.task(project)['id']}/context")["resources"]
    assert set(context) == {"project", "customer", "shared", "company", "agent"}
    shared = [row["id"] for row in context["shared"]]
    assert doctrine in shared and inside in shared and outside not in shared
    assert all(len(rows) <= 20 for rows in context.values())


# -- leases --------------------------------------------------------------------------------


def granted(danger: Wire, role: str = "operator") -> dict[str, Any]:
    """An agent that this token made, and may act for."""
    return danger.agent(role=role)


def claimed(danger: Wire, agent: dict[str, Any], project: str) -> dict[str, Any]:
    task = danger.task(project)
    answer = danger.post(f"/tasks/{task['id']}/claim", {"agentId": agent["id"]})
    assert answer.status == 200 and answer["task"], answer.body
    return dict(answer["task"])


def test_a_lease_needs_scope_mcp_danger(wire: Wire, danger: Wire) -> None:
    box = create(wire, **BOX)["id"]
    refused = wire.post(f"/resources/{box}/lease", {}, key=None)
    assert refused.status == 403 and SECRET not in refused.raw.decode()
    lent = danger.post(f"/resources/{box}/lease", {"reason": "send mail"}, key=None)
    assert (lent.status, lent["secretText"]) == (200, SECRET)
    assert lent["resource"]["id"] == box and lent.body.keys() >= {"configText", "lease"}
    assert lent["lease"]["id"] and lent["lease"]["expiresAt"]
    assert lent.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("scope", ["company", "agent", "project", "customer"])
def test_lease_rule_of_each_scope(wire: Wire, person: Wire, danger: Wire, scope: str) -> None:
    ours, other = granted(danger), granted(danger)
    customer = wire.customer()["id"]
    project = wire.project(customerId=customer)["id"]
    task = claimed(danger, ours, project)
    foreign = claimed(danger, other, wire.project()["id"])
    where = {"company": None, "agent": ours["id"], "project": project, "customer": customer}
    box = create(person, **BOX, scopeType=scope, scopeId=where[scope])["id"]

    def lease(agent: dict[str, Any], **body: Any) -> int:
        answer = danger.post(f"/resources/{box}/lease", {"agentId": agent["id"]} | body)
        assert answer.status == 200 or SECRET not in answer.raw.decode()
        return answer.status

    by_task = scope in ("project", "customer")
    assert lease(ours, taskId=task["id"]) == 200
    assert lease(ours) == (403 if by_task else 200)
    assert lease(other, taskId=foreign["id"]) == (200 if scope == "company" else 403)
    assert lease(other) == (200 if scope == "company" else 403)
    log = person.get(f"/resources/{box}/access-log")
    outcomes = {row["outcome"] for row in log["accessLog"]}
    assert outcomes == ({"success"} if scope == "company" else {"success", "forbidden"})


def test_the_session_must_belong_to_the_agent(danger: Wire) -> None:
    ours, other = granted(danger), granted(danger)
    box = create(danger, **BOX)["id"]
    start = danger.post(f"/agents/{ours['id']}/sessions/start", {"openclawSessionId": "main"})
    session = {"sessionId": start["session"]["id"]}
    path = f"/resources/{box}/lease"
    assert danger.post(path, {"agentId": ours["id"]} | session).status == 200
    assert danger.post(path, {"agentId": other["id"]} | session).status == 403


def test_an_inactive_resource_is_not_lent(danger: Wire) -> None:
    box = create(danger, **BOX, status="disabled")["id"]
    assert danger.post(f"/resources/{box}/lease", {}).status == 409


def test_quirk_a_lease_has_an_id_an_end_and_a_release(danger: Wire, person: Wire) -> None:
    """The original's is a one-time read of which nothing is left but a log line."""
    box = create(danger, **BOX)["id"]
    lease = danger.post(f"/resources/{box}/lease", {"seconds": 60})["lease"]
    renewed = danger.post(f"/leases/{lease['id']}/renew", {"seconds": 600})["lease"]
    assert renewed["expiresAt"] > lease["expiresAt"]
    mine = danger.get(f"/leases?state=open&resourceId={box}")["leases"]
    assert [row["id"] for row in mine] == [lease["id"]]
    assert danger.post(f"/leases/{lease['id']}/release")["lease"]["endReason"] == "released"
    assert person.get(f"/leases?state=open&resourceId={box}")["leases"] == []


def test_quirk_an_exclusive_resource_is_lent_to_one(danger: Wire) -> None:
    ours, other = granted(danger), granted(danger)
    box = create(danger, **BOX, exclusive=True)["id"]
    path = f"/resources/{box}/lease"
    assert danger.post(path, {"agentId": ours["id"]}).status == 200
    assert danger.post(path, {"agentId": other["id"]}).status == 409


def test_quirk_a_lease_wants_the_task_in_the_callers_hands(danger: Wire) -> None:
    """The original asks only that the task is of the project; ours, that the caller works on it,
    and the lease ends with that work."""
    ours, project = granted(danger), danger.project()["id"]
    box = create(danger, **BOX, projectId=project)["id"]
    queued = danger.task(project)["id"]
    path = f"/resources/{box}/lease"
    assert danger.post(path, {"agentId": ours["id"], "taskId": queued}).status == 403
    danger.post(f"/tasks/{queued}/claim", {"agentId": ours["id"]})
    lent = danger.post(path, {"agentId": ours["id"], "taskId": queued})
    assert lent.status == 200
    done = danger.post(f"/tasks/{queued}/result", {"state": "failed", "agentId": ours["id"]})
    assert done.status == 200, done.body
    assert danger.get(f"/leases?state=open&resourceId={box}")["leases"] == []
    renewed = danger.post(f"/leases/{lent['lease']['id']}/renew", {})
    assert renewed.status == 409


# -- weak spots ----------------------------------------------------------------------------


def test_weak_spot_19_no_list_context_or_reply_has_a_secret(wire: Wire, person: Wire) -> None:
    customer = wire.customer()["id"]
    project = wire.project(customerId=customer)["id"]
    task = wire.task(project)["id"]
    replies = []
    for base in (
        "/resources",
        f"/projects/{project}/resources",
        f"/customers/{customer}/resources",
    ):
        made = wire.post(base, BOX | {"isShared": True})
        one = f"{base}/{made['resource']['id']}"
        replies += [
            made, wire.get(base), wire.get(one), wire.patch(one, {"secretText": SECRET + "2"}),
        ]  # fmt: skip
    replies += [
        wire.get(f"/tasks/{task}/context"), wire.get(f"/resources/context?projectId={project}"),
        wire.get("/leases"), person.get("/api/v1/events"), person.get("/api/v1/receipts"),
    ]  # fmt: skip
    assert all(reply.status in (200, 201) for reply in replies)
    assert all(SECRET not in reply.raw.decode() for reply in replies)
    assert all("secretText" not in reply.raw.decode() for reply in replies)


@pytest.mark.parametrize("field", ["configText", "name", "displayName"])
def test_weak_spot_19_a_secret_in_the_wrong_field_is_refused(wire: Wire, field: str) -> None:
    body = NOTE | {field: "password: hunter2hunter2"}
    answer = wire.post("/resources", body)
    assert answer.status == 400 and "secretText" in answer["remedy"]
    assert "hunter2" not in answer.raw.decode()
    assert wire.post("/resources", body | {"allowSecretLike": True}).status == 201


def test_weak_spot_15_an_agents_resources_are_its_own(wire: Wire, person: Wire) -> None:
    theirs = person.agent()["id"]
    refused = wire.post("/resources", NOTE | {"agentId": theirs})
    assert refused.status == 403 and refused["error"]


def test_weak_spot_20_foreign_ids_are_unknown(wire: Wire, found: Any) -> None:
    with_other = found()
    box = create(with_other, **BOX)["id"]
    project, customer = with_other.project()["id"], with_other.customer()["id"]
    assert wire.get(f"/resources/{box}").status == 404
    assert wire.patch(f"/resources/{box}", {"name": "x"}).status == 404
    for body in ({"projectId": project}, {"customerId": customer}):
        assert wire.post("/resources", NOTE | body).status == 404
    assert wire.get(f"/projects/{project}/resources").status == 404
    assert wire.get(f"/customers/{customer}/resources").status == 404
    with_other.close()


def test_weak_spot_24_revoking_a_token_closes_its_sockets(wire: Wire, person: Wire) -> None:
    made = minted(person, wire)
    with made.socket() as socket:
        assert "connected" in socket.recv(timeout=FRAME_WAIT_S)
        assert person.delete(f"/api/v1/tokens/{made.headers['X-Token-Id']}").status == 200
        with pytest.raises(ConnectionClosed) as raised:
            for _ in range(MAX_FRAMES):
                socket.recv(timeout=FRAME_WAIT_S)
        assert raised.value.rcvd is not None and raised.value.rcvd.code == 4401
    assert made.get("/resources").status == 401
    made.close()


def test_weak_spot_27_lists_are_bounded_and_go_on(wire: Wire) -> None:
    project = wire.project()["id"]
    base = f"/projects/{project}/resources"
    made = [create(wire, base, name=f"n{n}")["id"] for n in range(3)]
    first = wire.get(f"{base}?limit=2")
    assert [row["id"] for row in first["resources"]] == made[:0:-1]
    rest = wire.get(f"{base}?limit=2&cursor={first['nextCursor']}")
    assert ([row["id"] for row in rest["resources"]], rest["nextCursor"]) == (made[:1], None)


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/resources/nonsense"),
        ("POST", "/resources/nonsense/lease"),
        ("GET", "/projects/nonsense/resources"),
        ("GET", "/resources/context?agentId=nonsense"),
        ("GET", f"/resources/{UNKNOWN}/versions"),
        ("GET", "/resources?cursor=x"),
        ("POST", "/leases/nonsense/release"),
        ("POST", "/resources/proposals"),
    ],
)
def test_quirk_nonsense_is_never_a_500(danger: Wire, method: str, path: str) -> None:
    answer = danger.call(method, path, {} if method == "POST" else None)
    assert answer.status in (400, 404) and answer["error"]
