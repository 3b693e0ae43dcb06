"""Contract, 6.3 and 6.5: what a claim gets, in which order, and how its reply looks."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Wire, frame

RAW = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
BOTH_CASINGS = (
    ("company_id", "companyId"),
    ("project_id", "projectId"),
    ("task_type", "taskType"),
    ("assigned_agent_id", "assignedAgentId"),
    ("lease_owner", "leaseOwner"),
    ("max_retries", "maxRetries"),
    ("input_json", "inputJson"),
    ("output_json", "outputJson"),
    ("blocked_by_task_ids", "blockedByTaskIds"),
)


class Desk:
    """A company with one project and nothing else: what a claim gets is what a case queued."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.project: str = wire.project(maxActiveAgents=100)["id"]

    def agent(self, role: str = "operator", **more: Any) -> str:
        return str(self.wire.agent(role=role, concurrencyLimit=50, **more)["id"])

    def task(self, **more: Any) -> str:
        return str(self.wire.task(self.project, **more)["id"])

    def claim(self, agent: str, **more: Any) -> str | None:
        reply = self.wire.post("/tasks/claim", {"agentId": agent} | more)
        assert reply.status == 200, reply.body
        return None if reply["task"] is None else str(reply["task"]["id"])

    def finish(self, agent: str, task: str, state: str = "done") -> None:
        body = {"state": state, "agentId": agent}
        assert self.wire.post(f"/tasks/{task}/result", body).status == 200


@pytest.fixture
def desk(found: Callable[..., Wire]) -> Desk:
    return Desk(found())


# -- 6.3 -------------------------------------------------------------------------------------


def test_must_send_both_casings_of_the_claimed_task(desk: Desk) -> None:
    agent, task = desk.agent(), desk.task(priority=2)
    reply = desk.wire.post("/tasks/claim", {"agentId": agent})
    assert reply.status == 200 and reply["message"]
    claimed = reply["task"]
    assert (claimed["id"], claimed["state"], claimed["priority"]) == (task, "in_progress", 2)
    assert claimed["projectId"] == desk.project
    for raw, camel in BOTH_CASINGS:
        assert claimed[raw] == claimed[camel], raw


def test_raw_times_have_a_space_and_no_zone(desk: Desk) -> None:
    desk.task()
    claimed = desk.wire.post("/tasks/claim", {"agentId": desk.agent()})["task"]
    for name in ("created_at", "updated_at", "lease_until", "processing_started_at"):
        assert RAW.fullmatch(claimed[name]), name


@pytest.mark.parametrize("of", ["id", "name"])
def test_the_lease_owner_is_the_agent_as_the_caller_named_it(desk: Desk, of: str) -> None:
    desk.task()
    agent = desk.wire.agent()
    claimed = desk.wire.post("/tasks/claim", {"agentId": agent[of]})["task"]
    assert claimed["lease_owner"] == agent[of]
    assert claimed["assigned_agent_id"] == agent["id"]


def test_the_claims_frame_is_raw_too(desk: Desk) -> None:
    agent, task = desk.agent(), desk.task()
    with desk.wire.socket() as socket:
        frame(socket, "connected")
        claimed = desk.wire.post("/tasks/claim", {"agentId": agent})["task"]
        got = frame(socket, "task_updated")["task"]
    assert got["id"] == task
    told = {k: v for k, v in claimed.items() if k not in ("lease_token", "leaseToken")}
    assert got == told, "but the fence"


def test_the_time_line_says_who_claimed(desk: Desk) -> None:
    agent, task = desk.agent(), desk.task()
    desk.claim(agent)
    event = desk.wire.get(f"/tasks/{task}/notes")["events"][-1]
    assert (event["eventType"], event["actorType"]) == ("task_claimed", "agent")
    assert event["actorId"] == agent


# -- what is a candidate -----------------------------------------------------------------------


def test_rule_1_only_what_waits_in_the_inbox_of_ones_own_company(
    desk: Desk, found: Callable[..., Wire]
) -> None:
    agent, other = desk.agent(), Desk(found())
    other.task()
    desk.wire.delete(f"/tasks/{desk.task()}")
    held = desk.task()
    assert desk.claim(agent) == held
    assert desk.claim(agent) is None, "in progress"
    desk.finish(agent, held, "review")
    assert desk.claim(agent) is None, "in review"


def test_rule_1_a_lost_reply_is_readopted_when_asked(desk: Desk) -> None:
    """The original gives back an own task without a lease; here each has one, so it is asked."""
    agent, task = desk.agent(), desk.task()
    assert desk.claim(agent) == task
    assert desk.claim(agent) is None
    assert desk.claim(agent, readopt=True) == task


def test_rule_2_what_is_assigned(desk: Desk) -> None:
    me, other = desk.agent(), desk.agent()
    desk.task(assignee={"type": "human", "id": str(uuid4())})
    theirs = desk.task(assignedAgentId=other)
    assert desk.claim(me) is None
    mine = desk.task(assignedAgentId=me)
    assert desk.claim(me) == mine
    assert desk.claim(other) == theirs
    desk.task(assignedAgentId=other)
    free = desk.task()
    assert desk.claim(me) == free


