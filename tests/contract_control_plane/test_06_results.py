"""Contract, 6.6: the policy of a result, row by row, in its order."""

from typing import Any

import pytest

from tests.contract_control_plane.wire import Answer, Wire

POLICY = {
    "requireApprovalForDone": "a person accepts what is done",
    "requireReviewBeforeDone": "done only out of review",
    "onlyLeadCanChangeStatus": "the lead's to move",
}


class Work:
    """A task in hand of a project with these policies; `lead` leads it, `agent` does not."""

    def __init__(
        self, wire: Wire, *, by_lead: bool = False, task: Any = None, **policy: Any
    ) -> None:
        self.wire = wire
        self.agent: str = wire.agent(concurrencyLimit=20)["id"]
        self.lead: str = wire.agent(concurrencyLimit=20)["id"]
        self.project: str = wire.project(leadAgentId=self.lead, **policy)["id"]
        self.holder = self.lead if by_lead else self.agent
        self.task: str = wire.task(self.project, **(task or {}))["id"]
        taken = wire.post(f"/tasks/{self.task}/claim", {"agentId": self.holder})
        assert taken.status == 200, taken.body

    def result(self, state: str, *, agent: str | None = None, **more: Any) -> Answer:
        body = {"state": state, "agentId": agent or self.holder} | more
        return self.wire.post(f"/tasks/{self.task}/result", body)

    def ask(self) -> str:
        body = {"projectId": self.project, "taskIds": [self.task]}
        asked = self.wire.post("/approvals", body, key=None)
        assert asked.status == 201, asked.body
        return str(asked["approval"]["id"])

    @property
    def state(self) -> str:
        return str(self.wire.get(f"/tasks/{self.task}")["task"]["state"])


# -- no policy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["done", "failed", "review", "inbox", "in_progress"])
def test_without_a_policy_all_pass(wire: Wire, state: str) -> None:
    work = Work(wire)
    reply = work.result(state, outputJson={"n": 1}, comment="c", confidence=0.9)
    assert reply.status == 200 and reply["message"]
    assert (reply["task"]["state"], reply["task"]["outputJson"]) == (state, {"n": 1})


@pytest.mark.parametrize("output", [None, {}, [], "text", 5, {"deep": [{"x": None}]}])
def test_any_json_is_an_output(wire: Wire, output: Any) -> None:
    work = Work(wire)
    assert work.result("done", outputJson=output).status == 200
    assert wire.get(f"/tasks/{work.task}")["task"]["outputJson"] == output


@pytest.mark.parametrize(
    "body", [{}, {"state": "done"}, {"agentId": "a"}, {"state": "finished", "agentId": "a"}]
)
def test_a_result_that_says_too_little(wire: Wire, body: dict[str, Any]) -> None:
    work = Work(wire)
    given = body | ({"agentId": work.agent} if "agentId" in body else {})
    assert wire.post(f"/tasks/{work.task}/result", given).status == 400


def test_an_unknown_task_is_404(wire: Wire) -> None:
    body = {"state": "done", "agentId": wire.agent()["id"]}
    assert wire.post(f"/tasks/{wire.id}/result", body).status == 404


# -- the rows, in their order ----------------------------------------------------------------------


@pytest.mark.parametrize("state", ["done", "review", "failed", "inbox", "in_progress"])
def test_row_1_not_the_assigned_agent(wire: Wire, state: str) -> None:
    work = Work(wire)
    assert work.result(state, agent=work.lead).status == 409
    assert work.state == "in_progress"


@pytest.mark.parametrize(
    "state, status", [("done", 409), ("failed", 409), ("inbox", 409), ("review", 200)]
)
def test_row_2_nothing_moves_while_an_approval_waits(wire: Wire, state: str, status: int) -> None:
    work = Work(wire, blockStatusChangesWithPendingApproval=True)
    work.ask()
    assert work.result(state).status == status
    assert work.state == ("review" if status == 200 else "in_progress")


def test_row_2_counts_only_while_it_waits(wire: Wire, person: Wire) -> None:
    work = Work(wire, blockStatusChangesWithPendingApproval=True)
    asked = work.ask()
    person.patch(f"/approvals/{asked}", {"status": "rejected"}, key=None)
    assert work.state == "review"
    assert work.result("failed").status == 200


def test_row_3a_done_while_an_approval_waits(wire: Wire) -> None:
    work = Work(wire, by_lead=True, requireApprovalForDone=True)
    asked = work.ask()
    reply = work.result("done")
    assert reply.status == 409
    assert reply["approval"]["id"] == asked, "the one that waits, not another"


