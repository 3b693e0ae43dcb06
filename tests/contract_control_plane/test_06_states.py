"""Contract, 6.4: states, their aliases, and who may move a task from where to where.

The original lets PATCH and result move anything anywhere. Ours is the legal set that the contract
names, the same by every road.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract_control_plane.wire import Answer, Wire, frame

STATES = ("inbox", "in_progress", "review", "done", "failed", "dead_letter")
SHORT_LEASE_S = 5
"""The shortest lease there is: a task whose agent never reports again is taken back after it."""


class Tasks:
    """Makes tasks in any state, and asks for others."""

    def __init__(self, wire: Wire, person: Wire) -> None:
        self.wire, self.person = wire, person
        self.agent: str = wire.agent(concurrencyLimit=1000)["id"]
        self.project: str = wire.project(maxActiveAgents=100)["id"]

    def inbox(self, **more: Any) -> str:
        return str(self.wire.task(self.project, **more)["id"])

    def claim(self, task: str, **more: Any) -> Answer:
        return self.wire.post(f"/tasks/{task}/claim", {"agentId": self.agent} | more)

    def result(self, task: str, state: str, **more: Any) -> Answer:
        body = {"state": state, "agentId": self.agent} | more
        return self.wire.post(f"/tasks/{task}/result", body)

    def state(self, task: str) -> str:
        return str(self.wire.get(f"/tasks/{task}")["task"]["state"])

    def put(self, state: str) -> str:
        """A task in this state; the dead letter is made once, for it takes SHORT_LEASE_S."""
        if state == "dead_letter":
            return self.dead_letter
        task = self.inbox()
        if state != "inbox":
            assert self.claim(task)["task"]["state"] == "in_progress"
        if state not in ("inbox", "in_progress"):
            assert self.result(task, state)["task"]["state"] == state
        return task

    def prepare(self) -> None:
        with self.wire.socket() as socket:
            frame(socket, "connected")
            self.dead_letter = self.inbox(maxRetries=0)
            self.claim(self.dead_letter, leaseSeconds=SHORT_LEASE_S)
            while self.state(self.dead_letter) != "dead_letter":
                frame(socket, "task_updated")


@pytest.fixture(scope="module")
def tasks(wire: Wire, person: Wire) -> Iterator[Tasks]:
    made = Tasks(wire, person)
    made.prepare()
    yield made


# -- aliases -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alias, state",
    [
        ("queued", "inbox"),
        ("running", "in_progress"),
        ("inprogress", "in_progress"),
        ("in-progress", "in_progress"),
        ("needs_review", "review"),
        ("needs-review", "review"),
        *((state, state) for state in STATES if state != "dead_letter"),
    ],
)
def test_aliases_of_a_result_and_of_a_list(tasks: Tasks, alias: str, state: str) -> None:
    task = tasks.put("in_progress")
    assert tasks.result(task, alias)["task"]["state"] == state
    listed = tasks.wire.get(f"/tasks?state={alias}&projectId={tasks.project}&limit=500")["tasks"]
    assert task in {row["id"] for row in listed}
    assert {row["state"] for row in listed} == {state}


@pytest.mark.parametrize("word", ["dead_letter", "recurrent", "DONE", "", "archived", None, 5])
def test_states_that_cannot_be_requested(tasks: Tasks, word: Any) -> None:
    task = tasks.put("in_progress")
    assert tasks.result(task, word).status == 400
    assert tasks.state(task) == "in_progress"


# -- the roads of the table --------------------------------------------------------------------


def test_a_new_task_is_always_in_the_inbox(tasks: Tasks) -> None:
    for more in ({}, {"state": "done"}, {"assignedAgentId": tasks.agent}):
        assert tasks.state(tasks.inbox(**more)) == "inbox"


def test_a_claim_takes_a_lease_of_ten_minutes(tasks: Tasks) -> None:
    task = tasks.put("in_progress")
    row = tasks.wire.get(f"/tasks/{task}")["task"]
    assert row["assignedAgentId"] == row["leaseOwner"] == tasks.agent
    assert row["processingStartedAt"]
    assert seconds(row["leaseUntil"]) - seconds(row["processingStartedAt"]) == 600


def seconds(stamp: str) -> int:
    """Of the day; the tests do not run over midnight for ten minutes twice."""
    hours, minutes, rest = stamp.partition("T")[2].split(":")
    return (int(hours) * 60 + int(minutes)) * 60 + int(rest[:2])


@pytest.mark.parametrize("state", ["in_progress", "done", "failed", "dead_letter"])
def test_quirk_assign_with_mode_claim_steals_nothing(tasks: Tasks, state: str) -> None:
    """The original checks neither state nor owner nor lease."""
    task, thief = tasks.put(state), tasks.wire.agent()["id"]
    reply = tasks.wire.post(f"/tasks/{task}/assign", {"agentId": thief, "mode": "claim"})
    assert (reply.status, reply["code"]) == (409, "task.not_claimable")
    assert tasks.state(task) == state


LEGAL_RESULTS = {
    "in_progress": {"in_progress", "inbox", "review", "done", "failed"},
    "review": {"review", "inbox", "done", "failed"},
    "done": {"done"},
    "failed": {"failed"},
}
"""(from, to) of a result by the task's agent. From review to in_progress it claims again."""


