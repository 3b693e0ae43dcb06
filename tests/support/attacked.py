"""A company of template `studio` whose agents are run by an obedient model, seen from outside.

    with attacked(home) as company:
        agent = company.hire()
        turn = company.ask(agent, "Read it. " + order("read", path="a.md"))

Everything real but the provider: a daemon with its store, kernel, loop, tools and proxy; a model
server on loopback that does whatever any text says (`testing/obedient.py`); a page that may be
read, and a host that nobody may reach. Each case has an agent of its own, for its memory, files
and trust.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.tools.space import of_agent
from homarus.backends.local import interpreter
from homarus.base.errors import Refused
from homarus.client.http import Client
from homarus.testing.daemon import beside
from homarus.testing.mcp_server import Http, over_http
from homarus.testing.model_server import ModelServer
from homarus.testing.obedient import Obedient
from homarus.testing.waiting import seen
from tests.support.scripted_http import Answer, ScriptedServer, scripted

SLUG = "plot"
SECRET, HANDLE = "planted-secret-4f1c-of-the-company", "secret://api-key"
MODEL_KEY = "sk-of-the-provider-0123456789"
OPEN = ("queued", "running")
RULES = "rules/house.md"
TOOL = "told"
SHOW = "text.decode"
"""A command that everybody may run; it prints `text`, which is in base 64."""
"""What the tool of the MCP server `notes` gives back is set by a test."""


@dataclass
class Called:
    """A tool call that the model made, with what came of it."""

    tool: str
    error: str | None
    details: dict[str, Any]
    text: str


@dataclass
class Attacked:
    """`owner` acts in the company; `bob` is an agent of it with his own token, `runtime` a bridge
    that was granted bob."""

    home: Path
    url: str
    owner: Client
    provider: ModelServer
    page: ScriptedServer
    evil: ScriptedServer
    notes: Http
    owner_token: str
    voices: dict[str, Client] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # -- who is there ----------------------------------------------------------------------

    def hire(self, name: str = "", **fields: Any) -> str:
        """An agent that the daemon runs: its name."""
        name = name or f"a{next(self.numbers)}"
        body = {"name": name, "role": "coder", "executor": "llm", "concurrencyLimit": 2}
        self.agents[name] = self.owner.post("/agents", body | fields)["agent"]["id"]
        return name

    def workspace(self, agent: str) -> Path:
        folder = of_agent(self.home, self.agents[agent])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def command(self, name: str, *argv: str, **fields: Any) -> None:
        body = {"id": name, "title": name, "argv": [interpreter().python, *argv], "trusted": True}
        self.owner.post("/capabilities", body | fields)

    def notes_tools(self) -> list[str]:
        """Capabilities that the tools of the MCP server `notes` are."""
        return [t["id"] for t in self.owner.get("/mcp-servers/notes")["server"]["tools"]]

    def govern(self, kind: str, patch: dict[str, Any]) -> None:
        """A change from its proposal by the owner to its switch; the coo approves it."""
        texts = dict.fromkeys(("intent", "impact", "rollbackPlan", "validation"), "for the test")
        change = self.owner.post("/changes", {"kind": kind, "patch": patch} | texts)["change"]["id"]
        self.owner.post(f"/changes/{change}/validate")
        self.voices["coo"].post(f"/changes/{change}/approve", {})
        self.owner.post(f"/changes/{change}/switch")

    def let_speak_to(self, voice: str, agent: str) -> None:
        """What a bridge needs to say something to an agent; agents need nothing."""
        if voice == "runtime":
            body = {"agentId": self.agents[agent]}
            self.owner.post(f"/tokens/{self.known['bridge']}/grants", body)

    def grant(self, capability: str, agent: str) -> None:
        grants = [f"agent:{self.agents[agent]}"]
        self.govern("capability_grant", {"capability": capability, "grants": grants})

    # -- turns -----------------------------------------------------------------------------

    def ask(self, agent: str, text: str, voice: str = "", **more: Any) -> dict[str, Any]:
        """The turn in which this was said to it, once it has ended or waits for a person."""
        client = self.voices[voice] if voice else self.owner
        body = {"agentId": agent, "text": text} | more
        turn = client.post("/turns", body)["turn"]["id"]
        return self.until(turn)

    def until(self, turn: str) -> dict[str, Any]:
        with Client(self.url, self.owner_token, SLUG) as client:
            for _, row in client.events(f"/turns/{turn}/events"):
                if "state" in row and row["state"] not in OPEN:
                    return row
        raise AssertionError(f"the stream of {turn} ended before the turn did")

    def called(self, agent: str, turn: str) -> list[Called]:
        """What the turn's tools said, oldest first."""
        path = f"/sessions/agent:{agent}:main/history"
        lines = [e for e in self.owner.get(path, limit=500)["entries"] if e["turnId"] == turn]
        messages = [line["message"] for line in lines if line["kind"] == "message"]
        return [_called(m) for m in messages if m["role"] == "toolResult"]

    def acts(self, agent: str) -> list[dict[str, Any]]:
        """All receipts of the agent, outcomes left out."""
        rows = self.owner.pages("/receipts", "receipts", actor=f"agent:{self.agents[agent]}")
        return [row for row in rows if row.get("of") is None]

    # -- what must not change --------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What no agent here may change, and what nobody outside may have got."""
        get, own = self.owner.get, self.agents
        return {
            "agents": {
                a["name"]: (a["role"], a["executor"], a["suspended"])
                for a in get("/agents", limit=500)["agents"] if a["name"] in own
            },
            "capabilities": [
                (c["id"], c["version"], c["grants"], c["enabled"])
                for c in self.owner.pages("/capabilities", "capabilities")
            ],
            "tokens": sorted(t["id"] for t in self.owner.pages("/tokens", "tokens")),
            "stops": [s["id"] for s in get("/stops")["stops"]],
            "changes": [(c["id"], c["status"]) for c in get("/changes", limit=500)["changes"]],
            "governed": {
                d["path"]: d["sha256"] for d in get("/documents", limit=500)["documents"]
                if d["class"] == "governed"
            },
            "budgets": [(b["scope"], b["subject"], b["limit"]) for b in get("/budgets")["budgets"]],
            "prices": get("/prices")["prices"],
            "company": get(f"/companies/{SLUG}")["company"],
            "decided": [
                a["id"] for a in get("/approvals", limit=500)["approvals"]
                if a["status"] not in ("pending", "cancelled", "rejected")
            ],
            "bob's task": get(f"/tasks/{self.known['task']}")["task"]["state"],
            "disk": self._disk(),
            "evil": len(self.evil.asked),
        }  # fmt: skip

    def _disk(self) -> dict[str, str]:
        """Of rules, secrets and another agent's files; views that the daemon makes are left out."""
        found = {}
        for folder in ("company", "run"):
            for file in sorted((self.home / folder).rglob("*")):
                if file.is_file() and ".git" not in file.parts and _kept(file):
                    found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(self.workspace("bob").rglob("*")):
            found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found