@pytest.mark.parametrize(
    "wants, role, strict, gets",
    [
        (None, "builder", True, True),
        ("builder", "builder", True, True),
        ("builder", "Builder", True, False),
        ("builder", "reviewer", True, False),
        ("builder", "reviewer", False, True),
        ("", "reviewer", True, True),
    ],
)
def test_rule_3_roles(desk: Desk, wants: str | None, role: str, strict: bool, gets: bool) -> None:
    task = desk.task(**({} if wants is None else {"ownerRole": wants}))
    assert desk.claim(desk.agent(role), strictOwnerRole=strict) == (task if gets else None)


def test_rule_3_is_strict_by_default(desk: Desk) -> None:
    desk.task(ownerRole="builder")
    assert desk.claim(desk.agent("reviewer")) is None


def test_rule_4_blockers_must_be_done(desk: Desk) -> None:
    agent = desk.agent()
    first = desk.task()
    second = desk.task(blockedByTaskIds=[first])
    third = desk.task(blockedByTaskIds=[first, second])
    for expected, then in ((first, None), (second, None), (third, None)):
        assert desk.claim(agent) == expected
        assert desk.claim(agent) is then
        desk.finish(agent, expected)


def test_rule_4_a_failed_blocker_blocks_and_a_deleted_one_does_not(desk: Desk) -> None:
    """The original lets a deleted blocker block for ever."""
    agent = desk.agent()
    failed, deleted = desk.task(), desk.task()
    desk.task(blockedByTaskIds=[failed])
    free = desk.task(blockedByTaskIds=[deleted])
    assert desk.claim(agent) == failed
    desk.finish(agent, failed, "failed")
    desk.wire.delete(f"/tasks/{deleted}")
    assert desk.claim(agent) == free
    assert desk.claim(agent) is None


def test_rule_5_no_more_agents_at_work_than_the_project_takes(desk: Desk) -> None:
    project = desk.wire.project(maxActiveAgents=2)["id"]
    made = [desk.wire.task(project)["id"] for _ in range(4)]
    a, b, c = (desk.agent() for _ in range(3))
    assert [desk.claim(a), desk.claim(b)] == made[:2]
    assert desk.claim(c) is None, "the third agent"
    assert desk.claim(a) == made[2], "who is at work there may take more"
    desk.finish(b, made[1])
    assert desk.claim(c) == made[3]


# -- order -------------------------------------------------------------------------------------


def test_priority_first_then_age(desk: Desk) -> None:
    agent = desk.agent()
    made = {p: desk.task(priority=p) for p in (0, 5, -1)}
    later = desk.task(priority=5)
    elsewhere = desk.wire.task(desk.wire.project()["id"], priority=4)["id"]
    order = [made[5], later, elsewhere, made[0], made[-1]]
    assert [desk.claim(agent) for _ in order] == order


def test_a_patched_priority_counts(desk: Desk) -> None:
    first, second = desk.task(), desk.task()
    desk.wire.patch(f"/tasks/{second}", {"priority": 1})
    agent = desk.agent()
    assert [desk.claim(agent), desk.claim(agent)] == [second, first]


# -- what is no error ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "roles, gets",
    [
        (["builder"], True),
        (["x", "builder"], True),
        (["reviewer"], False),
        ([], True),
        (None, True),
    ],
)
def test_allowed_roles(desk: Desk, roles: list[str] | None, gets: bool) -> None:
    task = desk.task()
    assert desk.claim(desk.agent("builder"), allowedRoles=roles) == (task if gets else None)


def test_must_answer_200_and_null_when_there_is_nothing(desk: Desk) -> None:
    reply = desk.wire.post("/tasks/claim", {"agentId": desk.agent()})
    assert (reply.status, reply["task"]) == (200, None)
    assert reply["message"]


def test_an_unknown_agent_is_404(desk: Desk) -> None:
    assert desk.wire.post("/tasks/claim", {"agentId": "nobody"}).status == 404


@pytest.mark.parametrize(
    "body", [{}, {"agentId": 1}, {"strictOwnerRole": True}, [], "x", {"allowedRoles": "builder"}]
)
def test_quirk_a_claim_that_says_too_little_is_400(desk: Desk, body: Any) -> None:
    """The original answers 500 to some, with an empty body."""
    assert desk.wire.post("/tasks/claim", body).status == 400


@pytest.mark.parametrize("lease_s, status", [(4, 400), (5, 200), (3600, 200), (3601, 400)])
def test_lease_lengths(desk: Desk, lease_s: int, status: int) -> None:
    desk.task()
    body = {"agentId": desk.agent(), "leaseSeconds": lease_s}
    assert desk.wire.post("/tasks/claim", body).status == status


def test_each_claim_carries_a_higher_fence(desk: Desk) -> None:
    agent, task = desk.agent(), desk.task()
    fences = []
    for _ in range(3):
        fences.append(desk.wire.post("/tasks/claim", {"agentId": agent})["task"]["leaseToken"])
        desk.finish(agent, task, "inbox")
    assert fences == sorted(set(fences))
