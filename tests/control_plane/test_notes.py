"""Notes: versions, tags, links, context packs; fixed scopes; secrets in wrong fields."""

import pytest

from homarus.company import customers, projects
from homarus.control_plane import notes, resources, tasks
from homarus.store.port import Rx
from homarus.store.sqlite.tx import SqliteTx
from tests.support.engines import BOTH
from tests.support.surface import surface

ROUTES = (*notes.ROUTES, *resources.ROUTES, *tasks.ROUTES)
NOTE = {"name": "note", "resourceType": "knowledge_base", "provider": "local"}
UNKNOWN = "00000000-0000-7000-8000-000000000000"
HEX48 = "0123456789abcdef" * 3


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada, made.bob = await made.agent("ada"), await made.agent("bob")
        made.bridge = await made.token(acts_for=[made.ada])
        yield made


async def call(s, method, path, body=None, **more):
    return await s.call(ROUTES, method, path, body, **({"token": s.bridge} | more))


async def write(s, name="note", text=None, **more):
    made = await call(s, "POST", "/resources", NOTE | {"name": name, "configText": text} | more)
    assert made.status == 201, made.text
    return made.body["resource"]["id"]


async def customer(s, name="acme", company=""):
    return (await s.run(customers.upsert, name, None, company=company))[0].id


# -- scopes --------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", ["project", "customer"])
async def test_the_same_under_a_project_or_customer_with_a_fixed_scope(s, kind):
    scope = await s.project() if kind == "project" else await customer(s)
    base = f"/{kind}s/{scope}/resources"
    body = NOTE | {"agentId": "ada", "path": "a/b", "secretText": "hunter2-secret"}
    made = await call(s, "POST", base, body, key="k")
    row = made.body["resource"]
    assert (made.status, row["scopeType"], row["scopeId"]) == (201, kind, scope)
    await write(s, "elsewhere", path="c")
    listed = await call(s, "GET", base)
    assert [r["id"] for r in listed.body["resources"]] == [row["id"]]
    assert [f["path"] for f in listed.body["folders"]] == ["a", "a/b"]
    one = f"{base}/{row['id']}"
    changed = await call(s, "PATCH", one, {"displayName": "Box"})
    assert changed.body["resource"]["displayName"] == "Box"
    assert (await call(s, "GET", one)).body["resource"]["id"] == row["id"]
    assert (await call(s, "DELETE", one)).status == 200
    assert (await call(s, "GET", base)).body["resources"] == []
    replies = (made, listed, changed)
    assert all("hunter2" not in r.text and "secretText" not in r.text for r in replies)


async def test_a_resource_is_found_in_its_own_place_only(s):
    project, acme = await s.project(), await customer(s)
    ours = await write(s, projectId=project)
    companys = await write(s)
    for base, ref, code in [
        (f"/projects/{await s.project()}", ours, "resource.unknown"),
        (f"/customers/{acme}", ours, "resource.unknown"),
        (f"/projects/{project}", companys, "resource.unknown"),
        (f"/projects/{UNKNOWN}", ours, "project.unknown"),
        (f"/customers/{UNKNOWN}", ours, "customer.unknown"),
        ("/projects/nonsense", ours, "request.bad_id"),
    ]:
        for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
            answer = await call(s, method, f"{base}/resources/{ref}", body)
            assert (answer.status in (400, 404), answer.body["code"]) == (True, code)
    spy_company = await s.other_company()
    foreign = await customer(s, company=spy_company)
    answer = await call(s, "POST", f"/customers/{foreign}/resources", NOTE, key="k")
    assert (answer.status, answer.body["code"]) == (404, "customer.unknown")


@pytest.mark.parametrize(
    "body, status",
    [
        ({"scopeType": "project", "scopeId": "HERE"}, 200),
        ({"projectId": "HERE"}, 200),
        ({"projectId": "OTHER"}, 400),
        ({"scopeType": "company"}, 400),
        ({"scopeType": "agent", "scopeId": "ada"}, 400),
    ],
)
async def test_a_resource_keeps_its_scope(s, body, status):
    ids = {"HERE": await s.project(), "OTHER": await s.project()}
    ref = await write(s, projectId=ids["HERE"])
    body = {k: ids.get(v, v) for k, v in body.items()} | {"displayName": "x"}
    answer = await call(s, "PATCH", f"/resources/{ref}", body)
    assert answer.status == status
    if status == 400:
        assert answer.body["code"] == "resource.scope_fixed"


