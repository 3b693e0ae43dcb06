"""A hundred thousand of each thing, loaded straight into the tables: copies of rows that a daemon
made over the wire, under ids, numbers and times of their own.

Of each thing two are made: the first is rare and stays alone, the second is copied. What a filter
finds by the first is the last row of the list, or the only one.
"""

from pathlib import Path
from typing import Any, Final

import apsw
import httpx2
import msgspec

from bench import office
from bench.daemon import daemon
from homarus.store.sqlite import files

TIMEOUT_S = 60.0
NUMBER: Final = "t.{0}+n.i"
OWN: Final = "substr(t.{0}, 1, 24) || 'f' || printf('%011x', n.i)"
NAME: Final = "t.{0} || '-' || n.i"

COPIED: Final[dict[str, dict[str, str]]] = {
    "agent": {"id": OWN, "no": NUMBER, "name": NAME, "created_ms": NUMBER},
    "customer": {"id": OWN, "name": NAME, "created_ms": NUMBER},
    "project": {"id": OWN, "no": NUMBER, "created_ms": NUMBER},
    "project_memory": {"id": OWN, "created_ms": NUMBER},
    "agent_memory_entry": {"id": OWN, "no": NUMBER, "created_ms": NUMBER},
    "task": {"id": OWN, "seq": NUMBER, "trace": OWN, "created_ms": NUMBER},
    "task_spec": {"task": OWN},
    "conversation": {"id": OWN, "no": NUMBER, "created_ms": NUMBER},
    "message": {"id": OWN, "seq": NUMBER, "created_ms": NUMBER},
    "artifact": {"id": OWN, "no": NUMBER, "created_ms": NUMBER},
    "incident": {"id": OWN, "no": NUMBER, "created_ms": NUMBER},
    "approval": {"id": OWN, "no": NUMBER, "created_ms": NUMBER},
    "approval_task": {"approval": OWN, "task": OWN},
    "budget": {"id": OWN, "subject": OWN},
    "receipt": {"seq": NUMBER, "at_ms": NUMBER},
    "event": {"seq": NUMBER, "at_ms": NUMBER},
    "project_card": {"id": OWN, "no": NUMBER, "created_ms": NUMBER},
    "resource": {"id": OWN, "no": NUMBER, "name": NAME, "created_ms": NUMBER},
}
"""Columns that each copy has for itself; `{0}` is the column's name."""

ORDER: Final = {"task_spec": "task", "approval_task": "approval"}
"""By what the newest row is found, where it is neither a number nor an id."""


class Seeded(msgspec.Struct, frozen=True):
    """`common` and `rare`: ids by kind (agent, project, customer, task, thread)."""

    home: Path
    company: str
    count: int
    common: dict[str, str]
    rare: dict[str, str]


def seed(home: Path, count: int) -> Seeded:
    """A home with `count` more of each row that is copied."""
    made = office.found(home, 1, 1)
    with daemon(home) as running:
        wire = httpx2.Client(base_url=running.url, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {running.owner}", "X-Homarus-Company": made.company}
        rare, common = (_one_of_each(wire, headers, word) for word in ("rare", "common"))
        wire.close()
    _copy_all(office.database(home), count)
    return Seeded(home, made.company, count, common, rare)


def _one_of_each(wire: httpx2.Client, headers: dict[str, str], word: str) -> dict[str, str]:
    keys = iter(range(1_000))

    def post(path: str, body: dict[str, Any]) -> Any:
        key = {"Idempotency-Key": f"{word}-{next(keys)}"}
        reply = wire.post(f"/api/mcp{path}", json=body, headers=headers | key)
        if reply.status_code not in (200, 201):
            raise RuntimeError(f"{path}: {reply.status_code} {reply.text}")
        return reply.json()

    agent = post("/agents", {"name": f"{word} agent", "role": word})["agent"]["id"]
    customer = post("/customers", {"name": f"{word} customer"})["customer"]["id"]
    goal = {"goal": f"a {word} goal", "customerId": customer, "leadAgentId": agent}
    project = post("/projects", goal)["project"]["id"]
    task = post("/tasks", {"projectId": project, "assignedAgentId": agent, **TASK})["task"]["id"]
    post(f"/projects/{project}/memory", {"content": "a line", "tags": ["x"]})
    post(f"/agents/{agent}/memory", {"content": "a line", "projectId": project})
    about = {"type": "project", "title": word, "projectId": project, "taskId": task}
    thread = post("/threads", about)["thread"]["id"]
    post(f"/threads/{thread}/messages", {"text": "a few words"})
    post("/incidents", INCIDENTS[word] | {"projectId": project, "taskId": task})
    asked = {"capability": "deploy.site", "what": "deploy", "projectId": project}
    post("/approvals", asked | {"taskIds": [task], "requesterAgentId": agent})
    post("/artifacts", ARTIFACT | {"projectId": project, "taskId": task, "kind": word})
    post("/resources", {"name": word, "resourceType": word, "provider": "p", "path": word})
    post("/cards", CARD | {"projectId": project, "title": word})
    limit = {"scope": "agent", "subject": agent, "unit": "money", "period": "month", "limit": 10**9}
    reply = wire.put("/api/mcp/budgets", json=limit, headers=headers)
    reply.raise_for_status()
    return {
        "agent": agent, "customer": customer, "project": project, "task": task, "thread": thread,
    }  # fmt: skip


TASK: Final = {
    "taskType": "count_words",
    "title": "Count the words of a page",
    "description": "All pages of the handbook.",
    "acceptanceCriteria": ["each page is counted"],
    "definitionOfDone": "counted",
    "deliverables": ["counts.csv"],
}
INCIDENTS: Final = {
    "rare": {"severity": "high", "reasonCode": "odd", "summary": "something odd"},
    "common": {"severity": "low", "reasonCode": "odd", "summary": "something odd"},
}
ARTIFACT: Final = {
    "contentType": "text/plain", "sha256": "ab" * 32, "sizeBytes": 10,
    "storageUrl": "https://files.example/a.txt",
}  # fmt: skip
CARD: Final = {
    "goal": "g",
    "deliverables": ["d"],
    "acceptance": ["a"],
    "roles": ["builder"],
    "risks": ["none"],
}


def _copy_all(path: Path, count: int) -> None:
    conn = files.open_writer(path)
    try:
        conn.pragma("synchronous", "off")
        conn.execute("begin immediate")
        for table, own in COPIED.items():
            _copy(conn, table, own, count)
        conn.execute("update counter set n=n+?", (count,))
        conn.execute(
            "update company_head set event_seq=event_seq+?1, receipt_seq=receipt_seq+?1 "
            "where company_no=1",
            (count,),
        )
        conn.execute("update resource_folder set n=n+? where path='common'", (count,))
        conn.execute("commit")
        conn.execute("analyze")
    finally:
        conn.close()


def _copy(conn: apsw.Connection, table: str, own: dict[str, str], count: int) -> None:
    """Copies of the table's newest row."""
    columns = [str(row[1]) for row in conn.execute(f"pragma table_info({table})")]
    order = ORDER.get(table) or next(c for c in ("seq", "no", "created_ms") if c in columns)
    row = ", ".join(own[c].format(c) if c in own else f"t.{c}" for c in columns)
    conn.execute(
        f"insert into {table} with recursive n(i) as "
        "(select 1 union all select i+1 from n where i<?) "
        f"select {row} from (select * from {table} order by {order} desc limit 1) t, n",
        (count,),
    )
