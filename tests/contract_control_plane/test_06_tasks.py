"""Contract, 6.1 and 6.2: the task object, its endpoints, the check of its specification."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Answer, Wire, frame, spec

TASK = {
    "id", "companyId", "projectId", "recurringTaskDefinitionId", "taskKind", "taskType",
    "templateVersion", "contractVersion", "state", "priority", "processingStartedAt",
    "assignedAgentId", "assignedMemberId", "leaseOwner", "leaseUntil", "retries", "maxRetries",
    "slaDueAt", "proofRequired", "humanApprovalRequired", "proofTypesJson", "inputJson",
    "outputJson", "blockedByTaskIds", "createdAt", "updatedAt", "deletedAt",
}  # fmt: skip
DETAIL = {
    "shortCode", "title", "description", "acceptanceCriteria", "definitionOfDone", "deliverables",
    "blockedReason", "goal", "ownerRole", "project", "customer", "assignedAgent", "approvalSummary",
}  # fmt: skip
EVENT = {
    "id", "companyId", "taskId", "eventType", "payloadJson", "actorType", "actorId", "createdAt",
}  # fmt: skip
HANDOFF = {"fromRole": "builder", "toRole": "reviewer", "summary": "built", "nextStep": "review"}


@pytest.fixture(scope="module")
def project(wire: Wire) -> str:
    return str(wire.project()["id"])


@pytest.fixture
def agent(wire: Wire) -> str:
    return str(wire.agent()["id"])


def claim(wire: Wire, task: str, agent: str) -> None:
    taken = wire.post(f"/tasks/{task}/claim", {"agentId": agent})
    assert taken.status == 200 and taken["task"]["id"] == task, taken.body


# -- 6.1 -------------------------------------------------------------------------------------


def test_the_object_of_a_new_task(wire: Wire, project: str) -> None:
    made = wire.post("/tasks", spec(project))
    assert made.status == 201 and made["message"]
    task = made["task"]
    assert set(task) >= TASK | {"assignee"}
    assert (task["projectId"], task["companyId"]) == (project, wire.id)
    assert (task["taskKind"], task["taskType"]) == ("standard", "release_note")
    assert (task["state"], task["priority"]) == ("inbox", 0)
    assert (task["retries"], task["maxRetries"]) == (0, 3)
    assert (task["proofRequired"], task["humanApprovalRequired"]) == (False, False)
    assert (task["proofTypesJson"], task["blockedByTaskIds"]) == ([], [])
    nothing = ("assignee", "leaseOwner", "leaseUntil", "outputJson", "deletedAt", "slaDueAt")
    assert [task[field] for field in nothing] == [None] * len(nothing)


def test_must_list_with_id_and_state_newest_first(wire: Wire) -> None:
    project = wire.project()["id"]
    made = [wire.task(project)["id"] for _ in range(3)]
    listed = wire.get(f"/tasks?projectId={project}")["tasks"]
    assert [row["id"] for row in listed] == made[::-1]
    for row in listed:
        assert set(row) >= TASK | {"approvalSummary"}
        assert row["id"] and row["state"] == "inbox" and row["title"] and row["taskType"]
        assert row["approvalSummary"] == {
            "total": 0,
            "pending": 0,
            "latestPendingApprovalId": None,
        }


def test_the_detail_of_a_task(wire: Wire) -> None:
    customer, agent = wire.customer(), wire.agent()
    project = wire.project(customerId=customer["id"])
    given = spec(project["id"]) | {"ownerRole": "writer", "blockedReason": "the key is missing"}
    task = wire.post("/tasks", given | {"assignedAgentId": agent["id"]})["task"]["id"]
    detail = wire.get(f"/tasks/{task}")["task"]
    assert set(detail) >= TASK | DETAIL
    assert detail["shortCode"] == task[:8].upper()
    fields = ("title", "description", "acceptanceCriteria", "definitionOfDone", "deliverables")
    assert {f: detail[f] for f in fields} == {f: given[f] for f in fields}
    assert (detail["ownerRole"], detail["blockedReason"]) == ("writer", "the key is missing")
    assert detail["project"]["id"] == project["id"]
    assert detail["customer"]["name"] == customer["name"]
    assert detail["assignedAgent"]["name"] == agent["name"]
    assert detail["assignee"] == {"type": "agent", "id": agent["id"]}


# -- lists -----------------------------------------------------------------------------------


def test_pages_go_on_where_the_last_one_ended(wire: Wire) -> None:
    project = wire.project()["id"]
    made = [wire.task(project)["id"] for _ in range(5)]
    seen, cursor = [], ""
    for _ in range(5):
        page = wire.get(f"/tasks?projectId={project}&limit=2&cursor={cursor}")
        seen += [row["id"] for row in page["tasks"]]
        cursor = page.body.get("nextCursor")
        if not cursor:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "state", ["inbox", "queued", "in_progress", "running", "inprogress", "in-progress", "review",
              "needs_review", "needs-review", "done", "failed", "dead_letter"],
)  # fmt: skip
def test_lists_take_every_state_and_alias(wire: Wire, state: str) -> None:
    assert wire.get(f"/tasks?state={state}").status == 200


@pytest.mark.parametrize("query", ["state=sleeping", "state=DONE", "cursor=x", "agentId=nobody"])
def test_lists_that_ask_nonsense(wire: Wire, query: str) -> None:
    assert wire.get(f"/tasks?{query}").status in (400, 404)


# -- create ----------------------------------------------------------------------------------


def test_all_given_fields_come_back(wire: Wire, project: str, agent: str) -> None:
    blocker = wire.task(project)["id"]
    given = {
        "priority": 7,
        "proofRequired": True,
        "humanApprovalRequired": True,
        "proofTypesJson": ["screenshot"],
        "blockedByTaskIds": [blocker],
        "taskKind": "recurrent",
    }
    more = {"inputJson": {"own": {"deep": [1]}}, "assignee": {"type": "agent", "id": agent}}
    task = wire.task(project, **given, **more)
    assert {field: task[field] for field in given} == given
    assert task["inputJson"]["own"] == {"deep": [1]}
    assert (task["assignedAgentId"], task["assignedMemberId"]) == (agent, None)


def test_a_human_assignee_excludes_an_agent(wire: Wire, project: str) -> None:
    member = str(uuid4())
    task = wire.task(project, assignee={"type": "human", "id": member})
    assert task["assignee"] == {"type": "human", "id": member}
    assert (task["assignedMemberId"], task["assignedAgentId"]) == (member, None)


def test_the_projects_policy_is_the_default_of_human_approval(wire: Wire) -> None:
    project = wire.project(requireApprovalForDone=True)["id"]
    assert wire.task(project)["humanApprovalRequired"] is True
    assert wire.task(project, humanApprovalRequired=False)["humanApprovalRequired"] is False


@pytest.mark.parametrize(
    "without, missing",
    [
        (["title"], ["title"]),
        (["description"], ["description"]),
        (["deliverables"], ["deliverables"]),
        (["acceptanceCriteria"], []),
        (["definitionOfDone"], []),
        (
            ["acceptanceCriteria", "definitionOfDone"],
            ["acceptanceCriteria_or_definitionOfDone"],
        ),
        (["title", "deliverables"], ["title", "deliverables"]),
    ],
)
def test_what_a_specification_needs(
    wire: Wire, project: str, without: list[str], missing: list[str]
) -> None:
    body = {field: value for field, value in spec(project).items() if field not in without}
    reply = wire.post("/tasks", body)
    if not missing:
        assert reply.status == 201
        return
    assert (reply.status, reply["error"]) == (400, "TASK_SPEC_UNDERSPECIFIED")
    assert reply["missingFields"] == missing
    allowed = wire.post("/tasks", body | {"allowUnderspecified": True})["task"]
    assert allowed["inputJson"]["readiness"] == "underspecified"
    assert allowed["inputJson"]["missingFields"] == missing


@pytest.mark.parametrize(
    "task_type, missing",
    [
        ("", "taskType"),
        ("  ", "taskType"),
        *((vague, "taskType_specific") for vague in ("any", "task", "todo", "work", "misc")),
        ("general", "taskType_specific"),
        ("General", "taskType_specific"),
        ("ab", "taskType_machine_key"),
        ("1abc", "taskType_machine_key"),
        ("with space", "taskType_machine_key"),
        ("a" * 42, "taskType_machine_key"),
        ("a" * 41, None),
        ("abc", None),
        ("Ab_1:c-d", None),
    ],
)
def test_task_types_are_specific_machine_keys(
    wire: Wire, project: str, task_type: str, missing: str | None
) -> None:
    reply = wire.post("/tasks", spec(project) | {"taskType": task_type})
    if missing is None:
        assert reply.status == 201
    else:
        assert reply.status == 400 and reply["missingFields"] == [missing]


def test_what_is_stored_of_the_input(wire: Wire, project: str) -> None:
    stored = wire.task(project, inputJson={"title": "old", "extra": 1})["inputJson"]
    assert (stored["title"], stored["extra"]) == ("Write the notes", 1)
    assert (stored["readiness"], stored["missingFields"]) == ("ready", [])
    assert stored["taskType"] == "release_note" and stored["goal"]


def test_generate_takes_the_specification_from_the_input_alone(wire: Wire, project: str) -> None:
    body = spec(project)
    bare = wire.post("/tasks/generate", body)
    assert bare.status == 400 and "title" in bare["missingFields"]
    given = {k: v for k, v in body.items() if k not in ("projectId", "taskType")}
    made = wire.post(
        "/tasks/generate",
        {"projectId": project, "taskType": "release_note", "inputJson": given},
    )
    assert made.status == 201 and made["task"]["inputJson"]["title"] == "Write the notes"


@pytest.mark.parametrize(
    "change, status",
    [
        ({"projectId": None}, 400),
        ({"projectId": str(uuid4())}, 404),
        ({"taskType": None}, 400),
        ({"priority": "high"}, 400),
        ({"priority": 10**12}, 400),
        ({"inputJson": "text"}, 400),
        ({"blockedByTaskIds": "x"}, 400),
        ({"blockedByTaskIds": ["not-an-id"]}, 400),
        ({"assignedAgentId": str(uuid4())}, 404),
        ({"assignee": {"type": "robot"}}, 400),
    ],
)
def test_creates_that_are_refused(
    wire: Wire, project: str, change: dict[str, Any], status: int
) -> None:
    reply = wire.post("/tasks", spec(project) | change)
    assert reply.status == status and reply["error"], reply.body


def test_a_new_task_is_told(wire: Wire, project: str) -> None:
    with wire.socket() as socket:
        frame(socket, "connected")
        task = wire.task(project)["id"]
        got = frame(socket, "new_task")["task"]
        assert got["id"] == task and "assignee" not in got


# -- read, patch, delete -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["", "/context", "/notes"],
)  # fmt: skip
def test_an_unknown_task_is_404(wire: Wire, path: str) -> None:
    assert wire.get(f"/tasks/{uuid4()}{path}").status == 404


def test_a_patch_changes_and_merges(wire: Wire, project: str) -> None:
    task = wire.task(project)["id"]
    given = {"title": "New", "goal": "Newer", "priority": 3, "inputJson": {"more": 1}}
    changed = wire.patch(f"/tasks/{task}", given)
    assert changed.status == 200 and changed["message"]
    row = changed["task"]
    assert (row["title"], row["goal"], row["priority"]) == ("New", "Newer", 3)
    assert row["inputJson"]["more"] == 1
    assert row["inputJson"]["deliverables"] == ["notes.md"], "what is not named stays"


@pytest.mark.parametrize("field", ["assignee", "assignedAgentId"])
def test_an_assignee_is_set_and_cleared(wire: Wire, project: str, agent: str, field: str) -> None:
    task = wire.task(project)["id"]
    value: Any = {"type": "agent", "id": agent} if field == "assignee" else agent
    assert wire.patch(f"/tasks/{task}", {field: value})["task"]["assignedAgentId"] == agent
    cleared = wire.patch(f"/tasks/{task}", {field: None})["task"]
    assert (cleared["assignedAgentId"], cleared["assignee"]) == (None, None)


def test_a_patch_and_a_delete_are_told(wire: Wire, project: str) -> None:
    task = wire.task(project)["id"]
    with wire.socket() as socket:
        frame(socket, "connected")
        wire.patch(f"/tasks/{task}", {"title": "t"})
        assert frame(socket, "task_updated")["task"]["id"] == task
        gone = wire.delete(f"/tasks/{task}")
        assert gone.status == 200 and gone["task"]["deletedAt"]
        assert frame(socket, "task_updated")["task"]["deletedAt"]


def test_a_deleted_task_is_gone(wire: Wire, project: str) -> None:
    task = wire.task(project)["id"]
    wire.delete(f"/tasks/{task}")
    assert wire.get(f"/tasks/{task}").status == 404
    assert task not in {row["id"] for row in wire.get("/tasks?limit=500")["tasks"]}
    assert wire.patch(f"/tasks/{task}", {"title": "t"}).status == 404


# -- assign --------------------------------------------------------------------------------------


def test_assign_says_whose_it_is(wire: Wire, project: str, agent: str) -> None:
    task = wire.task(project)["id"]
    reply = wire.post(f"/tasks/{task}/assign", {"agentId": agent})
    assert reply.status == 200 and reply["message"]
    assert (reply["task"]["assignedAgentId"], reply["task"]["state"]) == (agent, "inbox")


def test_assign_with_mode_claim_claims_it(wire: Wire, project: str, agent: str) -> None:
    task = wire.task(project)["id"]
    reply = wire.post(f"/tasks/{task}/assign", {"agentId": agent, "mode": "claim"})
    assert reply.status == 200
    assert (reply["task"]["state"], reply["task"]["assignedAgentId"]) == ("in_progress", agent)
    assert reply["task"]["leaseUntil"]


# -- notes ---------------------------------------------------------------------------------------


def note(wire: Wire, task: str, agent: str, **more: Any) -> Answer:
    return wire.post(f"/tasks/{task}/notes", {"note": "half done", "agentId": agent} | more)


def test_a_note_is_a_task_event(wire: Wire, project: str, agent: str) -> None:
    task = wire.task(project)["id"]
    reply = note(wire, task, agent)
    assert reply.status == 200 and reply["message"], "200, not 201"
    event = reply["event"]
    assert set(event) >= EVENT
    assert (event["eventType"], event["taskId"]) == ("task_note", task)
    assert (event["actorType"], event["actorId"]) == ("agent", agent)
    assert event["payloadJson"]["note"] == "half done"
    assert "memory" not in reply.body
    assert wire.get(f"/tasks/{task}/notes")["events"][-1] == event


def test_a_handoff_leaves_a_line_in_the_projects_memory(wire: Wire, agent: str) -> None:
    project = wire.project()["id"]
    task = wire.task(project)["id"]
    more = {"blockers": ["no key"], "artifactRefs": ["a-1"]}
    reply = note(wire, task, agent, handoff=HANDOFF | more)
    assert reply["event"]["eventType"] == "task_handoff"
    assert reply["memory"]["tags"] == ["handoff", "task-context", "builder", "reviewer"]
    assert wire.get(f"/projects/{project}/memory")["data"] == [reply["memory"]]


@pytest.mark.parametrize("lacks", sorted(HANDOFF))
def test_a_handoff_needs_all_four(wire: Wire, project: str, agent: str, lacks: str) -> None:
    given = {field: text for field, text in HANDOFF.items() if field != lacks}
    assert note(wire, wire.task(project)["id"], agent, handoff=given).status == 400


@pytest.mark.parametrize("change", [{"note": ""}, {"note": None}, {"note": "x" * 100_001}])
def test_notes_that_are_refused(
    wire: Wire, project: str, agent: str, change: dict[str, Any]
) -> None:
    assert note(wire, wire.task(project)["id"], agent, **change).status == 400


def test_a_company_token_names_the_agent_of_a_note(wire: Wire, project: str) -> None:
    task = wire.task(project)["id"]
    assert wire.post(f"/tasks/{task}/notes", {"note": "n"}).status in (400, 403)


def test_a_note_is_told(wire: Wire, project: str, agent: str) -> None:
    task = wire.task(project)["id"]
    with wire.socket() as socket:
        frame(socket, "connected")
        reply = note(wire, task, agent, handoff=HANDOFF)
        got = frame(socket, "task_note_added")
        assert (got["taskId"], got["projectId"]) == (task, project)
        scope = {"projectId": project, "customerId": None}
        assert (got["event"] | scope, got["memory"]) == (reply["event"], reply["memory"])


def kinds(wire: Wire, task: str) -> list[str]:
    return [event["eventType"] for event in wire.get(f"/tasks/{task}/notes")["events"]]


def test_the_time_line_of_a_task(wire: Wire, project: str, agent: str) -> None:
    task = wire.task(project)["id"]
    wire.post(f"/tasks/{task}/assign", {"agentId": wire.agent()["id"]})
    wire.post(f"/tasks/{task}/assign", {"agentId": agent})
    wire.patch(f"/tasks/{task}", {"title": "t"})
    claim(wire, task, agent)
    note(wire, task, agent)
    note(wire, task, agent, handoff=HANDOFF)
    for state in ("in_progress", "review"):
        wire.post(f"/tasks/{task}/result", {"state": state, "agentId": agent})
    claim(wire, task, agent)
    wire.post(f"/tasks/{task}/result", {"state": "inbox", "agentId": agent})
    claim(wire, task, agent)
    wire.post(f"/tasks/{task}/result", {"state": "done", "agentId": agent})
    assert kinds(wire, task) == [
        "task_generated", "task_assigned", "task_reassigned", "task_updated", "task_claimed",
        "task_note", "task_handoff", "task_in_progress", "task_review", "task_claimed",
        "task_inbox", "task_claimed", "task_done",
    ]  # fmt: skip
    failed = wire.task(project)["id"]
    claim(wire, failed, agent)
    wire.post(f"/tasks/{failed}/result", {"state": "failed", "agentId": agent})
    assert kinds(wire, failed)[-1] == "task_failed"


# -- context -------------------------------------------------------------------------------------


def test_the_context_of_a_task(wire: Wire, agent: str, found: Callable[..., Wire]) -> None:
    customer = wire.customer()["id"]
    project = wire.project(customerId=customer)["id"]
    task = wire.task(project)["id"]
    claim(wire, task, agent)
    for n in range(25):
        wire.post(f"/projects/{project}/memory", {"content": f"{n}"}, key=None)
    scopes = {
        "project": {"scopeType": "project", "scopeId": project},
        "customer": {"scopeType": "customer", "scopeId": customer},
        "shared": {"isShared": True},
        "company": {},
        "agent": {"scopeType": "agent", "scopeId": agent},
    }
    for name, scope in scopes.items():
        body = {"name": name, "resourceType": "note", "provider": "p", "secretText": "hush"}
        assert wire.post("/resources", body | scope, key=None).status == 201
    thread = wire.post("/threads", {"type": "task", "taskId": task}, key=None)["thread"]["id"]
    wire.post(f"/threads/{thread}/messages", {"text": "hello", "senderId": agent}, key=None)
    note(wire, task, agent)

    context = wire.get(f"/tasks/{task}/context")
    assert context["task"]["id"] == task and set(context["task"]) >= DETAIL
    assert context["notes"][0]["eventType"] == "task_generated"
    assert context["notes"][-1]["payloadJson"]["note"] == "half done"
    assert [m["content"] for m in context["projectMemory"]] == [str(n) for n in range(24, 4, -1)]
    for name in scopes:
        assert [row["name"] for row in context["resources"][name]] == [name]
    assert [t["thread"]["id"] for t in context["relatedThreads"]] == [thread]
    assert [m["text"] for m in context["relatedThreads"][0]["recentMessages"]] == ["hello"]
    assert "agentProfile" in context.body
    assert "hush" not in context.raw.decode()


def test_no_list_of_a_context_is_unbounded(wire: Wire, project: str, agent: str) -> None:
    task = wire.task(project)["id"]
    for n in range(25):
        body = {"name": f"r{n}-{uuid4()}", "resourceType": "note", "provider": "p"}
        wire.post("/resources", body | {"scopeType": "project", "scopeId": project}, key=None)
    assert len(wire.get(f"/tasks/{task}/context")["resources"]["project"]) == 20


def test_short_codes_are_what_people_write(wire: Wire, project: str) -> None:
    task = wire.task(project)["id"]
    assert re.fullmatch(r"[0-9A-F]{8}", wire.get(f"/tasks/{task}")["task"]["shortCode"])