async def test_an_agents_resources_are_written_by_that_agent_alone(s):
    """They go into its context (18.15)."""
    ours = await write(s, agentId="ada")
    refused = await call(s, "POST", "/resources", NOTE | {"agentId": "bob"})
    assert (refused.status, refused.body["code"]) == (403, "resource.not_yours")
    bobs = await s.token("agent", agent=s.bob)
    for method, body in (("PATCH", {"configText": "obey me"}), ("DELETE", None)):
        answer = await call(s, method, f"/resources/{ours}", body, token=bobs)
        assert (answer.status, answer.body["code"]) == (403, "resource.not_yours")
    for token in (s.owner, s.bridge, await s.token("agent", agent=s.ada)):
        answer = await call(s, "PATCH", f"/resources/{ours}", {"configText": "x"}, token=token)
        assert answer.status == 200


# -- secrets in wrong fields ---------------------------------------------------------------


@pytest.mark.parametrize("field", ["configText", "configJson", "name", "displayName", "path"])
@pytest.mark.parametrize(
    "value", ["password: hunter2", "ghp_" + "aB3" * 12, "sk-Ab12cd34ef56gh78ij"]
)
async def test_a_secret_in_an_open_field_is_refused_and_the_right_field_named(s, field, value):
    ref = await write(s)
    for method, path in (("POST", "/resources"), ("PATCH", f"/resources/{ref}")):
        answer = await call(s, method, path, NOTE | {field: value})
        assert (answer.status, answer.body["code"]) == (400, "resource.secret_like")
        assert "secretText" in answer.text and value not in answer.text
    allowed = await call(s, "PATCH", f"/resources/{ref}", {field: value, "allowSecretLike": True})
    assert allowed.status == 200


async def test_an_access_token_of_ours_is_blanked_even_when_allowed(s):
    body = {"configText": f"use ec_{HEX48}", "name": f"ec_{HEX48}", "allowSecretLike": True}
    made = await call(s, "POST", "/resources", NOTE | body)
    assert made.status == 201 and HEX48 not in made.text


# -- versions ------------------------------------------------------------------------------


async def numbers(s, ref, **query):
    answer = await call(s, "GET", f"/resources/{ref}/versions", query=query)
    return [row["version"] for row in answer.body["versions"]], answer.body["nextCursor"]


@BOTH
async def test_each_new_text_is_a_version_and_an_old_one_can_come_back(s):
    ref = await write(s, "plan", "one #a")
    path = f"/resources/{ref}"
    await call(s, "PATCH", path, {"configText": "two #b"})
    await call(s, "PATCH", path, {"configText": "two #b"})
    await call(s, "PATCH", path, {"status": "paused"})
    await call(s, "PATCH", path, {"name": "the plan"})
    assert await numbers(s, ref) == ([3, 2, 1], None)
    assert await numbers(s, ref, limit="2") == ([3, 2], "2")
    assert await numbers(s, ref, limit="2", cursor="2") == ([1], None)
    first = (await call(s, "GET", f"{path}/versions/1")).body["version"]
    assert (first["configText"], first["name"], first["chars"]) == ("one #a", "plan", 6)
    assert first["author"] == f"runtime:{s.bridge.id}"
    back = await call(s, "POST", f"{path}/versions/1/restore")
    row = back.body["resource"]
    assert (row["version"], row["configText"], row["name"]) == (4, "one #a", "plan")
    assert (await call(s, "GET", path)).body["resource"]["tags"] == ["a"]
    assert await numbers(s, ref) == ([4, 3, 2, 1], None)