@pytest.mark.parametrize("to", [state for state in STATES if state != "dead_letter"])
@pytest.mark.parametrize("of", STATES)
def test_results_move_a_task_where_they_may(tasks: Tasks, of: str, to: str) -> None:
    task = tasks.put(of)
    reply = tasks.result(task, to)
    if to in LEGAL_RESULTS.get(of, ()):
        assert reply.status == 200, reply.body
        assert reply["message"] and tasks.state(task) == to
    else:
        assert reply.status == 409 and reply["error"]
        assert tasks.state(task) == of


def test_every_target_of_a_result_but_in_progress_ends_the_lease(tasks: Tasks) -> None:
    for state in ("review", "done", "failed", "inbox"):
        row = tasks.result(tasks.put("in_progress"), state)["task"]
        assert (row["leaseUntil"], row["leaseOwner"]) == (None, None)


def test_the_agent_takes_its_task_back_out_of_review(tasks: Tasks) -> None:
    task = tasks.put("review")
    assert tasks.claim(task)["task"]["state"] == "in_progress"


@pytest.mark.parametrize("state", ["done", "failed", "review"])
def test_the_same_result_again_is_a_success(tasks: Tasks, state: str) -> None:
    task = tasks.put("in_progress")
    first = tasks.result(task, state, outputJson={"a": 1}, comment="so")
    again = tasks.result(task, state, outputJson={"a": 1}, comment="so")
    assert (first.status, again.status) == (200, 200)
    other = tasks.result(task, state, outputJson={"a": 2}, comment="so")
    assert other.status == 409, "what was said first stands"


# -- PATCH -------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["done", "failed", "review", "in_progress"])
@pytest.mark.parametrize("of", ["inbox", "in_progress", "review", "done", "failed"])
def test_quirk_a_patch_of_nobody_moves_nothing(tasks: Tasks, of: str, to: str) -> None:
    """The original moves anything anywhere, with any company token and no policy."""
    task = tasks.put(of)
    reply = tasks.wire.patch(f"/tasks/{task}", {"state": to})
    assert reply.status == (200 if of == to else 409), reply.body
    assert tasks.state(task) == of


LEGAL_BY_HAND = {
    ("in_progress", "inbox"),
    ("review", "inbox"),
    ("review", "done"),
    ("review", "failed"),
    ("done", "review"),
    ("failed", "inbox"),
    ("dead_letter", "inbox"),
}


@pytest.mark.parametrize("to", [state for state in STATES if state != "dead_letter"])
@pytest.mark.parametrize("of", STATES[:-1])
def test_a_persons_patch_moves_within_the_legal_set(tasks: Tasks, of: str, to: str) -> None:
    task = tasks.put(of)
    reply = tasks.person.patch(f"/tasks/{task}", {"state": to})
    if of == to or (of, to) in LEGAL_BY_HAND:
        assert reply.status == 200, reply.body
        assert tasks.state(task) == to
    else:
        assert (reply.status, reply["code"]) == (409, "task.illegal_move")
        assert tasks.state(task) == of


def test_a_dead_letter_is_queued_again_by_a_person_alone(wire: Wire, person: Wire) -> None:
    tasks = Tasks(wire, person)
    tasks.prepare()
    task = tasks.dead_letter
    assert wire.patch(f"/tasks/{task}", {"state": "inbox"}).status == 409
    assert tasks.result(task, "inbox").status == 409
    row = person.patch(f"/tasks/{task}", {"state": "inbox"})["task"]
    assert (row["state"], row["retries"], row["assignedAgentId"]) == ("inbox", 0, None)


# -- approvals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status, state", [("approved", "done"), ("rejected", "review")])
@pytest.mark.parametrize("of", ["in_progress", "review"])
def test_an_approvals_answer_moves_its_task(tasks: Tasks, of: str, status: str, state: str) -> None:
    task = tasks.put(of)
    body = {"projectId": tasks.project, "taskIds": [task]}
    asked = tasks.wire.post("/approvals", body, key=None)["approval"]["id"]
    answered = tasks.person.patch(f"/approvals/{asked}", {"status": status}, key=None)
    assert answered.status == 200, answered.body
    row = tasks.wire.get(f"/tasks/{task}")["task"]
    assert (row["state"], row["leaseUntil"]) == (state, None)


# -- what is nobody's to see -------------------------------------------------------------------


def test_another_companys_task_moves_for_nobody(tasks: Tasks, found: Callable[..., Wire]) -> None:
    other = found()
    agent, task = other.agent()["id"], tasks.put("inbox")
    for path in (f"/tasks/{task}/claim", f"/tasks/{task}/assign"):
        assert other.post(path, {"agentId": agent}).status == 404
    assert other.post(f"/tasks/{task}/result", {"state": "done", "agentId": agent}).status == 404
    assert other.patch(f"/tasks/{task}", {"title": "t"}).status == 404
    assert other.delete(f"/tasks/{task}").status == 404
