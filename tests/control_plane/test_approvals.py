"""Approvals over the wire of a running daemon: asked by a refusal, parked, answered, used."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.backends.local import interpreter
from homarus.base.action import Action
from homarus.company import agents
from homarus.kernel import tokens
from homarus.store.port import Tx
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.ground import ManualClock

WAIT_S = 20.0
DAY_MS = 86_400_000
COMMAND = "files.wipe"


async def ok(reply: Any) -> Any:
    assert reply.status_code < 300, reply.text
    return reply.json()


class Desk:
    """A daemon with a capability that needs an approval, an agent that runs commands, a project."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.project = ""
        self.agent = ""
        self.secrets: dict[str, str] = {}

    async def set_up(self) -> None:
        daemon = self.daemon
        await self.register("print('wiped')")
        self.agent = await daemon.agent("runner", role="runner")
        await ok(
            await daemon.owner.patch(
                f"/api/v1/agents/{self.agent}", json={"executor": "command"}, headers=key()
            )
        )
        self.project = await daemon.project()

    async def register(self, code: str) -> None:
        body = {
            "id": COMMAND, "title": "Wipe the files", "trusted": True, "approval": True,
            "argv": [interpreter().python, "-c", code],
        }  # fmt: skip
        await ok(await self.daemon.owner.post("/api/v1/capabilities", json=body))

    async def task(self, **body: Any) -> dict[str, Any]:
        asked = {
            "projectId": self.project, "taskType": "wipe_files", "title": "Wipe",
            "allowUnderspecified": True, "capability": COMMAND,
        }  # fmt: skip
        reply = await self.daemon.owner.post("/api/v1/tasks", json=asked | body, headers=key())
        task: dict[str, Any] = (await ok(reply))["task"]
        return task

    async def seen(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = await ok(await self.daemon.owner.get(f"/api/v1/tasks/{task}"))
        task_: dict[str, Any] = found["task"]
        return task_

    async def queue(self, task: str) -> None:
        """An operator's move by hand."""
        body = {"state": "queued"}
        await ok(await self.daemon.owner.post(f"/api/v1/tasks/{task}/move", json=body))

    async def until(self, task: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The task once it is as wanted; woken by commits."""
        changed = asyncio.Event()
        undo = self.daemon.app.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    changed.clear()
                    row = await self.seen(task)
                    if fits(row):
                        return row
                    await changed.wait()
        finally:
            undo()

    async def parked(self, task: str) -> dict[str, Any]:
        return await self.until(task, lambda row: row["blockedReason"] == "approval")

    async def approvals(self, **query: str) -> list[dict[str, Any]]:
        reply = await self.daemon.owner.get("/api/v1/approvals", params=query)
        rows: list[dict[str, Any]] = (await ok(reply))["approvals"]
        return rows

    async def only(self, **query: str) -> dict[str, Any]:
        rows = await self.approvals(**query)
        assert len(rows) == 1, rows
        return rows[0]

    async def operator(self, role: str) -> Any:
        _, secret = await self.daemon.token(kind="operator", role=role, name=f"the {role}")
        return self.daemon.client(secret)

    async def answer(self, approval: str, word: str, by: Any = None, **body: Any) -> Any:
        by = self.daemon.owner if by is None else by
        return await by.post(f"/api/v1/approvals/{approval}/{word}", json=body, headers=key())


@asynccontextmanager
async def open_desk(home: Path, clock: ManualClock | None = None) -> AsyncIterator[Desk]:
    async with running(home, clock=clock, lease_watch_s=0.05) as daemon:
        desk = Desk(daemon)
        await desk.set_up()
        yield desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path) as made:
        yield made


# -- the way of an approval ------------------------------------------------------------------


async def test_a_worker_is_released_while_waiting_and_goes_on_when_approved(desk: Desk) -> None:
    task = await desk.task()
    row = await desk.parked(task["id"])
    assert (row["canonicalState"], row["state"]) == ("blocked", "review")
    assert (row["assignedAgentId"], row["leaseUntil"]) == (desk.agent, None)
    asked = await desk.only(status="pending")
    assert (asked["kind"], asked["capability"], asked["number"]) == ("act", COMMAND, "A-1")
    assert asked["taskIds"] == [task["id"]]
    assert "wiped" in asked["what"]
    assert row["approvalSummary"] == {
        "total": 1, "pending": 1, "latestPendingApprovalId": asked["id"],
    }  # fmt: skip
    agent = (await ok(await desk.daemon.owner.get(f"/api/v1/agents/{desk.agent}")))["agent"]
    assert agent["activeTasks"] == 0
    reply = await desk.answer("A-1", "approve", note="go")
    assert reply.json()["approval"]["status"] == "approved"
    row = await desk.until(task["id"], lambda row: row["canonicalState"] == "done")
    assert row["outputJson"]["stdout"] == "wiped\n"
    used = await desk.only()
    assert (used["status"], used["uses"], used["resolutionNote"]) == ("used", 1, "go")
    query = {"capability": COMMAND, "verdict": "allow", "company": desk.daemon.company_id}
    rows = (await ok(await desk.daemon.owner.get("/api/v1/receipts", params=query)))["receipts"]
    ran = next(row for row in reversed(rows) if row.get("outcome") is None)
    query = {"company": desk.daemon.company_id}
    why = await ok(await desk.daemon.owner.get(f"/api/v1/why/{ran['id']}", params=query))
    approval = why["answer"]["approval"]
    assert (approval["id"], approval["number"], approval["status"]) == (used["id"], "A-1", "used")


async def test_a_rejected_act_stays_with_its_reason(desk: Desk) -> None:
    task = await desk.task()
    await desk.parked(task["id"])
    await ok(await desk.answer("A-1", "reject", note="not on a Friday"))
    row = await desk.seen(task["id"])
    assert row["canonicalState"] == "blocked"
    assert row["blockedReason"] == "approval A-1 rejected: not on a Friday"
    await desk.queue(task["id"])
    await desk.until(
        task["id"], lambda row: (row["blockedReason"] or "").startswith("approval A-1 rejected")
    )
    assert len(await desk.approvals()) == 1, "what was refused is not asked again and again"


async def test_a_pending_approval_survives_three_restarts(tmp_path: Path) -> None:
    task = ""
    for life in range(4):
        async with running(tmp_path) as daemon:
            desk = Desk(daemon)
            if life == 0:
                await desk.set_up()
                task = (await desk.task())["id"]
                await desk.parked(task)
            asked = await desk.only(status="pending")
            row = await desk.seen(task)
            assert (asked["number"], row["blockedReason"]) == ("A-1", "approval")
            if life == 3:
                await ok(await desk.answer(asked["id"], "approve"))
                await desk.until(task, lambda row: row["canonicalState"] == "done")


async def test_an_approval_given_before_a_restart_is_used_after_it(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        desk = Desk(daemon)
        await desk.set_up()
        task = (await desk.task())["id"]
        await desk.parked(task)
        stop = {"scope": "agent", "subject": desk.agent, "reason": "wait"}
        stopped = (await ok(await daemon.owner.post("/api/v1/stops", json=stop)))["stop"]["id"]
        await ok(await desk.answer("A-1", "approve"))
    async with running(tmp_path) as daemon:
        desk = Desk(daemon)
        await ok(await daemon.owner.delete(f"/api/v1/stops/{stopped}"))
        await desk.until(task, lambda row: row["canonicalState"] == "done")
        assert (await desk.only())["status"] == "used"


async def test_the_second_answer_is_told_by_whom_and_when(desk: Desk) -> None:
    await desk.parked((await desk.task())["id"])
    first, second = await desk.operator("approver"), await desk.operator("approver")
    both = await asyncio.gather(
        desk.answer("A-1", "approve", first), desk.answer("A-1", "reject", second)
    )
    assert sorted(reply.status_code for reply in both) == [200, 409]
    late = next(reply for reply in both if reply.status_code == 409).json()
    assert late["code"] == "approval.decided"
    row = await desk.only()
    assert "by the approver at " in late["error"]
    assert late["details"]["decidedBy"] == row["resolverUserId"]
    assert late["details"]["decidedAt"] == row["resolvedAt"]


@pytest.mark.parametrize("ahead_ms, status, code", [(-1, 200, None), (0, 409, "approval.over")])
async def test_the_deadline_is_exact(
    tmp_path: Path, ahead_ms: int, status: int, code: str | None
) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock=clock) as daemon:
        desk = Desk(daemon)
        await desk.set_up()
        await desk.parked((await desk.task())["id"])
        daemon.app.maintenance.expire_approvals = _nothing  # type: ignore[method-assign]
        clock.advance(DAY_MS + ahead_ms)
        reply = await desk.answer("A-1", "approve")
        assert (reply.status_code, reply.json().get("code")) == (status, code)


async def _nothing() -> None:
    return


async def test_what_nobody_answers_expires_and_is_asked_anew(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_desk(tmp_path, clock) as desk:
        task = (await desk.task())["id"]
        await desk.parked(task)
        clock.advance(DAY_MS)
        row = await desk.until(task, lambda row: row["blockedReason"] == "approval A-1 expired")
        assert row["canonicalState"] == "blocked"
        reply = await desk.answer("A-1", "approve")
        assert (reply.status_code, reply.json()["code"]) == (409, "approval.decided")
        await desk.queue(task)
        await desk.parked(task)
        assert [a["number"] for a in await desk.approvals(status="pending")] == ["A-2"]


async def test_a_changed_payload_voids_the_question(desk: Desk) -> None:
    task = (await desk.task())["id"]
    await desk.parked(task)
    await desk.register("print('something else')")
    await desk.queue(task)
    row = await desk.until(task, lambda row: row["approvalSummary"]["total"] == 2)
    asked = {a["number"]: a for a in await desk.approvals()}
    assert {n: a["status"] for n, a in asked.items()} == {"A-1": "voided", "A-2": "pending"}
    assert asked["A-1"]["payloadHash"] != asked["A-2"]["payloadHash"]
    assert row["approvalSummary"]["pending"] == 1
    reply = await desk.answer("A-1", "approve")
    assert (reply.status_code, reply.json()["code"]) == (409, "approval.decided")


async def test_a_changed_payload_is_not_covered_by_what_was_approved(desk: Desk) -> None:
    task = (await desk.task())["id"]
    await desk.parked(task)
    stop = {"scope": "agent", "subject": desk.agent}
    stopped = (await ok(await desk.daemon.owner.post("/api/v1/stops", json=stop)))["stop"]["id"]
    await ok(await desk.answer("A-1", "approve"))
    await desk.register("print('something else')")
    await ok(await desk.daemon.owner.delete(f"/api/v1/stops/{stopped}"))
    await desk.until(task, lambda row: row["approvalSummary"]["pending"] == 1)
    assert {a["number"]: a["status"] for a in await desk.approvals()} == {
        "A-1": "approved", "A-2": "pending",
    }  # fmt: skip


# -- who may answer --------------------------------------------------------------------------


async def hired(daemon: Daemon, role: str) -> str:
    """An agent of a governed role: only a change record makes one, or the daemon itself."""

    def hire(tx: Tx) -> str:
        return agents.create(tx, agents.AgentChange(name=role, role=role)).id

    owner = await daemon.app.store.read(tokens.by_secret, daemon.owner_token)
    action = Action(daemon.company_id, "agent.create", "agent:new", credential=owner.id)
    return await daemon.app.store.write(action, hire)


@pytest.mark.parametrize(
    "who, status, code",
    [
        ("nobody", 401, None),
        ("runtime", 403, "permission.capability"),
        ("viewer", 403, "permission.capability"),
        ("operator", 403, "permission.capability"),
        ("requester", 403, "approval.requester"),
        ("coder", 403, "approval.role"),
        ("asking operator", 403, "approval.requester"),
        ("approver", 200, None),
        ("owner", 200, None),
        ("coo", 200, None),
    ],
)
@pytest.mark.parametrize("way", ["POST", "PATCH"])
async def test_who_may_answer(
    daemon: Daemon, who: str, way: str, status: int, code: str | None
) -> None:
    desk = Desk(daemon)
    asker = await desk.operator("approver")
    staff = {name: await daemon.agent(name, role=name) for name in ("coder", "asker")}
    staff["coo"] = await hired(daemon, "coo")
    by_agent = {}
    for name, agent in staff.items():
        _, secret = await daemon.token(kind="agent", agentId=agent)
        by_agent[name] = daemon.client(secret)
    asking = asker if who == "asking operator" else by_agent["asker"]
    body = {"actionType": "publish", "rationale": "it is ready", "risk": "high"}
    await ok(await asking.post("/api/v1/approvals", json=body, headers=key()))
    client = {
        "nobody": daemon.anybody, "runtime": daemon.company, "requester": by_agent["asker"],
        "coder": by_agent["coder"], "coo": by_agent["coo"], "asking operator": asker,
        "owner": daemon.owner,
    }.get(who) or await desk.operator(who)  # fmt: skip
    if way == "PATCH":
        reply = await client.patch(
            "/api/v1/approvals/A-1", json={"status": "approved"}, headers=key()
        )
    else:
        reply = await desk.answer("A-1", "approve", client)
    assert reply.status_code == status, reply.text
    if code is not None:
        assert reply.json()["code"] == code
        assert reply.json()["receipt"]


async def test_who_acts_by_the_token_that_asked_cannot_answer(daemon: Daemon) -> None:
    await daemon.agent("ada")
    asked = {"actionType": "publish", "requesterAgentId": "ada"}
    await ok(await daemon.owner.post("/api/v1/approvals", json=asked, headers=key()))
    reply = await Desk(daemon).answer("A-1", "approve")
    assert (reply.status_code, reply.json()["code"]) == (403, "approval.requester")


# -- done, once a person accepts it ----------------------------------------------------------


@pytest.mark.parametrize(
    "word, wire, canonical", [("approved", "done", "done"), ("rejected", "review", "review")]
)
async def test_a_done_that_a_person_accepts(
    daemon: Daemon, word: str, wire: str, canonical: str
) -> None:
    """The control plane's own shapes: 409 with the approval, PATCH, then done or review."""
    await daemon.agent("ada")
    project = await daemon.project()
    body = {
        "projectId": project, "taskType": "write_page", "title": "Write",
        "allowUnderspecified": True, "humanApprovalRequired": True,
    }  # fmt: skip
    await ok(await daemon.company.post("/api/mcp/tasks", json=body, headers=key()))
    claim = await daemon.company.post(
        "/api/mcp/tasks/claim", json={"agentId": "ada"}, headers=key()
    )
    task = claim.json()["task"]["id"]
    report = {"agentId": "ada", "state": "done", "outputJson": {"pages": 1}, "comment": "written"}
    asked = []
    for _ in range(2):
        reply = await daemon.company.post(
            f"/api/mcp/tasks/{task}/result", json=report, headers=key()
        )
        assert (reply.status_code, reply.json()["code"]) == (409, "task.policy_approval")
        asked.append(reply.json()["approval"])
    assert asked[0] == asked[1]
    assert (asked[0]["actionType"], asked[0]["taskIds"]) == ("task_done", [task])
    assert asked[0]["rationale"] == "written"
    again = {"projectId": project, "taskIds": [task], "requesterAgentId": "ada"}
    same = await ok(await daemon.company.post("/api/mcp/approvals", json=again, headers=key()))
    assert same["approval"]["id"] == asked[0]["id"]
    path = f"/api/mcp/approvals/{asked[0]['id']}"
    reply = await daemon.company.patch(path, json={"status": word}, headers=key())
    assert reply.status_code == 403, "a company token never resolves approvals"
    reply = await daemon.owner.patch(path, json={"status": word, "resolutionNote": "seen"})
    assert (await ok(reply))["approval"]["status"] == word
    row = (await ok(await daemon.company.get(path)))["tasks"][0]
    assert (row["state"], row["canonicalState"]) == (wire, canonical)
    detail = (await ok(await daemon.company.get(f"/api/mcp/tasks/{task}")))["task"]
    assert detail["outputJson"] == {"pages": 1}
    listed = await ok(await daemon.company.get(f"/api/mcp/approvals?projectId={project}"))
    assert [a["status"] for a in listed["approvals"]] == [word]


async def test_lists_have_filters_and_a_cursor(daemon: Daemon) -> None:
    desk = Desk(daemon)
    for n in range(5):
        body = {"actionType": "publish", "what": f"Thing {n}"}
        await ok(await daemon.company.post("/api/v1/approvals", json=body, headers=key()))
    await ok(await desk.answer("A-2", "approve"))
    assert [a["number"] for a in await desk.approvals(status="approved")] == ["A-2"]
    first = await ok(await daemon.owner.get("/api/v1/approvals?limit=3"))
    assert [a["number"] for a in first["approvals"]] == ["A-5", "A-4", "A-3"]
    rest = await ok(
        await daemon.owner.get("/api/v1/approvals", params={"cursor": first["nextCursor"]})
    )
    assert [a["number"] for a in rest["approvals"]] == ["A-2", "A-1"]
    for query, code in (
        ({"status": "maybe"}, "approval.status"),
        ({"cursor": "x"}, "request.cursor"),
        ({"taskId": "nonsense"}, "request.bad_id"),
    ):
        reply = await daemon.owner.get("/api/v1/approvals", params=query)
        assert (reply.status_code, reply.json()["code"]) == (400, code)
    reply = await daemon.owner.get("/api/v1/approvals/A-99")
    assert (reply.status_code, reply.json()["code"]) == (404, "approval.unknown")
