"""Contract, section 7: approvals."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import NOBODY, Answer, Wire, frame

APPROVAL = {
    "id", "companyId", "projectId", "requesterAgentId", "actionType", "status", "rationale",
    "confidence", "resolverUserId", "resolutionNote", "resolvedAt", "createdAt", "updatedAt",
    "projectGoal", "taskIds",
}  # fmt: skip


class Desk:
    """A project and an agent with work in hand."""

    def __init__(self, wire: Wire, person: Wire) -> None:
        self.wire, self.person = wire, person
        self.agent: str = wire.agent(concurrencyLimit=100)["id"]
        self.project: str = wire.project(goal=f"goal {uuid4()}")["id"]

    def task(self) -> str:
        task = self.wire.task(self.project)["id"]
        self.wire.post(f"/tasks/{task}/claim", {"agentId": self.agent})
        return str(task)

    def ask(self, *tasks: str, **more: Any) -> Answer:
        body = {"projectId": self.project, "taskIds": list(tasks)} | more
        return self.wire.post("/approvals", body, key=None)

    def answer(self, approval: str, status: str, **more: Any) -> Answer:
        return self.person.patch(f"/approvals/{approval}", {"status": status} | more, key=None)


@pytest.fixture
def desk(wire: Wire, person: Wire) -> Desk:
    return Desk(wire, person)


def test_a_request_comes_back_whole(desk: Desk) -> None:
    tasks = [desk.task(), desk.task()]
    given = {"requesterAgentId": desk.agent, "rationale": "all green", "confidence": 0.75}
    reply = desk.ask(*tasks, **given)
    assert reply.status == 201
    row = reply["approval"]
    assert set(row) >= APPROVAL
    assert {field: row[field] for field in given} == given
    assert (row["status"], row["actionType"]) == ("pending", "task_done")
    assert sorted(row["taskIds"]) == sorted(tasks)
    assert row["projectGoal"].startswith("goal ")


def test_the_one_that_is_pending_answers_for_the_same_task(desk: Desk) -> None:
    task = desk.task()
    first = desk.ask(task)["approval"]["id"]
    again = desk.ask(desk.task(), task)
    assert (again.status, again["approval"]["id"]) == (201, first)


@pytest.mark.parametrize(
    "body",
    [
        {"taskIds": []},
        {},
        {"taskIds": "x"},
        {"taskIds": [5]},
        {"taskIds": [NOBODY]},
        {"projectId": NOBODY, "taskIds": []},
        {"taskIds": [], "confidence": "high"},
    ],
)
def test_requests_that_are_refused(desk: Desk, body: dict[str, Any]) -> None:
    reply = desk.wire.post("/approvals", {"projectId": desk.project} | body, key=None)
    assert reply.status in (400, 404) and reply["error"]


def test_lists_by_project_and_status(desk: Desk) -> None:
    pending, approved, rejected = (desk.ask(desk.task())["approval"]["id"] for _ in range(3))
    desk.answer(approved, "approved")
    desk.answer(rejected, "rejected")
    listed = desk.wire.get(f"/approvals?projectId={desk.project}")["approvals"]
    assert [row["id"] for row in listed] == [rejected, approved, pending], "newest first"
    assert all(set(row) >= APPROVAL for row in listed)
    for status, one in (("pending", pending), ("approved", approved), ("rejected", rejected)):
        query = f"/approvals?projectId={desk.project}&status={status}"
        assert [row["id"] for row in desk.wire.get(query)["approvals"]] == [one]


def test_lists_are_bounded_and_go_on(desk: Desk) -> None:
    """The original answers with all there is."""
    made = [desk.ask(desk.task())["approval"]["id"] for _ in range(5)]
    seen, cursor = [], ""
    for _ in range(5):
        page = desk.wire.get(f"/approvals?projectId={desk.project}&limit=2&cursor={cursor}")
        seen += [row["id"] for row in page["approvals"]]
        cursor = page.body.get("nextCursor")
        if not cursor:
            break
    assert seen == made[::-1]


def test_one_is_read_with_its_tasks(desk: Desk) -> None:
    task = desk.task()
    asked = desk.ask(task)["approval"]
    reply = desk.wire.get(f"/approvals/{asked['id']}")
    assert reply["approval"] == asked
    assert [row["id"] for row in reply["tasks"]] == [task]
    assert desk.wire.get(f"/approvals/{uuid4()}").status == 404


@pytest.mark.parametrize("status, state", [("approved", "done"), ("rejected", "review")])
def test_an_answer_moves_all_linked_tasks(desk: Desk, status: str, state: str) -> None:
    tasks = [desk.task(), desk.task()]
    asked = desk.ask(*tasks)["approval"]["id"]
    reply = desk.answer(asked, status, resolutionNote="seen")
    assert reply.status == 200
    row = reply["approval"]
    assert (row["status"], row["resolutionNote"]) == (status, "seen")
    assert row["resolverUserId"] and row["resolvedAt"]
    assert [desk.wire.get(f"/tasks/{t}")["task"]["state"] for t in tasks] == [state] * 2


@pytest.mark.parametrize("status", ["pending", "maybe", "", None, 1])
def test_answers_that_are_none(desk: Desk, status: Any) -> None:
    asked = desk.ask(desk.task())["approval"]["id"]
    assert desk.answer(asked, status).status == 400


def test_frames_of_approvals(desk: Desk) -> None:
    with desk.wire.socket() as socket:
        frame(socket, "connected")
        task = desk.task()
        asked = desk.ask(task)["approval"]["id"]
        created = frame(socket, "approval_created")
        assert (created["approval"]["id"], created["taskIds"]) == (asked, [task])
        desk.answer(asked, "approved")
        got = [frame(socket, kind) for kind in ("approval_updated", "task_updated")]
        assert (got[0]["approval"]["status"], got[0]["taskIds"]) == ("approved", [task])
        assert (got[1]["task"]["id"], got[1]["task"]["state"]) == (task, "done")


# -- quirks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["approved", "rejected"])
def test_quirk_no_company_token_answers(desk: Desk, status: str) -> None:
    """In the original an agent's token approves its own request."""
    asked = desk.ask(desk.task())["approval"]["id"]
    reply = desk.wire.patch(f"/approvals/{asked}", {"status": status}, key=None)
    assert reply.status == 403 and reply["error"]
    assert desk.wire.get(f"/approvals/{asked}")["approval"]["status"] == "pending"


@pytest.mark.parametrize("first, second", [("approved", "rejected"), ("rejected", "approved")])
def test_quirk_an_answer_stands(desk: Desk, first: str, second: str) -> None:
    """The original flips what is resolved."""
    asked = desk.ask(desk.task())["approval"]["id"]
    desk.answer(asked, first)
    assert (desk.answer(asked, second).status, desk.answer(asked, first).status) == (409, 409)
    assert desk.wire.get(f"/approvals/{asked}")["approval"]["status"] == first


def test_quirk_the_resolver_is_who_answered(desk: Desk) -> None:
    """The original believes `resolverUserId`."""
    asked = desk.ask(desk.task())["approval"]["id"]
    row = desk.answer(asked, "approved", resolverUserId="somebody else")["approval"]
    assert "somebody" not in row["resolverUserId"]


def test_another_companys_approval_is_not_there(desk: Desk, found: Callable[..., Wire]) -> None:
    asked = desk.ask(desk.task())["approval"]["id"]
    other = found()
    assert other.get(f"/approvals/{asked}").status == 404
    assert other.get("/approvals")["approvals"] == []
