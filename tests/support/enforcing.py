"""A company of level enforce with a roster, behind a running daemon, reached over REST alone."""

import itertools
from typing import Any

from homarus.testing.daemon import Daemon

_keys = itertools.count(1)


class Office:
    """`who`: clients by name: agents with tokens of their own, `owner`, further operators.

    Every call answers `(status, body)`.
    """

    def __init__(self, daemon: Daemon, slug: str) -> None:
        self.daemon = daemon
        self.slug = slug
        self.agents: dict[str, str] = {}
        self.who: dict[str, Any] = {}
        self.project = ""

    def client(self, token: str) -> Any:
        return self.daemon.client(token, **{"X-Homarus-Company": self.slug})

    async def call(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Idempotency-Key": f"office-{next(_keys)}"}
        reply = await self.who[who].request(
            method, f"/api/v1{path}", json=body, headers=headers if method != "GET" else None
        )
        return reply.status_code, reply.json()

    async def ok(self, who: str, method: str, path: str, body: Any = None) -> Any:
        status, reply = await self.call(who, method, path, body)
        assert status < 300, (status, reply)
        return reply

    async def refused(
        self, who: str, method: str, path: str, body: Any = None
    ) -> tuple[int, str, str | None]:
        """Status, code and rule of a refusal that says what to do."""
        status, reply = await self.call(who, method, path, body)
        assert status >= 400, reply
        error = reply["error"] if isinstance(reply.get("error"), dict) else reply
        assert error.get("remedy"), reply
        return status, error["code"], error.get("rule")

    async def get(self, path: str) -> Any:
        return await self.ok("owner", "GET", path)

    # -- who -------------------------------------------------------------------------------

    async def token(self, **body: Any) -> Any:
        here = {"X-Homarus-Company": self.slug}
        reply = await self.daemon.owner.post(
            "/api/v1/tokens", json={"name": "t"} | body, headers=here
        )
        reply.raise_for_status()
        return self.client(reply.json()["secret"])

    async def hire(self, name: str, role: str | None = None, **more: Any) -> str:
        body = {"name": name, "role": role, "concurrencyLimit": 5} | more
        made = await self.ok("owner", "POST", "/agents", body)
        self.agents[name] = made["agent"]["id"]
        self.who[name] = await self.token(kind="agent", agentId=self.agents[name])
        return self.agents[name]

    # -- tasks -----------------------------------------------------------------------------

    async def task(
        self, title: str, *labels: str, as_: str = "owner", type: str = "some_work", **more: Any
    ) -> Any:
        given = more.pop("input", {}) | ({"labels": list(labels)} if labels else {})
        body = {
            "projectId": self.project, "taskType": type, "title": title, "inputJson": given,
            "allowUnderspecified": True,
        } | more  # fmt: skip
        return (await self.ok(as_, "POST", "/tasks", body))["task"]

    async def see(self, task: Any) -> Any:
        return (await self.get(f"/tasks/{task['id']}"))["task"]

    async def gates(self, task: Any) -> Any:
        return (await self.get(f"/tasks/{task['id']}/gates"))["gates"]

    async def verdict(self, task: Any, gate: int) -> tuple[str, Any]:
        """Of the last evaluation: the word and the evidence."""
        row = (await self.gates(task))["decisions"][0]["verdicts"][gate - 1]
        return row["verdict"], row["evidence"]

    async def claim(self, who: str, task: Any = None) -> Any:
        if task is not None:
            body: Any = {"agentId": who}
            return (await self.ok(who, "POST", f"/tasks/{task['id']}/claim", body))["task"]
        return (await self.ok(who, "POST", "/tasks/claim", {"agentId": who}))["task"]

    async def result(self, who: str, task: Any, state: str = "done", **more: Any) -> Any:
        body = {"agentId": who, "state": state} | more
        return (await self.ok(who, "POST", f"/tasks/{task['id']}/result", body))["task"]


async def open_office(daemon: Daemon, slug: str = "acme", template: str = "studio") -> Office:
    """With coo, pm, scoder and coder, and a second operator `olga`."""
    company = {"slug": slug, "name": slug, "template": template}
    reply = await daemon.owner.post("/api/v1/companies", json=company)
    reply.raise_for_status()
    office = Office(daemon, slug)
    office.who["owner"] = office.client(daemon.owner_token)
    for role in ("coo", "pm", "scoder", "coder"):
        await office.hire(role, role)
    office.who["olga"] = await office.token(kind="operator", role="operator", name="olga")
    made = await office.ok("owner", "POST", "/projects", {"goal": "Ship"})
    office.project = made["project"]["id"]
    return office
