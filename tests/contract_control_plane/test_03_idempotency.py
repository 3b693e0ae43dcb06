"""Contract, section 3: idempotency keys.

ENFORCED and FREE are the two columns of table 3.2. A new route of the table is one line here: how
to make what it acts on, then the request.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Answer, Wire, spec

Ask = Callable[[Wire, str | None], Answer]


@dataclass
class Office:
    """What the requests of the tables act on."""

    wire: Wire
    person: Wire
    agent: str
    project: str
    customer: str
    thread: str

    def task(self) -> str:
        return str(self.wire.task(self.project)["id"])

    def held(self) -> str:
        """A task that the agent has claimed."""
        task = self.wire.task(self.project)["id"]
        taken = self.wire.post(f"/tasks/{task}/claim", {"agentId": self.agent})
        assert taken["task"]["id"] == task
        return str(task)

    def incident(self) -> str:
        body = {"severity": "low", "reasonCode": "odd", "summary": "odd", "projectId": self.project}
        return str(self.wire.post("/incidents", body)["incident"]["id"])

    def artifact(self) -> str:
        made = self.wire.post("/artifacts", self.reference())
        assert made.status == 201, made.body
        return str(made["artifact"]["id"])

    def reference(self) -> dict[str, Any]:
        return {
            "projectId": self.project,
            "kind": "report",
            "contentType": "text/plain",
            "sha256": uuid4().hex * 2,
            "sizeBytes": 1,
            "storageUrl": "https://files.example/report.txt",
        }

    def session(self) -> str:
        body = {"openclawSessionId": f"s-{uuid4()}"}
        started = self.wire.post(f"/agents/{self.agent}/sessions/start", body, key=None)
        return str(started["session"]["id"])

    def approval(self) -> str:
        body = {"projectId": self.project, "taskIds": [self.held()]}
        asked = self.wire.post("/approvals", body, key=None)
        assert asked.status == 201, asked.body
        return str(asked["approval"]["id"])


@pytest.fixture(scope="module")
def office(wire: Wire, person: Wire) -> Iterator[Office]:
    yield Office(
        wire,
        person,
        wire.agent(concurrencyLimit=100)["id"],
        wire.project()["id"],
        wire.customer()["id"],
        wire.post("/threads", {"type": "team"}, key=None)["thread"]["id"],
    )


def name() -> str:
    return f"n-{uuid4()}"


Case = tuple[str, Callable[[Office], tuple[str, str, Any]]]

ENFORCED: list[Case] = [
    ("tasks create", lambda o: ("POST", "/tasks", spec(o.project))),
    (
        "tasks generate",
        lambda o: (
            "POST",
            "/tasks/generate",
            {"projectId": o.project, "taskType": "unit_test", "allowUnderspecified": True},
        ),
    ),
    ("tasks claim", lambda o: ("POST", "/tasks/claim", {"agentId": o.agent})),
    ("tasks assign", lambda o: ("POST", f"/tasks/{o.task()}/assign", {"agentId": o.agent})),
    (
        "tasks notes",
        lambda o: ("POST", f"/tasks/{o.task()}/notes", {"note": "x", "agentId": o.agent}),
    ),
    (
        "tasks result",
        lambda o: ("POST", f"/tasks/{o.held()}/result", {"state": "done", "agentId": o.agent}),
    ),
    ("tasks PATCH", lambda o: ("PATCH", f"/tasks/{o.task()}", {"title": "t"})),
    ("tasks DELETE", lambda o: ("DELETE", f"/tasks/{o.task()}", None)),
    ("agents create", lambda o: ("POST", "/agents", {"name": name()})),
    ("agents PATCH", lambda o: ("PATCH", f"/agents/{o.agent}", {"llmModel": "m"})),
    ("agents DELETE", lambda o: ("DELETE", f"/agents/{o.wire.agent()['id']}", None)),
    ("projects create", lambda o: ("POST", "/projects", {"goal": name()})),
    ("projects PATCH", lambda o: ("PATCH", f"/projects/{o.project}", {"goal": name()})),
    ("projects DELETE", lambda o: ("DELETE", f"/projects/{o.wire.project()['id']}", None)),
    ("customers create", lambda o: ("POST", "/customers", {"name": name()})),
    ("customers PATCH", lambda o: ("PATCH", f"/customers/{o.customer}", {"notes": "n"})),
    ("customers DELETE", lambda o: ("DELETE", f"/customers/{o.wire.customer()['id']}", None)),
    (
        "incidents create",
        lambda o: (
            "POST",
            "/incidents",
            {"severity": "low", "reasonCode": "odd", "summary": "odd", "projectId": o.project},
        ),
    ),
    ("incidents PATCH", lambda o: ("PATCH", f"/incidents/{o.incident()}", {"status": "resolved"})),
    ("incidents DELETE", lambda o: ("DELETE", f"/incidents/{o.incident()}", None)),
    ("artifacts create", lambda o: ("POST", "/artifacts", o.reference())),
    ("artifacts DELETE", lambda o: ("DELETE", f"/artifacts/{o.artifact()}", None)),
]

FREE: list[Case] = [
    ("runtime/register", lambda o: ("POST", "/runtime/register", {"runtimeId": "r", "name": "r"})),
    ("heartbeat", lambda o: ("POST", "/agents/heartbeat", {"agentId": o.agent, "currentLoad": 0})),
    (
        "report-usage",
        lambda o: ("POST", "/agents/report-usage", {"agentId": o.agent, "tokensUsed": 5}),
    ),
    (
        "sessions start",
        lambda o: ("POST", f"/agents/{o.agent}/sessions/start", {"openclawSessionId": name()}),
    ),
    (
        "sessions checkpoint",
        lambda o: (
            "POST",
            f"/agents/{o.agent}/sessions/{o.session()}/checkpoint",
            {"checkpointJson": {}},
        ),
    ),
    ("sessions end", lambda o: ("POST", f"/agents/{o.agent}/sessions/{o.session()}/end", {})),
    ("agent memory", lambda o: ("POST", f"/agents/{o.agent}/memory", {"content": "c"})),
    ("project memory", lambda o: ("POST", f"/projects/{o.project}/memory", {"content": "c"})),
    ("messages/send", lambda o: ("POST", "/messages/send", {"text": "t", "agentId": o.agent})),
    ("threads create", lambda o: ("POST", "/threads", {"type": "team"})),
    (
        "threads messages",
        lambda o: ("POST", f"/threads/{o.thread}/messages", {"text": "t", "senderId": o.agent}),
    ),
    (
        "chat/status",
        lambda o: ("POST", "/chat/status/", {"threadId": o.thread, "agentId": o.agent}),
    ),
    (
        "approvals create",
        lambda o: ("POST", "/approvals", {"projectId": o.project, "taskIds": [o.held()]}),
    ),
    ("actions", lambda o: ("POST", "/actions", {"agentId": o.agent})),
    ("pricing", lambda o: ("POST", "/pricing", PRICE)),
    ("approvals resolve", lambda o: ("PATCH", f"/approvals/{o.approval()}", APPROVED)),
    (
        "resources",
        lambda o: ("POST", "/resources", {"name": name(), "resourceType": "t", "provider": "p"}),
    ),
]
PRICE = {"provider": "p", "model": "m", "inputPricePer1k": 1, "outputPricePer1k": 2}
APPROVED = {"status": "approved"}
BY_A_PERSON = {"pricing", "approvals resolve", "incidents DELETE"}
"""What no company token may do here (a weak spot of the original)."""


def ids(cases: list[Case]) -> list[str]:
    return [case[0] for case in cases]


@pytest.mark.parametrize("case", ENFORCED, ids=ids(ENFORCED))
@pytest.mark.parametrize("key", [None, ""], ids=["without", "with"])
def test_the_key_is_enforced(office: Office, case: Case, key: str | None) -> None:
    caller = office.person if case[0] in BY_A_PERSON else office.wire
    method, path, body = case[1](office)
    reply = caller.call(method, path, body, key=key)
    if key is None:
        assert (reply.status, reply["code"]) == (400, "idempotency.missing")
    else:
        assert reply.status in (200, 201), reply.body


@pytest.mark.parametrize("case", ENFORCED, ids=ids(ENFORCED))
def test_an_empty_key_counts_as_none(office: Office, case: Case) -> None:
    method, path, body = case[1](office)
    reply = office.wire.call(method, path, body, key=None, headers={"Idempotency-Key": ""})
    assert reply.status == 400


@pytest.mark.parametrize("case", FREE, ids=ids(FREE))
def test_must_not_ask_for_a_key(office: Office, case: Case) -> None:
    caller = office.person if case[0] in BY_A_PERSON else office.wire
    method, path, body = case[1](office)
    reply = caller.call(method, path, body, key=None)
    assert reply.status in (200, 201), reply.body


# The rest of the table, by route alone: the key is looked for before anything else is.

ENFORCED_ROUTES = (
    "POST /projects/{x}/recurring-tasks",
    "PATCH /projects/{x}/recurring-tasks/{x}",
    "DELETE /projects/{x}/recurring-tasks/{x}",
    "POST /projects/{x}/recurring-tasks/{x}/spawn",
    "POST /agents/{x}/integrations",
    "POST /customers/{x}/resources",
    "POST /artifacts/upload",
    "POST /pipelines",
    "PATCH /pipelines/{x}",
    "DELETE /pipelines/{x}",
    "POST /pipelines/{x}/runs",
    "POST /playbooks",
    "DELETE /playbooks/{x}",
    "POST /schedules",
    "PATCH /schedules/{x}",
    "DELETE /schedules/{x}",
    "DELETE /tactics/{x}",
    "DELETE /templates/{x}",
    "POST /skills/promote",
)
FREE_ROUTES = (
    "POST /projects/{x}/agent-profiles",
    "PATCH /projects/{x}/agent-profiles/{x}",
    "DELETE /projects/{x}/agent-profiles/{x}",
    "POST /actions/{x}/steps",
    "PATCH /artifacts/{x}/move",
    "PATCH /artifacts/{x}/replace",
    "DELETE /artifacts/{x}/delete",
    "POST /folders",
    "PATCH /folders/{x}",
    "DELETE /folders/{x}",
    "PATCH /resources/{x}",
    "DELETE /resources/{x}",
    "POST /projects/{x}/resources",
    "PATCH /projects/{x}/resources/{x}",
    "DELETE /projects/{x}/resources/{x}",
    "POST /resources/{x}/lease",
    "POST /agents/{x}/integrations/{x}/lease",
    "DELETE /agents/{x}/integrations",
)


def without_a_key(wire: Wire, route: str) -> Answer:
    method, path = route.split()
    body = None if method == "DELETE" else {}
    return wire.call(method, path.replace("{x}", str(uuid4())), body, key=None)


@pytest.mark.parametrize("route", ENFORCED_ROUTES)
def test_the_key_is_enforced_before_all_else(wire: Wire, route: str) -> None:
    reply = without_a_key(wire, route)
    assert (reply.status, reply["code"]) == (400, "idempotency.missing")


@pytest.mark.parametrize("route", FREE_ROUTES)
def test_must_not_ask_for_a_key_here_either(wire: Wire, route: str) -> None:
    reply = without_a_key(wire, route)
    assert reply.status in (400, 403, 404), reply.body
    assert reply["code"] not in ("idempotency.missing", "route.unknown")


# -- 3.1 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["claim:" + "a" * 64, "task-note:1:why:claim", "x", "two words: ü"])
def test_any_text_is_a_key(wire: Wire, key: str) -> None:
    replies = [wire.post("/customers", {"name": f"by {key}"}, key=key) for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].body == replies[1].body


def test_a_key_that_is_too_long_is_refused_and_says_how_long(wire: Wire) -> None:
    reply = wire.post("/customers", {"name": name()}, key="k" * 513)
    assert reply.status == 400 and "512" in reply["error"]


def test_the_same_key_with_another_body_is_another_request(wire: Wire) -> None:
    key = name()
    first = wire.post("/customers", {"name": name()}, key=key)
    other = wire.post("/customers", {"name": name()}, key=key)
    assert (first.status, other.status) == (201, 201)
    assert first["customer"]["id"] != other["customer"]["id"]


def test_the_same_key_elsewhere_is_another_request(wire: Wire) -> None:
    key = name()
    wire.post("/customers", {"name": "n"}, key=key)
    assert wire.post("/agents", {"name": name()}, key=key).status == 201


def test_a_key_counts_within_a_company(wire: Wire, found: Callable[..., Wire]) -> None:
    key, body, other = name(), {"name": name()}, found()
    first = wire.post("/customers", body, key=key)["customer"]
    second = other.post("/customers", body, key=key)["customer"]
    assert first["companyId"] != second["companyId"] and first["id"] != second["id"]


def test_errors_are_never_replayed(wire: Wire, office: Office) -> None:
    key, agent = name(), name()
    body = {"agentId": agent}
    assert wire.post("/tasks/claim", body, key=key).status == 404
    wire.agent(agent)
    assert wire.post("/tasks/claim", body, key=key).status == 200


def test_the_order_of_a_bodys_keys_tells_bodies_apart(wire: Wire) -> None:
    key, goal = name(), name()
    texts = (f'{{"goal":"{goal}","status":"active"}}', f'{{"status":"active","goal":"{goal}"}}')
    made = {
        wire.post("/projects", content=text.encode(), key=key)["project"]["id"] for text in texts
    }
    assert len(made) == 2


# -- 3.3, 3.4 --------------------------------------------------------------------------------


@pytest.fixture
def claimer(found: Callable[..., Wire]) -> tuple[Wire, str, str]:
    """A company with one agent and one project, and nothing queued."""
    wire = found()
    return wire, wire.agent(concurrencyLimit=20)["id"], wire.project()["id"]


def test_a_claim_is_replayed_while_it_holds(claimer: tuple[Wire, str, str]) -> None:
    wire, agent, project = claimer
    for _ in range(2):
        wire.task(project)
    taken = [wire.post("/tasks/claim", {"agentId": agent}, key="k") for _ in range(2)]
    assert taken[0]["task"]["id"] == taken[1]["task"]["id"]
    assert [reply.headers.get("idempotency-replayed") for reply in taken] == [None, "true"]


def test_must_claim_afresh_once_the_task_is_finished(claimer: tuple[Wire, str, str]) -> None:
    """3.3: with a stale replay the bridge stalls after its first task."""
    wire, agent, project = claimer
    made = [wire.task(project)["id"] for _ in range(4)]
    done = []
    for _ in made:
        task = wire.post("/tasks/claim", {"agentId": agent}, key="claim:same")["task"]["id"]
        done.append(task)
        wire.post(f"/tasks/{task}/result", {"state": "done", "agentId": agent})
    assert done == made


def test_must_never_store_a_claim_of_nothing(claimer: tuple[Wire, str, str]) -> None:
    wire, agent, project = claimer
    assert wire.post("/tasks/claim", {"agentId": agent}, key="k")["task"] is None
    task = wire.task(project)["id"]
    assert wire.post("/tasks/claim", {"agentId": agent}, key="k")["task"]["id"] == task


def test_the_fresh_claim_overwrites_the_stored_one(claimer: tuple[Wire, str, str]) -> None:
    wire, agent, project = claimer
    first, second = (wire.task(project)["id"] for _ in range(2))
    assert wire.post("/tasks/claim", {"agentId": agent}, key="k")["task"]["id"] == first
    wire.post(f"/tasks/{first}/result", {"state": "failed", "agentId": agent})
    for _ in range(2):
        assert wire.post("/tasks/claim", {"agentId": agent}, key="k")["task"]["id"] == second


def test_a_claim_key_of_another_agent_is_another_request(claimer: tuple[Wire, str, str]) -> None:
    wire, agent, project = claimer
    other = wire.agent()["id"]
    made = {wire.task(project)["id"], wire.task(project)["id"]}
    taken = {
        wire.post("/tasks/claim", {"agentId": a}, key="k")["task"]["id"] for a in (agent, other)
    }
    assert taken == made


@pytest.mark.parametrize("what", ["create", "result"])
def test_the_same_key_with_another_body_is_409_where_no_client_relies_on_it(
    office: Office, what: str
) -> None:
    key = name()
    if what == "create":
        path, body = "/tasks", spec(office.project)
    else:
        path, body = f"/tasks/{office.held()}/result", {"state": "done", "agentId": office.agent}
    assert office.wire.post(path, body, key=key).status in (200, 201)
    again = office.wire.post(path, body, key=key)
    assert again.headers.get("idempotency-replayed") == "true"
    other = office.wire.post(path, body | {"comment": "other", "title": "other"}, key=key)
    assert (other.status, other["code"]) == (409, "idempotency.mismatch")


def test_a_second_caller_waits_and_gets_the_replay(wire: Wire) -> None:
    key, body = name(), {"name": name()}
    replies: list[Answer] = []
    callers = [Wire(wire.url, wire.token) for _ in range(8)]
    threads = [
        threading.Thread(target=lambda c=c: replies.append(c.post("/customers", body, key=key)))
        for c in callers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for caller in callers:
        caller.close()
    assert [reply.status for reply in replies] == [201] * 8
    assert len({reply["customer"]["id"] for reply in replies}) == 1
    assert sum(reply.headers.get("idempotency-replayed") == "true" for reply in replies) == 7