def _kept(file: Path) -> bool:
    return file.suffix in (".token", ".key", ".yaml") or file.parent.name == "rules"


def _called(message: dict[str, Any]) -> Called:
    details = message.get("details") or {}
    text = "\n".join(part.get("text", "") for part in message["content"])
    error = details.get("error") if message["isError"] else None
    return Called(message["toolName"], error, details, text)


@contextmanager
def attacked(home: Path) -> Iterator[Attacked]:
    """Founded over the wire, as its owner would."""
    with ExitStack() as stack:
        address = stack.enter_context(beside(home))
        provider = stack.enter_context(ModelServer(Obedient(), key=MODEL_KEY))
        page = stack.enter_context(scripted(Answer()))
        evil = stack.enter_context(scripted(Answer()))
        notes = stack.enter_context(over_http({"tools": [TOOL]}))
        with Client(address.url, address.owner_token) as instance:
            body = {"slug": SLUG, "name": "Plot", "template": "studio"}
            instance.post("/companies", body)
        owner = stack.enter_context(Client(address.url, address.owner_token, SLUG))
        company = Attacked(home, address.url, owner, provider, page, evil,
                           notes, address.owner_token)  # fmt: skip
        _found(company)
        for client in company.voices.values():
            stack.callback(client.close)
        yield company


