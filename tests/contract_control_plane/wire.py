"""The wire as a client of the original speaks it: `/api/mcp`, a company token, no knowledge of us.

reply = wire.post("/tasks/claim", {"agentId": agent})
assert (reply.status, reply.body["task"]) == (200, None)
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx2
from websockets.sync.client import ClientConnection, connect

MOUNT: Final = "/api/mcp"
TIMEOUT_S: Final = 40.0
FRAME_WAIT_S: Final = 10.0
MAX_FRAMES: Final = 500
NOBODY: Final = "01900000-0000-7000-8000-000000000000"
"""An id that nothing has; parameters of cases must be the same in every process."""

_keys = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """Status, parsed JSON body (None: it is none), headers, bytes."""

    status: int
    body: Any
    headers: Mapping[str, str]
    raw: bytes

    def __getitem__(self, name: str) -> Any:
        return self.body[name]


@dataclass
class Wire:
    """One identity at one daemon. `id`: its company. Paths are below `/api/mcp`, unless they begin
    with `/api/` or `!` (which takes the rest as it stands)."""

    url: str
    token: str | None
    id: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._client = httpx2.Client(base_url=self.url, timeout=TIMEOUT_S)

    def close(self) -> None:
        self._client.close()

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = "", **more: Any
    ) -> Answer:
        """`key` "": a fresh one; None: none is sent. `more` goes to the HTTP client."""
        headers = dict(self.headers) | more.pop("headers", {})
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if key is not None and method not in ("GET", "HEAD"):
            headers.setdefault("Idempotency-Key", key or f"wire-{next(_keys)}-{uuid4()}")
        if body is not None:
            more["json"] = body
        encoded = {name: value.encode() for name, value in headers.items()}
        full = path[1:] if path[0] == "!" else path if path.startswith("/api/") else MOUNT + path
        reply = self._client.request(method, full, headers=encoded, **more)
        try:
            parsed = json.loads(reply.content) if reply.content else None
        except ValueError:
            parsed = None
        return Answer(reply.status_code, parsed, reply.headers, reply.content)

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.call("DELETE", path, **more)

    # -- what most cases need ------------------------------------------------------------------

    def agent(self, name: str = "", role: str = "operator", **more: Any) -> dict[str, Any]:
        made = self.post("/agents", {"name": name or f"agent-{uuid4()}", "role": role, **more})
        assert made.status == 201, made.body
        return dict(made["agent"])

    def project(self, goal: str = "", **more: Any) -> dict[str, Any]:
        made = self.post("/projects", {"goal": goal or f"goal-{uuid4()}", **more})
        assert made.status == 201, made.body
        return dict(made["project"])

    def customer(self, name: str = "", **more: Any) -> dict[str, Any]:
        made = self.post("/customers", {"name": name or f"customer-{uuid4()}", **more})
        assert made.status == 201, made.body
        return dict(made["customer"])

    def task(self, project: str, **more: Any) -> dict[str, Any]:
        made = self.post("/tasks", spec(project) | more)
        assert made.status == 201, made.body
        return dict(made["task"])

    def socket(self) -> ClientConnection:
        """An open event socket; its first frame is `connected`."""
        url = f"ws{self.url.removeprefix('http')}{MOUNT}/ws"
        return connect(url, additional_headers={"Authorization": f"Bearer {self.token}"})


def as_agent(wire: Wire, person: Wire, agent: str) -> Wire:
    """The agent itself, by a token of its own that `person` minted."""
    body = {"kind": "agent", "name": "own", "agentId": agent}
    minted = person.post("/api/v1/tokens", body)
    assert minted.status == 201, minted.body
    return Wire(wire.url, minted["secret"], wire.id)


def spec(project: str) -> dict[str, Any]:
    """Body of a task that passes the specification check (contract, 6.2)."""
    return {
        "projectId": project,
        "taskType": "release_note",
        "title": "Write the notes",
        "description": "For the release",
        "acceptanceCriteria": ["all changes are named"],
        "definitionOfDone": "published",
        "deliverables": ["notes.md"],
    }


def frame(socket: ClientConnection, kind: str, **fields: Any) -> dict[str, Any]:
    """The next frame of this type with these fields; others are passed over."""
    for _ in range(MAX_FRAMES):
        got = json.loads(socket.recv(timeout=FRAME_WAIT_S))
        if got.get("type") == kind and all(got.get(k) == v for k, v in fields.items()):
            return dict(got)
    raise AssertionError(f"no frame {kind} among {MAX_FRAMES}")