async def test_the_newest_fifty_versions_stay(s):
    ref = await write(s, text="0")
    for n in range(1, 55):
        await call(s, "PATCH", f"/resources/{ref}", {"configText": str(n)})
    kept, _ = await numbers(s, ref)
    assert kept == list(range(55, 5, -1))


@pytest.mark.parametrize(
    "ref, number, status",
    [("KNOWN", "9", 404), ("KNOWN", "x", 400), ("KNOWN", "9" * 20, 400), (UNKNOWN, "1", 404)],
)
async def test_versions_that_are_not(s, ref, number, status):
    ref = await write(s, text="x") if ref == "KNOWN" else ref
    for method, more in (("GET", ""), ("POST", "/restore")):
        answer = await call(s, method, f"/resources/{ref}/versions/{number}{more}")
        assert answer.status == status


async def test_restoring_is_writing(s):
    ref = await write(s, text="x", agentId="ada")
    bobs = await s.token("agent", agent=s.bob)
    answer = await call(s, "POST", f"/resources/{ref}/versions/1/restore", token=bobs)
    assert (answer.status, answer.body["code"]) == (403, "resource.not_yours")


# -- tags and links ------------------------------------------------------------------------


async def shown(s, ref):
    row = (await call(s, "GET", f"/resources/{ref}")).body["resource"]
    return row["tags"], [(link["title"], link["resourceId"]) for link in row["links"]]


async def back(s, ref, **query):
    answer = await call(s, "GET", f"/resources/{ref}/backlinks", query=query)
    return [row["id"] for row in answer.body["backlinks"]], answer.body["nextCursor"]


@BOTH
async def test_tags_and_links_follow_the_text_and_titles_the_resources(s):
    prices = await write(s, "price-list", displayName="Price List")
    note = await write(s, "offer", "#Sales see [[price  LIST]], [[price-list]] and [[Terms]]")
    assert await shown(s, note) == (
        ["sales"], [("price LIST", prices), ("price-list", prices), ("Terms", None)],
    )  # fmt: skip
    assert await back(s, prices) == ([note], None)
    terms = await write(s, "Terms")
    assert (await shown(s, note))[1][2] == ("Terms", terms)
    assert await back(s, terms) == ([note], None)
    await call(s, "PATCH", f"/resources/{terms}", {"name": "Conditions"})
    assert await back(s, terms) == ([], None)
    await call(s, "PATCH", f"/resources/{note}", {"configText": "[[Conditions]] #new"})
    assert await shown(s, note) == (["new"], [("Conditions", terms)])
    assert await back(s, prices) == ([], None)
    found = await call(s, "GET", "/resources", query={"tag": "#NEW"})
    assert [row["id"] for row in found.body["resources"]] == [note]
    await call(s, "DELETE", f"/resources/{note}")
    assert await back(s, terms) == ([], None)


async def test_backlinks_come_in_pages(s):
    target = await write(s, "target")
    made = [await write(s, f"n{n}", "[[target]]") for n in range(3)]
    first, cursor = await back(s, target, limit="2")
    assert first == made[:0:-1]
    assert await back(s, target, limit="2", cursor=cursor) == (made[:1], None)


async def test_weak_spot_28_a_save_reads_no_other_resource(s, monkeypatch):
    """However many notes mention a title, saving one runs the same statements."""
    counted = []

    async def statements(text):
        ref = await write(s, "counted", text)
        before = len(counted)
        await call(s, "PATCH", f"/resources/{ref}", {"configText": text + " more [[target]]"})
        return len(counted) - before

    for name in ("one", "all", "run"):
        plain = getattr(SqliteTx, name)

        def counting(self, sql, params=(), plain=plain):
            counted.append(sql)
            return plain(self, sql, params)

        monkeypatch.setattr(SqliteTx, name, counting)
    few = await statements("[[target]]")
    for n in range(30):
        await write(s, f"n{n}", "[[target]] #tag")
    assert await statements("[[target]]") == few > 0


# -- context packs -------------------------------------------------------------------------


async def pack(s, **query):
    answer = await call(s, "GET", "/resources/context", query=query)
    assert answer.status == 200, answer.text
    return answer.body


