"""Scoped resources: filters, scopes, and a secret that nothing gives back (contract, 11; 18.19)."""

import pytest

from homarus.control_plane.resource_bodies import about
from homarus.control_plane.resources import ROUTES
from tests.support.engines import BOTH
from tests.support.surface import surface

UNKNOWN = "00000000-0000-7000-8000-000000000000"
SECRET = "planted-secret-9f3a"
NOTE = {"name": "note", "resourceType": "knowledge_base", "provider": "local"}


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        made.bridge = await made.token(acts_for=[made.ada])
        yield made


async def create(s, **body):
    return await s.call(ROUTES, "POST", "/resources", NOTE | body, token=s.bridge)


async def names(s, **query):
    answer = await s.call(ROUTES, "GET", "/resources", query=query, token=s.bridge)
    return [row["name"] for row in answer.body["resources"]]


@BOTH
@pytest.mark.parametrize("field", ["secretText", "secretJson"])
async def test_a_secret_is_kept_sealed_and_never_shown(s, field):
    value = SECRET if field == "secretText" else {"password": SECRET}
    made = await create(s, **{field: value})
    ref = made.body["resource"]["id"]
    replies = [
        made,
        await s.call(ROUTES, "GET", f"/resources/{ref}"),
        await s.call(ROUTES, "GET", "/resources"),
        await s.call(ROUTES, "GET", "/resources", query={"search": SECRET}),
        await s.call(ROUTES, "PATCH", f"/resources/{ref}", {"secretText": SECRET + "2"}),
        await s.call(ROUTES, "PATCH", f"/resources/{ref}", {"displayName": "Box"}),
    ]
    assert all(SECRET not in reply.text and "secretText" not in reply.text for reply in replies)
    assert [r.body["resource"]["secretConfigured"] for r in (made, *replies[4:])] == [True] * 3
    row = await s.read(lambda rx: rx.one("select secret_sealed from resource"))
    assert SECRET.encode() not in bytes(row[0])
    assert s.sealer.unseal(bytes(row[0]), about(s.company)) == (SECRET + "2").encode()
    gone = await s.call(ROUTES, "PATCH", f"/resources/{ref}", {"secretText": None})
    assert gone.body["resource"]["secretConfigured"] is False


async def test_no_row_event_receipt_or_stored_reply_holds_the_secret(s):
    made = await s.call(ROUTES, "POST", "/resources", NOTE | {"secretText": SECRET}, key="k")
    await s.call(ROUTES, "DELETE", f"/resources/{made.body['resource']['id']}")
    files = [p for p in (s.home / "local-ssot").iterdir() if p.is_file()]
    assert files and all(SECRET.encode() not in p.read_bytes() for p in files)


@pytest.mark.parametrize(
    "body, scope",
    [
        ({}, ("company", None)),
        ({"scopeType": "company"}, ("company", None)),
        ({"agentId": "ada"}, ("agent", "ADA")),
        ({"scopeType": "agent", "scopeId": "ADA"}, ("agent", "ADA")),
        ({"projectId": "PROJECT"}, ("project", "PROJECT")),
        ({"scopeType": "project", "projectId": "PROJECT"}, ("project", "PROJECT")),
        ({"scopeType": "project"}, "resource.scope"),
        ({"scopeType": "planet", "scopeId": "x"}, "resource.scope"),
        ({"agentId": UNKNOWN}, "agent.unknown"),
        ({"projectId": UNKNOWN}, "project.unknown"),
        ({"customerId": UNKNOWN}, "customer.unknown"),
    ],
)
async def test_scope(s, body, scope):
    ids = {"ADA": s.ada, "PROJECT": await s.project()}
    answer = await create(s, **{k: ids.get(v, v) for k, v in body.items()})
    if isinstance(scope, str):
        assert (answer.status in (400, 404), answer.body["code"]) == (True, scope)
        return
    row = answer.body["resource"]
    assert (answer.status, row["scopeType"], row["scopeId"]) == (
        201,
        scope[0],
        ids.get(scope[1], scope[1]),
    )


