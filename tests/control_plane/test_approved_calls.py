"""Calls of an agent that works elsewhere: refused, asked, answered, made; and ended by STOP."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from homarus.backends.local import interpreter
from homarus.testing.daemon import Daemon, key

COMMAND = "letters.send"
WAIT_S = 30.0


class Caller:
    """An agent with its own token that holds a task, and calls a capability."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.task = ""

    async def set_up(self, code: str, **more: Any) -> None:
        daemon = self.daemon
        body = {
            "id": COMMAND, "title": "Send a letter", "trusted": True, "risk": "high",
            "argv": [interpreter().python, "-c", code, "{to}"], "slots": {"to": "text"},
        }  # fmt: skip
        reply = await daemon.owner.post("/api/v1/capabilities", json=body | more)
        assert reply.status_code == 201, reply.text
        agent = await daemon.agent("clerk")
        _, secret = await daemon.token(kind="agent", agentId=agent)
        self.client = daemon.client(secret)
        project = await daemon.project()
        asked = {
            "projectId": project, "taskType": "send_letter", "allowUnderspecified": True,
            "title": "Send", "capability": COMMAND,
        }  # fmt: skip
        reply = await daemon.owner.post("/api/v1/tasks", json=asked, headers=key())
        self.task = reply.json()["task"]["id"]

    async def claim(self) -> None:
        reply = await self.client.post(
            "/api/v1/tasks/claim", json={"agentId": "clerk"}, headers=key()
        )
        assert reply.json()["task"]["id"] == self.task, reply.text

    async def call(self, to: str = "ada", headers: dict[str, str] | None = None) -> Any:
        body = {"capability": COMMAND, "taskId": self.task, "arguments": {"to": to}}
        return await self.client.post("/api/v1/calls", json=body, headers=headers or key())

    async def until(self, path: str, fits: Callable[[Any], bool]) -> Any:
        changed = asyncio.Event()
        undo = self.daemon.app.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    changed.clear()
                    found = (await self.daemon.owner.get(f"/api/v1{path}")).json()
                    if fits(found):
                        return found
                    with contextlib.suppress(TimeoutError):  # the start of a call is no event
                        await asyncio.wait_for(changed.wait(), 0.1)
        finally:
            undo()


async def test_a_call_waits_for_its_approval(daemon: Daemon) -> None:
    caller = Caller(daemon)
    await caller.set_up("import sys; print('to', sys.argv[1])", approval=True)
    await caller.claim()
    once = key()
    for headers in (once, once):
        reply = await caller.call(headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (403, "approval.needed")
        assert reply.json()["rule"] == "approval"
        assert reply.json()["details"]["number"] == "A-1"
    row = (await daemon.owner.get("/api/v1/approvals/A-1")).json()["approval"]
    assert (row["risk"], '"to":"ada"' in row["what"].replace(" ", "")) == ("high", True)
    task = (await daemon.owner.get(f"/api/v1/tasks/{caller.task}")).json()["task"]
    assert (task["canonicalState"], task["blockedReason"]) == ("blocked", "approval")
    reply = await daemon.owner.post("/api/v1/approvals/A-1/approve", json={})
    assert reply.status_code == 200
    await caller.claim()
    other = await caller.call("bob")
    assert (other.status_code, other.json()["details"]["number"]) == (403, "A-2")
    await daemon.owner.post("/api/v1/approvals/A-2/reject", json={"note": "not bob"})
    await daemon.owner.post(f"/api/v1/tasks/{caller.task}/move", json={"state": "queued"})
    await caller.claim()
    made = await caller.call(headers=once)
    assert made.status_code == 202, made.text
    found = await caller.until(
        f"/calls/{made.json()['call']['id']}", lambda body: body["call"]["state"] == "done"
    )
    assert found["call"]["output"]["stdout"] == "to ada\n"
    assert (await caller.call(headers=once)).json() == made.json(), "a resend uses nothing up"
    again = await caller.call()
    assert (again.status_code, again.json()["code"]) == (403, "approval.needed")


async def test_stop_ends_a_call(daemon: Daemon) -> None:
    caller = Caller(daemon)
    await caller.set_up("import time; open('begun', 'w').close(); time.sleep(60)")
    await caller.claim()
    made = await caller.call()
    assert made.status_code == 202, made.text
    path = f"/calls/{made.json()['call']['id']}"
    await caller.until(path, lambda body: body["call"]["state"] == "running")
    await daemon.owner.post("/api/v1/stops", json={"scope": "task", "subject": caller.task})
    found = await caller.until(path, lambda body: body["call"]["state"] == "failed")
    assert "cancelled" in found["call"]["reason"] or "STOP" in found["call"]["reason"]


async def test_what_was_asked_ahead_covers_exactly_that_call(daemon: Daemon) -> None:
    """The requester chooses neither the risk nor what the approver reads."""
    caller = Caller(daemon)
    await caller.set_up("print('sent')", approval=True)
    await caller.claim()
    body = {
        "capability": COMMAND, "taskIds": [caller.task], "arguments": {"to": "ada"},
        "risk": "low", "what": "nothing much",
    }  # fmt: skip
    reply = await caller.client.post("/api/v1/approvals", json=body, headers=key())
    assert reply.status_code == 201, reply.text
    row = reply.json()["approval"]
    assert row["risk"] == "high"
    assert row["what"].startswith(f"Send a letter ({COMMAND}): " + '{"to":"ada"}')
    await daemon.owner.post(f"/api/v1/approvals/{row['number']}/approve", json={})
    assert (await caller.call("bob")).json()["code"] == "approval.needed"
    await daemon.owner.post("/api/v1/approvals/A-2/cancel", json={})
    await caller.claim()
    assert (await caller.call("ada")).status_code == 202