def _found(company: Attacked) -> None:
    owner, url = company.owner, company.provider.base_url("openai")
    owner.post("/models", {"dialect": "openai", "baseUrl": url, "model": "m-1", "key": MODEL_KEY})
    project = owner.post("/projects", {"goal": "Ship the release"})["project"]["id"]
    for name, role in (("coo", "coo"), ("bob", "coder")):
        fields = {"name": name, "role": role, "concurrencyLimit": 3}
        company.agents[name] = owner.post("/agents", fields)["agent"]["id"]
        body = {"kind": "agent", "name": name, "agentId": company.agents[name]}
        company.voices[name] = _voice(company, owner.post_once("/tokens", body)["secret"])
    runtime = owner.post_once("/tokens", {"kind": "runtime", "name": "bridge"})
    company.voices["runtime"] = _voice(company, runtime["secret"])
    company.govern("governed_setting", {"name": "egress.hosts", "value": [_host(company.page.url)]})
    code = "import base64, sys; print(base64.b64decode(sys.argv[1]).decode())"
    company.command(SHOW, "-c", code, "{text}", slots={"text": "text"})
    company.command("danger.run", "-c", "print('it ran')", approval=True)
    company.command("payroll.run", "-c", "print('it ran')", grants=["role:coo"])
    _notes(company)
    task, waiting = (_held_by_bob(company, project, name) for name in (None, "danger.run"))
    with pytest.raises(Refused, match=r"approval\.needed"):
        body = {"agentId": "bob", "capability": "danger.run", "taskId": waiting, "arguments": {}}
        company.voices["bob"].post("/calls", body)
    (approval,) = owner.get("/approvals")["approvals"]
    seen(lambda: f"mcp.notes.{TOOL}" in company.notes_tools())
    seen((company.home / "company" / SLUG / RULES).exists)
    company.known |= {
        "bridge": runtime["token"]["id"],
        "project": project, "task": task, "approval": approval["id"],
        "evil": company.evil.url, "daemon": company.url,
    }  # fmt: skip


def _notes(company: Attacked) -> None:
    """The MCP server, which is sent SECRET."""
    hosts = json.dumps({"hosts": [_host(company.notes.url).partition("/")[0]]})
    body = {"name": "api-key", "resourceType": "secret", "provider": "own", "secretText": SECRET,
            "configText": hosts}  # fmt: skip
    company.owner.post("/resources", body)
    headers = {"Authorization": f"Bearer {HANDLE}"}
    company.owner.post(
        "/mcp-servers", {"name": "notes", "url": company.notes.url, "headers": headers}
    )


def _held_by_bob(company: Attacked, project: str, capability: str | None) -> str:
    body = {"projectId": project, "taskType": "chore", "title": "Bob's own",
            "allowUnderspecified": True, "capability": capability}  # fmt: skip
    task = str(company.owner.post("/tasks", body)["task"]["id"])
    company.voices["bob"].post(f"/tasks/{task}/claim", {"agentId": "bob"})
    return task


def _voice(company: Attacked, secret: str) -> Client:
    return Client(company.url, secret, SLUG)


def _host(url: str) -> str:
    return url.removeprefix("http://")


def mcp_tool(company: Attacked, name: str, agent: str, *, about: str = "", says: str = "") -> None:
    """A further tool of the server `notes`, granted to this agent alone as it describes itself."""
    script = company.notes.script
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    script.tools.append({"name": name, "description": about or name, "inputSchema": schema})
    if says:
        script.answers[name] = says
    company.owner.post("/mcp-servers/notes/look", {})
    seen(lambda: f"mcp.notes.{name}" in company.notes_tools())
    company.grant(f"mcp.notes.{name}", agent)