def test_row_3b_done_only_out_of_review(wire: Wire) -> None:
    work = Work(wire, by_lead=True, requireReviewBeforeDone=True)
    assert work.result("done").status == 409
    assert work.result("review").status == 200
    assert work.result("done").status == 200


def test_row_3c_done_is_the_leads(wire: Wire) -> None:
    work = Work(wire, onlyLeadCanChangeStatus=True)
    assert work.result("done").status == 409
    assert Work(wire, by_lead=True, onlyLeadCanChangeStatus=True).result("done").status == 200


@pytest.mark.parametrize(
    "comment, status", [(None, 409), ("", 409), ("  \n", 409), ("see the diff", 200)]
)
def test_row_4_a_review_wants_a_comment(wire: Wire, comment: str | None, status: int) -> None:
    work = Work(wire, commentRequiredForReview=True)
    assert work.result("review", comment=comment).status == status


def test_row_4_asks_nothing_of_other_targets(wire: Wire) -> None:
    for state in ("done", "failed"):
        assert Work(wire, commentRequiredForReview=True).result(state).status == 200


@pytest.mark.parametrize(
    "state, status",
    [("review", 200), ("failed", 200), ("done", 409), ("inbox", 409)],
)
def test_row_5_who_does_not_lead_may_ask_for_review_or_fail(
    wire: Wire, state: str, status: int
) -> None:
    assert Work(wire, onlyLeadCanChangeStatus=True).result(state).status == status


@pytest.mark.parametrize("policy", sorted(POLICY))
def test_row_6_workers_go_through_review(wire: Wire, policy: str) -> None:
    work = Work(wire, **{policy: True})
    reply = work.result("done")
    assert reply.status == 409 and reply["error"]
    assert work.state in ("in_progress", "review")


@pytest.mark.parametrize("by", ["task", "project"])
def test_row_7_done_that_a_person_has_to_accept(wire: Wire, person: Wire, by: str) -> None:
    if by == "task":
        work = Work(wire, task={"humanApprovalRequired": True})
    else:
        work = Work(wire, by_lead=True, requireApprovalForDone=True)
    reply = work.result("done", outputJson={"n": 1}, comment="all green")
    assert reply.status == 409
    approval = reply["approval"]
    assert (approval["status"], approval["taskIds"]) == ("pending", [work.task])
    again = work.result("done", outputJson={"n": 1}, comment="all green")
    assert (again.status, again["approval"]["id"]) == (409, approval["id"])
    row = wire.get(f"/tasks/{work.task}")["task"]
    assert (row["state"], row["approvalSummary"]["pending"]) == ("review", 1)
    assert row["approvalSummary"]["latestPendingApprovalId"] == approval["id"]
    person.patch(f"/approvals/{approval['id']}", {"status": "approved"}, key=None)
    done = wire.get(f"/tasks/{work.task}")["task"]
    assert (done["state"], done["outputJson"]) == ("done", {"n": 1})


def test_the_order_of_the_rows(wire: Wire) -> None:
    """With all policies on, the first row that forbids answers."""
    every = dict.fromkeys(POLICY, True) | {
        "commentRequiredForReview": True,
        "blockStatusChangesWithPendingApproval": True,
    }
    work = Work(wire, **every)
    assert work.result("done", agent=work.lead)["code"] == "divert.wild_task"
    asked = work.ask()
    assert work.result("done")["code"] == "task.policy_pending"
    assert work.result("review")["code"] == "task.policy_comment_missing"
    assert work.result("review", comment="c").status == 200
    assert wire.post(f"/approvals/{asked}/cancel", {}, key=None).status == 200
    fresh = Work(wire, **every)
    assert fresh.result("done")["code"] == "task.policy_review_first"
    assert fresh.result("inbox")["code"] == "task.policy_lead_only"


def test_quirk_proofs_of_the_project_are_kept_with_the_task(wire: Wire) -> None:
    """`proofRequired` is stored, and enforced by a typed Definition of Done alone (design, 6)."""
    work = Work(wire, task={"proofRequired": True, "proofTypesJson": ["screenshot"]})
    row = wire.get(f"/tasks/{work.task}")["task"]
    assert (row["proofRequired"], row["proofTypesJson"]) == (True, ["screenshot"])
    assert work.result("done").status == 200
