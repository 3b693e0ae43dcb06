"""Integrations of an agent: created, listed, archived, lent, announced (contract, 4.6, 9)."""

import json

import pytest

from homarus.control_plane.integrations import FRAMES
from homarus.control_plane.integrations import ROUTES as INTEGRATIONS
from homarus.control_plane.leases import ROUTES as LEASES
from tests.support.engines import BOTH
from tests.support.surface import surface

ROUTES = (*INTEGRATIONS, *LEASES)
SECRET = "planted-secret-31b0"
MAIL = {"provider": "imap", "name": "mail", "configJson": {"host": "mx"}}
WITH_SECRET = MAIL | {"secretJson": {"password": SECRET}}
UNKNOWN = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada, made.bob = await made.agent("ada"), await made.agent("bob")
        both = [made.ada, made.bob]
        made.bridge = await made.token(acts_for=both)
        made.danger = await made.token(acts_for=both, scope="mcp_danger")
        yield made


def at(agent, more=""):
    return f"/agents/{agent}/integrations{more}"


async def create(s, agent=None, **body):
    path = at(agent or s.ada)
    return await s.call(ROUTES, "POST", path, WITH_SECRET | body, token=s.bridge, key=f"{body}")


async def lease(s, ref, token=None, agent=None, **body):
    path = at(agent or s.ada, f"/{ref}/lease")
    return await s.call(ROUTES, "POST", path, body, token=token or s.danger)


@BOTH
async def test_from_creation_to_archive(s):
    made = await create(s)
    assert made.status == 201 and made.body["message"]
    row = made.body["integration"]
    assert (row["provider"], row["name"], row["configJson"]) == ("imap", "mail", {"host": "mx"})
    assert (row["ownership"], row["status"], row["secretConfigured"]) == (
        "managed", "active", True,
    )  # fmt: skip
    listed = await s.call(ROUTES, "GET", at(s.ada), token=s.bridge)
    assert listed.body == {"integrations": [row]}
    assert (await s.call(ROUTES, "GET", at(s.bob), token=s.bridge)).body == {"integrations": []}
    gone = await s.call(
        ROUTES, "DELETE", at(s.ada), token=s.bridge, query={"integrationId": row["id"]}
    )
    assert gone.status == 200 and gone.body["message"]
    assert (await s.call(ROUTES, "GET", at(s.ada), token=s.bridge)).body == {"integrations": []}
    assert SECRET not in "".join(answer.text for answer in (made, listed, gone))
    kept = await s.read(lambda rx: rx.one("select secret_sealed from agent_integration"))
    assert kept == (None,)


async def test_the_secret_is_sealed(s):
    await create(s)
    row = await s.read(lambda rx: rx.one("select secret_sealed from agent_integration"))
    assert SECRET.encode() not in bytes(row[0])
    files = [p for p in (s.home / "local-ssot").iterdir() if p.is_file()]
    assert files and all(SECRET.encode() not in p.read_bytes() for p in files)


@pytest.mark.parametrize(
    "body, code",
    [
        ({"provider": ""}, "integration.provider"),
        ({"name": "x" * 301}, "integration.name"),
        ({"name": 5}, "request.schema"),
        ({"configJson": {"x": "y" * 100_001}}, "integration.config"),
        ({"secretJson": "x" * 65_537}, "resource.secret"),
        ({"configJson": {"password": "hunter2"}}, "resource.secret_like"),
        ({"name": "ghp_" + "aB3" * 12}, "resource.secret_like"),
    ],
)
async def test_integrations_that_cannot_be(s, body, code):
    answer = await create(s, **body)
    assert (answer.status, answer.body["code"]) == (400, code)
    assert "hunter2" not in answer.text


async def test_what_only_looks_like_a_secret_may_be_said_aloud(s):
    made = await create(s, configJson={"password": "hunter2"}, allowSecretLike=True)
    assert made.status == 201


@pytest.mark.parametrize(
    "query, status, code",
    [
        ({}, 400, "integration.missing"),
        ({"integrationId": "nonsense"}, 400, "integration.missing"),
        ({"integrationId": UNKNOWN}, 404, "integration.unknown"),
        ({"integrationId": "BOBS"}, 404, "integration.unknown"),
    ],
)
async def test_archives_that_cannot_be(s, query, status, code):
    bobs = (await create(s, s.bob)).body["integration"]["id"]
    query = {name: bobs if value == "BOBS" else value for name, value in query.items()}
    answer = await s.call(ROUTES, "DELETE", at(s.ada), token=s.bridge, query=query)
    assert (answer.status, answer.body["code"]) == (status, code)