@pytest.mark.parametrize(
    "body, code",
    [
        ({"name": ""}, "resource.name"),
        ({"name": 5}, "request.schema"),
        ({"provider": "x" * 301}, "resource.provider"),
        ({"path": "a/../b"}, "resource.path"),
        ({"configText": "x" * 500_001}, "resource.config"),
        ({"secretText": "x" * 65_537}, "resource.secret"),
        ({"ownership": "mine"}, "resource.ownership"),
        ({"isShared": "yes"}, "request.schema"),
    ],
)
async def test_resources_that_cannot_be(s, body, code):
    answer = await create(s, **body)
    assert (answer.status, answer.body["code"]) == (400, code)
    assert await names(s) == []


async def test_what_is_missing_is_named(s):
    answer = await s.call(ROUTES, "POST", "/resources", {"name": "x"})
    assert (answer.status, answer.body["code"]) == (400, "resource.missing")


@BOTH
async def test_filters(s):
    project = await s.project()
    await create(s, name="a", path="/docs//guides/", configText="100% sure", isShared=True)
    await create(s, name="b", path="docs", provider="drive", displayName="Big")
    await create(s, name="c", projectId=project, status="paused", configJson={"k": "Sure"})
    await create(s, name="d", agentId="ada", resourceType="mailbox", path="docs_x")
    for query, expected in [
        ({}, "dcba"),
        ({"limit": "2"}, "dc"),
        ({"projectId": project}, "c"),
        ({"agentId": s.ada}, "d"),
        ({"projectId": project, "agentId": s.ada}, "dc"),
        ({"scopeType": "company"}, "ba"),
        ({"resourceType": "mailbox"}, "d"),
        ({"provider": "drive"}, "b"),
        ({"displayName": "Big"}, "b"),
        ({"name": "a"}, "a"),
        ({"status": "paused"}, "c"),
        ({"isShared": "true"}, "a"),
        ({"isShared": "false"}, "dcb"),
        ({"path": "docs"}, "b"),
        ({"pathPrefix": "/docs/"}, "ba"),
        ({"search": "SURE"}, "ca"),
        ({"q": "100%"}, "a"),
        ({"q": "%"}, "a"),
        ({"q": "'; drop table resource; --"}, ""),
    ]:
        assert "".join(await names(s, **query)) == expected, query
    answer = await s.call(ROUTES, "GET", "/resources", query={"limit": "3"})
    assert [(f["path"], f["resourceCount"]) for f in answer.body["folders"]] == [
        ("docs", 1),
        ("docs/guides", 1),
        ("docs_x", 1),
    ]
    assert await names(s, cursor=answer.body["nextCursor"]) == ["a"]


@BOTH
async def test_a_resource_is_changed_in_part_and_removed(s):
    ref = (await create(s, configText="old", path="x")).body["resource"]["id"]
    path = f"/resources/{ref}"
    changed = await s.call(ROUTES, "PATCH", path, {"configText": "new"}, token=s.bridge)
    assert (changed.body["resource"]["configText"], changed.body["resource"]["path"]) == (
        "new",
        "x",
    )
    nothing = await s.call(ROUTES, "PATCH", path, {}, token=s.bridge)
    assert (nothing.status, nothing.body["code"]) == (400, "resource.nothing")
    assert (await s.call(ROUTES, "DELETE", path)).status == 200
    for method, body in [("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)]:
        assert (await s.call(ROUTES, method, path, body)).status == 404
    assert await names(s) == []


async def test_another_company_sees_nothing(s):
    ref = (await create(s)).body["resource"]["id"]
    spy = await s.token(company=await s.other_company())
    for method, body in [("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)]:
        answer = await s.call(ROUTES, method, f"/resources/{ref}", body, token=spy)
        assert (answer.status, answer.body["code"]) == (404, "resource.unknown")
    listed = await s.call(ROUTES, "GET", "/resources", token=spy)
    assert (listed.body["resources"], listed.body["folders"]) == ([], [])


@pytest.mark.parametrize("ref, status", [("nonsense", 400), (UNKNOWN, 404)])
async def test_unknown_ids(s, ref, status):
    for method, body in [("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)]:
        assert (await s.call(ROUTES, method, f"/resources/{ref}", body)).status == status