@BOTH
async def test_a_pack_has_the_contracts_order_and_budget(s):
    acme = await customer(s)

    def project(tx):
        return projects.create(tx, {"goal": "serve", "customer": acme}).id

    ours = await s.run(project)
    other = await s.project()
    await write(s, "rest", "r" * 10)
    await write(s, "linked", "l" * 10, projectId=ours)
    await write(s, "selected", "[[linked]] " + "s" * 9)
    await write(s, "tagged", "#hot " + "t" * 5, agentId="ada")
    await write(s, "shared-project", "p" * 10, projectId=ours, isShared=True)
    await write(s, "shared-customer", "c" * 10, customerId=acme, isShared=True)
    await write(s, "doctrine", "d" * 10, isShared=True)
    await write(s, "foreign", "f" * 10, projectId=other, isShared=True)
    await write(s, "disabled", "x" * 10, status="disabled", isShared=True)
    await write(s, "empty")
    rows = (await call(s, "GET", "/resources")).body["resources"]
    ids = {row["name"]: row["id"] for row in rows}
    query = {
        "projectId": ours, "agentId": "ada", "resourceId": ids["selected"], "tag": "hot,#none",
    }  # fmt: skip
    body = await pack(s, **query)
    assert [(row["name"], row["reason"]) for row in body["sources"]] == [
        ("doctrine", "company_doctrine"),
        ("shared-customer", "shared"),
        ("shared-project", "shared"),
        ("tagged", "selected"),
        ("selected", "selected"),
        ("linked", "linked"),
        ("rest", "in_scope"),
    ]
    assert [row["id"] for row in body["resources"]] == [row["id"] for row in body["sources"]]
    assert (body["totalResources"], body["usedChars"], body["maxChars"]) == (7, 80, 12_000)
    assert body["tagFilters"] == ["hot", "none"]
    cut = await pack(s, maxChars="25", maxCharsPerResource="8", **query)
    assert [(r["name"], len(r["configText"]), r["configTruncated"]) for r in cut["resources"]] == [
        ("doctrine", 8, True),
        ("shared-customer", 8, True),
        ("shared-project", 8, True),
        ("tagged", 1, True),
    ]
    assert cut["usedChars"] == 25
    plain = await pack(s)
    assert [row["name"] for row in plain["sources"]] == ["doctrine", "selected", "rest"]


async def test_a_link_leads_into_no_other_scope(s):
    """One customer's notes never reach another's agents by a link."""
    acme, umbrella = await customer(s), await customer(s, "umbrella")
    await write(s, "secret plans", "u" * 10, customerId=umbrella)
    start = await write(s, "start", "[[secret plans]]", customerId=acme)
    body = await pack(s, customerId=acme, resourceId=start)
    assert [row["name"] for row in body["sources"]] == ["start"]


@pytest.mark.parametrize(
    "query, status",
    [
        ({"agentId": UNKNOWN}, 404),
        ({"projectId": UNKNOWN}, 404),
        ({"customerId": UNKNOWN}, 404),
        ({"resourceId": UNKNOWN}, 404),
        ({"resourceId": "nonsense"}, 404),
        ({"resourceId": ",".join(str(n) for n in range(51))}, 400),
        ({"tag": ",".join(str(n) for n in range(21))}, 400),
        ({"maxChars": "nonsense"}, 200),
        ({"maxChars": "999999999"}, 200),
        ({"maxChars": "0"}, 200),
    ],
)
async def test_packs_that_cannot_be(s, query, status):
    answer = await call(s, "GET", "/resources/context", query=query)
    assert answer.status == status


# -- proposals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, text, scope",
    [
        ({"title": "Price rule", "proposedText": "Never below [[cost]]"}, None, "company"),
        ({"title": "Price rule"}, "# Price rule\n", "company"),
        ({"title": "x", "scopeType": "agent", "scopeId": "ada"}, "# x\n", "agent"),
        ({"title": "x", "agentId": "ada"}, "# x\n", "company"),
    ],
)
async def test_a_proposal_is_a_note_at_once(s, body, text, scope):
    made = await call(s, "POST", "/resources/proposals", body)
    assert (made.status, made.body["deprecated"]) == (201, True)
    row = made.body["resource"]
    assert (row["name"], row["scopeType"]) == (body["title"], scope)
    assert row["configText"] == (text or body["proposedText"])
    assert (row["resourceType"], row["isShared"]) == ("knowledge_base", False)