async def test_unknown_agents_and_those_of_others(s):
    for method, body in (("GET", None), ("POST", MAIL)):
        answer = await s.call(ROUTES, method, at(UNKNOWN), body, key="x")
        assert (answer.status in (403, 404), answer.body["code"]) == (True, "agent.unknown")
    stranger = await s.token()
    answer = await s.call(ROUTES, "POST", at(s.ada), MAIL, token=stranger, key="y")
    assert (answer.status, answer.body["code"]) == (403, "identity.not_granted")
    bobs = await s.token("agent", agent=s.bob)
    answer = await s.call(ROUTES, "POST", at(s.ada), MAIL, token=bobs, key="z")
    assert (answer.status, answer.body["code"]) == (403, "identity.not_you")


# -- lease ---------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "secret, given",
    [
        ({"secretJson": {"password": SECRET}}, {"password": SECRET}),
        ({"secretJson": SECRET}, SECRET),
        ({"secretText": SECRET, "secretJson": None}, SECRET),
        ({"secretJson": None}, None),
    ],
)
async def test_a_lease_gives_what_was_kept(s, secret, given):
    ref = (await create(s, **secret)).body["integration"]["id"]
    answer = await lease(s, ref, reason="send")
    assert answer.status == 200, answer.text
    body = answer.body
    assert (body["secretJson"], body["managed"]) == (given, True)
    assert body["integration"] == {
        "id": ref, "provider": "imap", "name": "mail", "ownership": "managed",
        "configJson": {"host": "mx"},
    }  # fmt: skip
    assert (body["lease"]["version"], body["lease"]["keyVersion"]) == (int(given is not None), 1)
    assert (body["lease"]["integrationId"], body["lease"]["agentId"]) == (ref, s.ada)
    listed = await s.call(ROUTES, "GET", "/leases", token=s.danger, query={"integrationId": ref})
    assert [row["id"] for row in listed.body["leases"]] == [body["lease"]["id"]]


@pytest.mark.parametrize(
    "body, token, code",
    [
        ({}, "bridge", "permission.scope"),
        ({"agentId": "bob"}, "danger", "lease.agent"),
        ({"sessionId": UNKNOWN}, "danger", "lease.session"),
        ({"taskId": UNKNOWN}, "danger", "task.unknown"),
    ],
)
async def test_leases_that_are_refused_are_kept(s, body, token, code):
    ref = (await create(s)).body["integration"]["id"]
    answer = await lease(s, ref, getattr(s, token), **body)
    assert (answer.status in (403, 404), answer.body["code"]) == (True, code)
    assert SECRET not in answer.text
    log = await s.call(ROUTES, "GET", at(s.ada, f"/{ref}/access-log"))
    assert [(row["outcome"], row["code"]) for row in log.body["accessLog"]] == [("forbidden", code)]


async def test_an_archived_integration_lends_nothing_and_ends_its_leases(s):
    ref = (await create(s)).body["integration"]["id"]
    got = (await lease(s, ref)).body["lease"]["id"]
    await s.call(ROUTES, "DELETE", at(s.ada), token=s.bridge, query={"integrationId": ref})
    assert (await lease(s, ref)).body["code"] == "integration.unknown"
    (row,) = (await s.call(ROUTES, "GET", "/leases", token=s.danger)).body["leases"]
    assert (row["id"], row["endReason"]) == (got, "withdrawn")


# -- frames --------------------------------------------------------------------------------


async def test_both_names_are_sent_and_no_secret(s):
    ref = (await create(s)).body["integration"]["id"]
    await s.call(ROUTES, "DELETE", at(s.ada), token=s.bridge, query={"integrationId": ref})
    for kind in ("agent_integration_created", "agent_integration_archived"):
        (event,) = await s.events(kind)
        frames = await s.read(FRAMES[kind], s.company, event)
        fields = {"agentId": s.ada, "integrationId": ref, "provider": "imap"}
        assert frames == [
            {"type": "agent_integrations_updated", **fields},
            {"type": kind, **fields},
        ]
        assert SECRET not in json.dumps(frames)
