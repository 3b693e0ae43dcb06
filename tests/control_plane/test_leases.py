"""Secrets on loan: who gets one, what ends it, what stays of each attempt (contract, 11)."""

import pytest

from homarus.company import agents as company_agents
from homarus.company import customers, projects
from homarus.control_plane import access, agents, integrations, leases, resources, sessions, tasks
from homarus.flows import leases as claims
from homarus.flows import lending
from tests.support.engines import BOTH
from tests.support.surface import surface

ROUTES = (
    *leases.ROUTES, *resources.ROUTES, *integrations.ROUTES, *tasks.ROUTES, *sessions.ROUTES,
    *agents.ROUTES, *access.ROUTES,
)  # fmt: skip
SECRET = "planted-secret-77e1"
BOX = {"name": "box", "resourceType": "mailbox", "provider": "imap", "secretText": SECRET}
UNKNOWN = "00000000-0000-7000-8000-000000000000"
MINUTE_MS = 60_000


def hands(tx, name):
    change = company_agents.AgentChange(name=name, concurrency_limit=5)
    return company_agents.create(tx, change).id


def customer(tx, name):
    return customers.upsert(tx, name, None)[0].id


def project_of(tx, ref):
    return projects.create(tx, {"goal": "serve", "customer": ref}).id


class Office:
    """A surface with agents ada and bob, and a token of each scope that acts for both."""

    def __init__(self, s):
        self.s = s

    async def open(self):
        s = self.s
        self.ada, self.bob = await s.run(hands, "ada"), await s.run(hands, "bob")
        both = [self.ada, self.bob]
        self.danger = await s.token(acts_for=both, scope="mcp_danger")
        self.full = await s.token(acts_for=both)
        return self

    async def call(self, method, path, body=None, *, token=None, key=None, **more):
        return await self.s.call(
            ROUTES, method, path, body, token=token or self.danger, key=key, **more
        )

    async def box(self, **body):
        made = await self.call("POST", "/resources", BOX | body)
        assert made.status == 201, made.text
        return made.body["resource"]["id"]

    async def work(self, project, agent="ada", token=None):
        """A task of the project, claimed by the agent: its claim's reply."""
        spec = {"projectId": project, "taskType": "unit_test", "allowUnderspecified": True}
        made = await self.call("POST", "/tasks", spec, key=f"t{self.s.clock.now_ms()}")
        path = f"/tasks/{made.body['task']['id']}/claim"
        claimed = await self.call("POST", path, {"agentId": agent}, token=token)
        assert claimed.status == 200, claimed.text
        self.s.clock.advance(1)
        return claimed.body["task"]

    async def lease(self, ref, token=None, **body):
        return await self.call("POST", f"/resources/{ref}/lease", body, token=token)

    async def log(self, ref):
        answer = await self.call("GET", f"/resources/{ref}/access-log", token=self.s.owner)
        return [(row["outcome"], row["code"], row["attempts"]) for row in answer.body["accessLog"]]

    async def open_leases(self, token=None):
        answer = await self.call("GET", "/leases", token=token, query={"state": "open"})
        return [row["id"] for row in answer.body["leases"]]

    async def ended(self, lease):
        answer = await self.call("GET", "/leases", token=self.s.owner)
        (reason,) = (row["endReason"] for row in answer.body["leases"] if row["id"] == lease)
        return reason

    async def settle(self):
        return await self.s.work("lease.expire", lending.settle, 100)


