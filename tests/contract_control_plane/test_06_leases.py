"""Contract, 6.7: leases end, deadlines pass, and both are told.

The cases share one wait: all leases are the shortest there are, and run out together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract_control_plane.wire import Wire, frame

SHORT_LEASE_S = 5
LONG_AGO = "2026-01-02T03:04:05.678Z"


@dataclass
class Lost:
    """Tasks whose leases ran out, and what the socket said of it."""

    wire: Wire
    agent: str
    retried: str
    dead: str
    kept: str
    frames: dict[str, dict[str, Any]]
    incidents: list[dict[str, Any]]

    def task(self, ref: str) -> dict[str, Any]:
        return dict(self.wire.get(f"/tasks/{ref}")["task"])


@pytest.fixture(scope="module")
def lost(wire: Wire) -> Iterator[Lost]:
    agent = wire.agent(concurrencyLimit=10)["id"]
    project = wire.project()["id"]
    retried, dead, kept = (wire.task(project, maxRetries=n)["id"] for n in (3, 0, 3))
    short = {"agentId": agent, "leaseSeconds": SHORT_LEASE_S}
    frames: dict[str, dict[str, Any]] = {}
    incidents: list[dict[str, Any]] = []
    with wire.socket() as socket:
        frame(socket, "connected")
        for task in (retried, dead):
            assert wire.post(f"/tasks/{task}/claim", short)["task"]["id"] == task
        wire.post(f"/tasks/{kept}/claim", short)
        beat = {"agentId": agent, "currentLoad": 1, "taskId": kept}
        assert wire.post("/agents/heartbeat", beat, key=None)["renewed"] == 1
        waiting = {retried, dead}
        while waiting:
            got = frame(socket, "task_updated")["task"]
            if got["id"] in waiting and got["state"] != "in_progress":
                frames[got["id"]] = got
                waiting.discard(got["id"])
        incidents.append(frame(socket, "incident_updated")["incident"])
    yield Lost(wire, agent, retried, dead, kept, frames, incidents)


def test_it_goes_back_to_the_inbox_with_one_retry_more(lost: Lost) -> None:
    row = lost.task(lost.retried)
    assert (row["state"], row["retries"]) == ("inbox", 1)
    nothing = ("assignedAgentId", "leaseOwner", "leaseUntil")
    assert [row[field] for field in nothing] == [None] * 3


def test_after_its_retries_it_is_a_dead_letter(lost: Lost) -> None:
    row = lost.task(lost.dead)
    assert (row["state"], row["retries"]) == ("dead_letter", 0)
    assert row["assignedAgentId"] == lost.agent, "who had it stays known"


def test_a_dead_letter_is_an_incident(lost: Lost) -> None:
    rows = lost.wire.get(f"/incidents?taskId={lost.dead}")["incidents"]
    found = {row["reasonCode"]: row["severity"] for row in rows}
    assert found["max_retries_exceeded"] == "high"
    assert lost.incidents[0]["taskId"] in (lost.dead, lost.retried)


@pytest.mark.parametrize(
    "which, kind", [("retried", "lease_expired_retry"), ("dead", "dead_lettered")]
)
def test_the_time_line_says_so(lost: Lost, which: str, kind: str) -> None:
    events = lost.wire.get(f"/tasks/{getattr(lost, which)}/notes")["events"]
    assert events[-1]["eventType"] == kind
    assert events[-1]["actorType"] == "system"


def test_must_not_name_an_assignee_in_the_frames(lost: Lost) -> None:
    """A stock bridge counts the task in its slots for ever (9, rule 3)."""
    for row in lost.frames.values():
        assert (row["assignedAgentId"], row["assignee"]) == (None, None)


def test_a_heartbeat_kept_the_other_one(lost: Lost) -> None:
    assert lost.task(lost.kept)["state"] == "in_progress"


@pytest.mark.parametrize("state", ["done", "failed", "review", "inbox", "in_progress"])
def test_after_it_a_result_is_409(lost: Lost, state: str) -> None:
    body = {"state": state, "agentId": lost.agent}
    for task in (lost.retried, lost.dead):
        assert lost.wire.post(f"/tasks/{task}/result", body).status == 409


def test_a_fence_that_was_lost_stays_lost_after_a_new_claim(lost: Lost) -> None:
    task = lost.retried
    again = lost.wire.post(f"/tasks/{task}/claim", {"agentId": lost.agent})["task"]
    assert again["leaseToken"] > 1
    stale = {"state": "done", "agentId": lost.agent, "leaseToken": again["leaseToken"] - 1}
    refused = lost.wire.post(f"/tasks/{task}/result", stale)
    assert (refused.status, refused["code"]) == (409, "task.lease_lost")
    fresh = stale | {"leaseToken": again["leaseToken"]}
    assert lost.wire.post(f"/tasks/{task}/result", fresh).status == 200


# -- a lease that is let go --------------------------------------------------------------------


def test_a_patch_of_the_assignee_waits_for_the_lease(wire: Wire) -> None:
    """QUIRK: the original clears the lease of whoever works on it."""
    agent, other = wire.agent()["id"], wire.agent()["id"]
    task = wire.task(wire.project()["id"])["id"]
    wire.post(f"/tasks/{task}/claim", {"agentId": agent})
    assert wire.patch(f"/tasks/{task}", {"assignedAgentId": other}).status == 409
    assert wire.get(f"/tasks/{task}")["task"]["assignedAgentId"] == agent


# -- deadlines ---------------------------------------------------------------------------------


def test_a_deadline_that_passes_is_an_incident(wire: Wire) -> None:
    project = wire.project()["id"]
    with wire.socket() as socket:
        frame(socket, "connected")
        task = wire.task(project, slaDueAt=LONG_AGO)
        assert task["slaDueAt"] == LONG_AGO
        got = frame(socket, "incident_updated")["incident"]
        while got["taskId"] != task["id"]:
            got = frame(socket, "incident_updated")["incident"]
    assert (got["severity"], got["reasonCode"]) == ("medium", "sla_breach")
    assert (got["status"], got["projectId"]) == ("open", project)


@pytest.mark.parametrize("due", ["2030-01-02T03:04:05.678Z", None])
def test_a_deadline_is_changed_by_a_patch(wire: Wire, due: str | None) -> None:
    task = wire.task(wire.project()["id"], slaDueAt="2031-01-02T03:04:05.678Z")["id"]
    assert wire.patch(f"/tasks/{task}", {"slaDueAt": due})["task"]["slaDueAt"] == due


@pytest.mark.parametrize("due", ["tomorrow", -1, "x" * 100])
def test_deadlines_that_are_none(wire: Wire, due: Any) -> None:
    task = wire.task(wire.project()["id"])["id"]
    assert wire.patch(f"/tasks/{task}", {"slaDueAt": due}).status == 400