async def test_a_proposal_holds_no_secret_either(s):
    body = {"title": "x", "proposedText": "password: hunter2"}
    answer = await call(s, "POST", "/resources/proposals", body)
    assert (answer.status, answer.body["code"]) == (400, "resource.secret_like")


# -- the context of a task -----------------------------------------------------------------


async def test_a_tasks_context_has_the_resources_in_scope_and_no_secret(s):
    acme = await customer(s)

    def project(tx):
        return projects.create(tx, {"goal": "serve", "customer": acme}).id

    ours = await s.run(project)
    for name, more in {
        "in-project": {"projectId": ours},
        "in-customer": {"customerId": acme},
        "shared-company": {"isShared": True},
        "shared-project": {"projectId": ours, "isShared": True},
        "of-company": {},
        "of-ada": {"agentId": "ada"},
        "of-others": {"projectId": await s.project(), "isShared": True},
        "disabled": {"status": "disabled"},
    }.items():
        await write(s, name, "x" * 9_000, secretText="planted-secret-4411", **more)
    for n in range(21):
        await write(s, f"many{n}", projectId=ours)
    spec = {"projectId": ours, "taskType": "unit_test", "allowUnderspecified": True}
    task = await call(s, "POST", "/tasks", spec | {"assignedAgentId": s.ada}, key="t")
    answer = await call(s, "GET", f"/tasks/{task.body['task']['id']}/context")
    found = answer.body["resources"]
    names = {kind: [row["name"] for row in rows] for kind, rows in found.items()}
    assert set(names) == {"project", "customer", "shared", "company", "agent"}
    assert names["project"] == [f"many{n}" for n in range(20, 0, -1)], "at most 20, newest first"
    assert names["customer"] == ["in-customer"]
    assert names["shared"] == ["shared-project", "shared-company"]
    assert names["company"] == ["of-company"]
    assert names["agent"] == ["of-ada"]
    (row,) = found["agent"]
    assert (len(row["configText"]), row["configTruncated"]) == (8_000, True)
    assert "planted-secret" not in answer.text and "secretText" not in answer.text


# -- bounds --------------------------------------------------------------------------------


async def test_a_page_of_long_texts_ends_early_and_loses_none(s):
    made = [await write(s, f"n{n}", "x" * 400_000) for n in range(12)]
    seen, cursor = [], ""
    for _ in range(3):
        answer = await call(s, "GET", "/resources", query={"cursor": cursor})
        page = [row["id"] for row in answer.body["resources"]]
        assert len(page) <= 10
        seen += page
        cursor = answer.body["nextCursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize("path, status", [("a/" * 31 + "b", 201), ("a/" * 32 + "b", 400)])
async def test_folders_are_so_deep_and_no_deeper(s, path, status):
    answer = await call(s, "POST", "/resources", NOTE | {"path": path})
    assert answer.status == status


async def test_lists_use_an_index(s):
    """Every list of this area begins at an index (18.27)."""

    def plans(rx: Rx):
        found = []
        for sql in (
            "select id from resource where company='c' and deleted_ms is null and no<9 "
            "order by no desc limit 9",
            "select version from resource_version where resource='r' and version<9 "
            "order by version desc limit 9",
            "select source from resource_link where company='c' and title_key in ('a', 'b')",
            "select resource from resource_tag where company='c' and tag='t'",
            "select id from secret_access where subject='s' and no<9 order by no desc limit 9",
            "select id from secret_lease where company='c' and no<9 order by no desc limit 9",
            "select id from secret_lease where subject='s' and ended_ms is null order by no",
        ):
            rows = rx.all(f"explain query plan {sql}")
            found += [(sql, row[-1]) for row in rows if "SCAN" in row[-1] or "TEMP" in row[-1]]
        return found

    assert await s.read(plans) == []