@pytest.fixture
async def o(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        yield await Office(made).open()


# -- the reply -----------------------------------------------------------------------------


@BOTH
async def test_a_lease_gives_the_secret_once_with_an_end_and_is_kept(o):
    ref = await o.box(configText="host: mx")
    answer = await o.lease(ref, reason="send the report")
    assert (answer.status, answer.body["secretText"], answer.body["configText"]) == (
        200, SECRET, "host: mx",
    )  # fmt: skip
    assert answer.body["resource"]["id"] == ref and "secretText" not in answer.body["resource"]
    lease = answer.body["lease"]
    assert (lease["resourceId"], lease["version"], lease["keyVersion"]) == (ref, 1, 1)
    assert (lease["reason"], lease["exclusive"], lease["endedAt"]) == (
        "send the report", False, None,
    )  # fmt: skip
    assert lease["expiresAt"] > lease["createdAt"]
    assert await o.log(ref) == [("success", None, 1)]
    listed = await o.call("GET", "/leases")
    assert [row["id"] for row in listed.body["leases"]] == [lease["id"]]
    assert SECRET not in listed.text
    shown = await o.call("GET", f"/resources/{ref}")
    assert shown.body["resource"]["lastUsedAt"]


@BOTH
async def test_asking_again_for_the_same_purpose_finds_the_same_lease(o):
    ref = await o.box()
    first = (await o.lease(ref, seconds=60)).body
    o.s.clock.advance(30_000)
    second = (await o.lease(ref, seconds=60)).body
    assert (second["lease"]["id"], second["secretText"]) == (first["lease"]["id"], SECRET)
    assert second["lease"]["expiresAt"] > first["lease"]["expiresAt"]
    other = (await o.lease(ref, agentId="ada")).body
    assert other["lease"]["id"] != first["lease"]["id"]


async def test_a_resource_without_a_secret_lends_none(o):
    answer = await o.lease(await o.box(secretText=None))
    assert (answer.status, answer.body["secretText"], answer.body["lease"]["version"]) == (
        200, None, 0,
    )  # fmt: skip


async def test_a_new_secret_is_a_new_version_and_the_old_ones_stay_sealed(o):
    ref = await o.box()
    first = (await o.lease(ref)).body["lease"]
    for n in range(12):
        await o.call("PATCH", f"/resources/{ref}", {"secretText": f"{SECRET}-{n}"})
    answer = await o.lease(ref)
    assert (answer.body["secretText"], answer.body["lease"]["version"]) == (f"{SECRET}-11", 13)
    assert answer.body["lease"]["id"] != first["id"]
    log = await o.call("GET", f"/resources/{ref}/access-log", token=o.s.owner)
    assert log.body["secretVersion"] == 13
    assert [row["version"] for row in log.body["formerSecrets"]] == list(range(12, 2, -1))

    def kept(rx):
        return [bytes(row[0]) for row in rx.all("select sealed from secret_version")]

    sealed = await o.s.read(kept)
    assert len(sealed) == 10 and all(SECRET.encode() not in one for one in sealed)
    back = await o.call("POST", f"/resources/{ref}/secret-versions/5/restore")
    assert (back.status, back.body["resource"]["secretVersion"]) == (200, 14)
    assert (await o.lease(ref)).body["secretText"] == f"{SECRET}-3"
    forgotten = await o.call("POST", f"/resources/{ref}/secret-versions/2/restore")
    assert (forgotten.status, forgotten.body["code"]) == (404, "resource.version_unknown")
    await o.call("PATCH", f"/resources/{ref}", {"secretText": None})
    assert await o.s.read(kept) == []
    assert (await o.lease(ref)).body["secretText"] is None


# -- who may -------------------------------------------------------------------------------


@BOTH
async def test_scope_mcp_full_is_refused_and_kept(o):
    ref = await o.box()
    for _ in range(3):
        answer = await o.lease(ref, token=o.full, agentId="ada")
        assert (answer.status, answer.body["code"]) == (403, "permission.scope")
        assert SECRET not in answer.text
    assert await o.log(ref) == [("forbidden", "permission.scope", 3)]
    o.s.clock.advance(MINUTE_MS)
    await o.lease(ref, token=o.full, agentId="ada")
    assert await o.log(ref) == [("forbidden", "permission.scope", n) for n in (1, 3)]


@pytest.mark.parametrize(
    "scope, body, code",
    [
        ("company", {}, None),
        ("company", {"agentId": "ada"}, None),
        ("company", {"agentId": "ada", "taskId": "HELD"}, None),
        ("company", {"agentId": "bob", "taskId": "HELD"}, "lease.task_not_held"),
        ("company", {"taskId": "HELD"}, "lease.task_not_held"),
        ("company", {"agentId": "ada", "taskId": UNKNOWN}, "task.unknown"),
        ("company", {"agentId": "ada", "taskId": "T-1"}, None),
        ("company", {"agentId": "ada", "taskId": "nonsense"}, "task.unknown"),
        ("agent", {"agentId": "ada"}, None),
        ("agent", {"agentId": "bob"}, "lease.agent"),
        ("agent", {}, "lease.agent"),
        ("project", {"agentId": "ada", "taskId": "HELD"}, None),
        ("project", {"agentId": "ada"}, "lease.task_missing"),
        ("project", {"agentId": "ada", "taskId": "QUEUED"}, "lease.task_not_held"),
        ("project", {"agentId": "ada", "taskId": "OTHER"}, "lease.task_foreign"),
        ("customer", {"agentId": "ada", "taskId": "HELD"}, None),
        ("customer", {"agentId": "ada", "taskId": "OTHER"}, "lease.task_foreign"),
        ("customer", {"agentId": "ada"}, "lease.task_missing"),
        ("company", {"agentId": "ada", "sessionId": "ADAS"}, None),
        ("company", {"agentId": "bob", "sessionId": "ADAS"}, "lease.session"),
        ("company", {"sessionId": "ADAS"}, "lease.session"),
        ("company", {"agentId": "ada", "sessionId": "nonsense"}, "lease.session"),
        ("company", {"agentId": "nobody"}, "agent.unknown"),
        ("company", {"agentId": "ada", "seconds": 0}, "lease.length"),
        ("company", {"agentId": "ada", "seconds": 3601}, "lease.length"),
    ],
)
async def test_who_gets_it(o, scope, body, code):
    """Every refused attempt is kept; a malformed one is none."""
    acme = await o.s.run(customer, "acme")
    project = await o.s.run(project_of, acme)
    held = await o.work(project)
    spec = {"projectId": project, "taskType": "unit_test", "allowUnderspecified": True}
    queued = await o.call("POST", "/tasks", spec, key="queued")
    other = await o.work(await o.s.project())
    started = await o.call("POST", f"/agents/{o.ada}/sessions/start", {"openclawSessionId": "main"})
    ids = {
        "HELD": held["id"],
        "QUEUED": queued.body["task"]["id"],
        "OTHER": other["id"],
        "ADAS": started.body["session"]["id"],
    }
    where = {"company": None, "agent": o.ada, "project": project, "customer": acme}[scope]
    ref = await o.box(scopeType=scope, scopeId=where)
    answer = await o.lease(ref, **{k: ids.get(v, v) for k, v in body.items()})
    if code is None:
        assert (answer.status, answer.body["secretText"]) == (200, SECRET)
        assert await o.log(ref) == [("success", None, 1)]
        return
    assert answer.body["code"] == code and answer.status in (400, 403, 404)
    assert SECRET not in answer.text
    kept = [] if code == "lease.length" else [("forbidden", code, 1)]
    assert await o.log(ref) == kept
    assert await o.open_leases(o.s.owner) == []


async def test_a_claim_by_another_token_needs_its_fence(o):
    project = await o.s.project()
    own = await o.s.token("agent", agent=o.ada, scope="mcp_danger")
    task = await o.work(project, token=own)
    ref = await o.box(scopeType="project", scopeId=project)
    body = {"agentId": "ada", "taskId": task["id"]}
    assert (await o.lease(ref, **body)).body["code"] == "lease.task_not_held"
    stale = await o.lease(ref, **body, leaseToken=task["leaseToken"] + 1)
    assert stale.body["code"] == "lease.task_not_held"
    assert (await o.lease(ref, **body, leaseToken=task["leaseToken"])).status == 200
    assert (await o.lease(ref, token=own, taskId=task["id"])).status == 200


async def test_an_operator_needs_the_scope_too_and_an_inactive_resource_lends_nothing(o):
    ref = await o.box()
    assert (await o.lease(ref, token=o.s.owner)).body["code"] == "permission.scope"
    boss = await o.s.token("operator", role="owner", scope="mcp_danger")
    assert (await o.lease(ref, token=boss)).status == 200
    approver = await o.s.token("operator", role="approver", scope="mcp_danger")
    assert (await o.lease(ref, token=approver)).body["code"] == "permission.capability"
    await o.call("PATCH", f"/resources/{ref}", {"status": "disabled"})
    answer = await o.lease(ref)
    assert (answer.status, answer.body["code"]) == (409, "resource.inactive")
    assert (await o.log(ref))[0] == ("forbidden", "resource.inactive", 1)


async def test_another_company_finds_neither_resource_nor_lease(o):
    ref = await o.box()
    lease = (await o.lease(ref)).body["lease"]["id"]
    spy = await o.s.token(company=await o.s.other_company(), scope="mcp_danger")
    assert (await o.lease(ref, token=spy)).body["code"] == "resource.unknown"
    for act in ("renew", "release"):
        answer = await o.call("POST", f"/leases/{lease}/{act}", {}, token=spy)
        assert (answer.status, answer.body["code"]) == (404, "lease.unknown")
    assert await o.open_leases(spy) == []
    assert await o.open_leases() == [lease]


async def test_only_operators_read_the_access_log_and_others_see_their_own_leases(o):
    ref = await o.box()
    lease = (await o.lease(ref)).body["lease"]["id"]
    other = await o.s.token(scope="mcp_danger")
    assert await o.open_leases(other) == []
    assert await o.open_leases() == await o.open_leases(o.s.owner) == [lease]
    for act in ("renew", "release"):
        answer = await o.call("POST", f"/leases/{lease}/{act}", {}, token=other)
        assert (answer.status, answer.body["code"]) == (403, "lease.not_yours")
    route = next(r for r in leases.ROUTES if r.path == "/resources/{id}/access-log")
    assert route.capability == "audit.read"


# -- one at a time -------------------------------------------------------------------------


@BOTH
async def test_an_exclusive_resource_is_lent_to_one_at_a_time(o):
    ref = await o.box(exclusive=True)
    first = await o.lease(ref, agentId="ada", seconds=60)
    assert first.body["lease"]["exclusive"] is True
    again = await o.lease(ref, agentId="ada", seconds=60)
    assert again.body["lease"]["id"] == first.body["lease"]["id"]
    held = await o.lease(ref, agentId="bob")
    assert (held.status, held.body["code"]) == (409, "lease.held")
    assert (await o.log(ref))[0] == ("forbidden", "lease.held", 1)
    await o.call("POST", f"/leases/{first.body['lease']['id']}/release")
    assert (await o.lease(ref, agentId="bob", seconds=60)).status == 200
    o.s.clock.advance(60_000)
    after = await o.lease(ref, agentId="ada")
    assert after.status == 200, "the one that ran out stands in nobody's way, swept or not"


async def test_marking_it_exclusive_waits_for_open_leases(o):
    ref = await o.box()
    await o.lease(ref, agentId="ada")
    await o.call("PATCH", f"/resources/{ref}", {"exclusive": True})
    assert (await o.lease(ref, agentId="bob")).body["code"] == "lease.held"
    assert (await o.lease(ref, agentId="ada")).status == 200


# -- what ends it --------------------------------------------------------------------------


async def test_a_lease_is_renewed_up_to_a_day_and_released(o):
    lease = (await o.lease(await o.box())).body["lease"]["id"]
    until = None
    for _ in range(24):
        o.s.clock.advance(3_599_000 if until else 0)
        answer = await o.call("POST", f"/leases/{lease}/renew", {"seconds": 3600})
        assert answer.status == 200, answer.text
        assert until is None or answer.body["lease"]["expiresAt"] > until
        until = answer.body["lease"]["expiresAt"]
        assert SECRET not in answer.text
    o.s.clock.advance(3_599_000)
    last = await o.call("POST", f"/leases/{lease}/renew", {"seconds": 3600})
    assert last.status == 200, "to the end of the day"
    answer = await o.call("POST", f"/leases/{lease}/renew", {"seconds": 3600})
    assert (answer.status, answer.body["code"]) == (409, "lease.over")
    released = await o.call("POST", f"/leases/{lease}/release")
    assert (released.status, released.body["lease"]["endReason"]) == (200, "released")
    again = await o.call("POST", f"/leases/{lease}/release")
    assert (again.status, again.body["lease"]) == (200, released.body["lease"])
    assert (await o.call("POST", f"/leases/{lease}/renew", {})).body["code"] == "lease.over"


@BOTH
@pytest.mark.parametrize(
    "cause, reason",
    [
        ("time", "expired"),
        ("done", "task_over"),
        ("handed back", "task_over"),
        ("claim ran out", "task_over"),
        ("claimed anew", "task_over"),
        ("session ended", "session_over"),
        ("agent removed", "agent_gone"),
        ("disabled", "withdrawn"),
        ("deleted", "withdrawn"),
        ("token revoked", "token_revoked"),
        ("token expired", "token_revoked"),
    ],
)
async def test_a_lease_ends_by_itself(o, cause, reason):
    """At once for whoever asks, and in the row as soon as the worker has looked."""
    holder = "bob" if cause == "agent removed" else "ada"
    token = await o.s.token(
        acts_for=[o.ada, o.bob], scope="mcp_danger",
        **({"lifetime_ms": 300_000} if cause == "token expired" else {}),
    )  # fmt: skip
    project = await o.s.project()
    started = await o.call("POST", f"/agents/{o.ada}/sessions/start", {"openclawSessionId": "main"})
    session = started.body["session"]["id"]
    task = await o.work(project, token=token)
    ref = await o.box()
    bodies = {
        "session ended": {"sessionId": session}, "time": {}, "disabled": {}, "deleted": {},
        "agent removed": {}, "token revoked": {}, "token expired": {"seconds": 3600},
    }  # fmt: skip
    body = bodies.get(cause, {"taskId": task["id"], "seconds": 3600})
    got = await o.lease(ref, token=token, agentId=holder, **body)
    assert got.status == 200, got.text
    lease = got.body["lease"]["id"]
    assert await o.open_leases(o.s.owner) == [lease]
    assert await o.settle() == 0

    match cause:
        case "time":
            o.s.clock.advance(600_000)
        case "done":
            done = {"state": "done", "agentId": "ada"}
            path = f"/tasks/{task['id']}/result"
            assert (await o.call("POST", path, done, token=token, key="r")).status == 200
        case "handed back":
            back = {"state": "inbox", "agentId": "ada"}
            path = f"/tasks/{task['id']}/result"
            assert (await o.call("POST", path, back, token=token, key="r")).status == 200
        case "claim ran out":
            o.s.clock.advance(600_000)
        case "claimed anew":
            o.s.clock.advance(600_000)
            await o.s.work("task.expire", claims.expire_due, 10)
            again = await o.call(
                "POST", f"/tasks/{task['id']}/claim", {"agentId": "ada"}, token=token
            )
            assert again.body["task"]["leaseToken"] > task["leaseToken"]
        case "session ended":
            await o.call("POST", f"/agents/{o.ada}/sessions/{session}/end", {})
        case "agent removed":
            gone = await o.call("DELETE", f"/agents/{o.bob}", token=o.s.owner, key="d")
            assert gone.status == 200, gone.text
        case "disabled":
            await o.call("PATCH", f"/resources/{ref}", {"status": "disabled"})
        case "deleted":
            await o.call("DELETE", f"/resources/{ref}")
        case "token revoked":
            path = f"/tokens/{token.id}"
            revoked = await o.call("DELETE", path, token=o.s.owner, company=o.s.company)
            assert revoked.status == 200, revoked.text
        case "token expired":
            o.s.clock.advance(300_000)

    assert await o.open_leases(o.s.owner) == []
    assert await o.ended(lease) == reason
    if not cause.startswith("token"):
        answer = await o.call("POST", f"/leases/{lease}/renew", {}, token=token)
        assert (answer.status, answer.body["code"]) == (409, "lease.over")
    assert await o.s.read(lending.due, 10) == [o.s.company]
    assert await o.settle() == 1
    assert await o.s.read(lending.due, 10) == []
    (event,) = await o.s.events("secret_lease_ended")
    assert (event.subject, event.data["reason"]) == (lease, reason)
    assert await o.ended(lease) == reason


# -- what is written -----------------------------------------------------------------------


@BOTH
async def test_a_refused_attempt_leaves_a_receipt_of_failure_beside_its_row(o):
    ref = await o.box(scopeType="agent", scopeId="ada")
    await o.lease(ref, agentId="bob")

    def failed(rx):
        return rx.all(
            "select code, target, outcome from receipt where capability='resource.lease' "
            "order by seq"
        )

    rows = await o.s.read(failed)
    assert [(row[0], row[1]) for row in rows] == [
        (None, f"resource:{ref}"),
        ("lease.agent", f"resource:{ref}"),
    ]
    assert rows[1][2] is not None
    assert await o.log(ref) == [("forbidden", "lease.agent", 1)]
    assert await o.s.events("secret_lent") == []


async def test_a_lease_is_never_stored_under_its_key(o):
    ref = await o.box()
    for _ in range(2):
        answer = await o.call("POST", f"/resources/{ref}/lease", {}, key="same")
        assert answer.body["secretText"] == SECRET and not answer.replayed
    rows = await o.s.read(lambda rx: rx.all("select reply from idempotency"))
    assert all(SECRET.encode() not in bytes(row[0]) for row in rows)
    assert all(route.keyed == "ignored" for route in ROUTES if route.finish is not None)
