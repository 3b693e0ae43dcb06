"""A bridge as clients of the contract write them: what it sends, in the order it sends it.

Nothing here knows of preflights, notes or levels (control-plane contract, 13): a company token, an
agent, a session, a claim, notes, a checkpoint, a result, talk.
"""

from typing import Any, Final

import httpx2

from homarus.testing.daemon import key

MOUNT: Final = "/api/mcp"


class Bridge:
    """`answers`: (method, path, status) of every request, in order."""

    def __init__(self, client: httpx2.AsyncClient, **headers: str) -> None:
        self._client = client
        self._headers = headers
        self.answers: list[tuple[str, str, int]] = []

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self._client.request(
            method, MOUNT + path, json=body, headers=self._headers | (key() if body else {})
        )
        self.answers.append((method, path, reply.status_code))
        return reply.json()

    @property
    def failed(self) -> list[tuple[str, str, int]]:
        return [answer for answer in self.answers if answer[2] >= 400]

    async def work(self, project: str) -> None:
        """Register, take up work for two agents, talk, delegate, finish."""
        post = self.ask
        await post("POST", "/runtime/register", {"runtimeId": "node-1", "name": "laptop"})
        lead = (await post("POST", "/agents", {"name": "lead", "role": "manager"}))["agent"]["id"]
        hand = (await post("POST", "/agents", {"name": "hand", "role": "coder"}))["agent"]["id"]
        await post("POST", f"/agents/{lead}/sessions/start", {"openclawSessionId": "main"})
        started = await post("POST", f"/agents/{hand}/sessions/start", {"openclawSessionId": "w"})
        session = started["session"]["id"]
        await post("GET", f"/agents/{hand}/integrations")
        await post("POST", "/agents/heartbeat", {"agentId": hand, "currentLoad": 0})
        for title in ("Fix the parser", "Write the release notes", "Answer the customer's mail"):
            task = await post("POST", "/tasks", task_body(project, title, lead))
            task_id = task["task"]["id"]
            await post("POST", f"/tasks/{task_id}/assign", {"agentId": hand})
            await self._one_task(hand, lead, session)
        await post("GET", "/messages/sync?mode=all&sinceSeq=0")
        await post("POST", f"/agents/{hand}/sessions/{session}/end", {"status": "ended"})

    async def _one_task(self, hand: str, lead: str, session: str) -> None:
        post = self.ask
        claimed = await post("POST", "/tasks/claim", {"agentId": hand})
        task = claimed["task"]["id"]
        handoff = {"fromRole": "manager", "toRole": "coder", "summary": "s", "nextStep": "fix"}
        note = {"agentId": hand, "note": "Took it", "handoff": handoff}
        await post("POST", f"/tasks/{task}/notes", note)
        checkpoint = {"summary": "half way", "checkpointJson": {"step": 1}}
        await post("POST", f"/agents/{hand}/sessions/{session}/checkpoint", checkpoint)
        await post("POST", "/agents/heartbeat", {"agentId": hand, "currentLoad": 1, "taskId": task})
        say: dict[str, Any] = {"agentId": hand, "text": "On it", "thread_type": "team"}
        await post("POST", "/messages/send", say)
        tell = {"agentId": hand, "targetAgentId": lead, "text": "Half done"}
        await post("POST", "/messages/send", tell)
        await post("POST", f"/agents/{hand}/memory", {"content": "The parser hates tabs"})
        artifact = {"taskId": task, "agentId": hand, "kind": "report", "contentType": "text/plain",
                    "storageUrl": "https://files.example/r.txt", "sha256": "0" * 64,
                    "sizeBytes": 12}  # fmt: skip
        await post("POST", "/artifacts", artifact)
        result: dict[str, Any] = {"agentId": hand, "state": "in_progress", "outputJson": {"n": 1}}
        await post("POST", f"/tasks/{task}/result", result)
        result |= {"state": "done", "comment": "Done", "outputJson": {"n": 2}}
        await post("POST", f"/tasks/{task}/result", result)


def task_body(project: str, title: str, creator: str) -> dict[str, Any]:
    return {
        "projectId": project,
        "taskType": "chore",
        "title": title,
        "description": f"{title}, so that the release can go out.",
        "acceptanceCriteria": ["It is done"],
        "definitionOfDone": ["It is done"],
        "deliverables": ["a report"],
        "goal": "release",
        "ownerRole": "coder",
    }
