"""R5 through the wire of a running daemon: every dispatch between agents carries a routing note
(governance contract, 3 and 4). One table of what passes and what is refused, with exact bounds."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest

from homarus.kernel import routing
from homarus.kernel.keys import CompanyKeys, MasterKey
from homarus.kernel.routing import Note, Perm
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.ground import ManualClock

S = 1_000
_nonces = itertools.count(0x9F2C41D07BE35A68)


@dataclass
class Office:
    """pm holds a task; scoder and coo hold nothing. `clients` act with each agent's own token."""

    daemon: Daemon
    clock: ManualClock
    note_key: bytes
    project: str = ""
    agents: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    async def hire(self, name: str, **body: Any) -> None:
        reply = await self.daemon.owner.post(
            "/api/mcp/agents", json={"name": name, "concurrencyLimit": 5} | body, headers=key()
        )
        assert reply.status_code < 300, reply.text
        self.agents[name] = reply.json()["agent"]["id"]
        _, secret = await self.daemon.token(kind="agent", agentId=self.agents[name])
        self.clients[name] = self.daemon.client(secret)

    async def task(self, agent: str | None = None) -> dict[str, Any]:
        body = {"projectId": self.project, "taskType": "unit_test", "title": "t",
                "allowUnderspecified": True, "assignedAgentId": agent}  # fmt: skip
        reply = await self.daemon.owner.post("/api/mcp/tasks", json=body, headers=key())
        assert reply.status_code == 201, reply.text
        return reply.json()["task"]

    async def claim(self, agent: str, task: str) -> dict[str, Any]:
        reply = await self.clients[agent].post(f"/api/mcp/tasks/{task}/claim", json={})
        assert reply.status_code == 200, reply.text
        return reply.json()["task"]

    async def holding(self, agent: str) -> dict[str, Any]:
        return await self.claim(agent, (await self.task(agent))["id"])

    async def spawn(self, agent: str, target: str, note: str | None, **body: Any) -> Any:
        headers = body.pop("headers", {})
        full = {"targetAgentId": target, "task": "Design API architecture", "routingNote": note}
        return await self.clients[agent].post("/api/v1/spawns", json=full | body, headers=headers)

    async def chain(self, *names: str) -> dict[str, Any]:
        """Each agent spawns the next; the last one's claimed task."""
        task = await self.holding(names[0])
        for caller, callee in itertools.pairwise(names):
            reply = await self.spawn(caller, callee, short(caller, task))
            assert reply.status_code == 201, reply.text
            task = await self.claim(callee, reply.json()["task"]["id"])
        return task


def short(caller: str, task: dict[str, Any], perm: str = "read_write") -> str:
    return (
        f"[KERNEL_CONTEXT] caller={caller}, task_id={task['id']}, "
        f"trace_id={task['traceId']}, perm={perm}"
    )


@pytest.fixture
async def office(tmp_path):
    clock = ManualClock()
    home = tmp_path / "home"
    async with running(home, clock=clock) as daemon:
        master = MasterKey.from_file(home / "run/master.key")
        made = Office(daemon, clock, CompanyKeys(master).note_key(daemon.company_id))
        made.project = await daemon.project(maxActiveAgents=None)
        for name in ("pm", "scoder", "a1", "a2", "a3", "a4", "a5", "a6"):
            await made.hire(name)
        yield made


def long_note(office: Office, task: dict[str, Any], **change: Any) -> str:
    """A note that the company signed; `key` signs with another key, `age_s` dates it back."""
    made = Note(
        change.get("caller", "pm"),
        change.get("task_id", task["id"]),
        change.get("trace_id", task["traceId"]),
        Perm(change.get("perm", "read_write")),
    )
    at_ms = office.clock.now_ms() - change.get("age_s", 0) * S
    nonce = next(_nonces).to_bytes(8)
    signing = change.get("key", office.note_key)
    return routing.render(routing.complete(made, signing, now_ms=at_ms, nonce=nonce))


def code(reply: Any) -> str:
    return "" if reply.status_code < 300 else reply.json()["code"]


def signed_then(change: Any) -> Any:
    """The text of a good note, changed afterwards."""
    return lambda office, task: change(long_note(office, task))


def signed(**change: Any) -> Any:
    return lambda office, task: long_note(office, task, **change)


def written(text: str) -> Any:
    """A text with the task's own values for `{id}`, `{number}` and `{trace}`."""
    return lambda office, task: text.format(
        id=task["id"], number=task.get("number", ""), trace=task["traceId"]
    )


SHORT = "[KERNEL_CONTEXT] caller=pm, task_id={id}, trace_id={trace}, perm=read_write"
HEAD = "[DISPATCHER_ROUTING_NOTE]\n"

NOTES = [
    # what, note, code
    ("the manual's short form", written(SHORT), ""),
    ("with its first line", written(HEAD + SHORT), ""),
    ("narrower", written(SHORT.replace("read_write", "read")), ""),
    ("the manual's word for perm", written(SHORT.replace("perm=", "permission_scope=")), ""),
    ("keys in another order", written(
        "[KERNEL_CONTEXT] perm=read, trace_id={trace}, task_id={id}, caller=pm"), ""),
    ("signed", signed(), ""),
    ("none at all", lambda *_: None, "R5.missing"),
    ("empty", written(" "), "R5.malformed"),
    ("no caller", written(SHORT.replace("caller=pm, ", "")), "R5.malformed"),
    ("no task", written(SHORT.replace("task_id={id}, ", "")), "R5.malformed"),
    ("no trace", written(SHORT.replace("trace_id={trace}, ", "")), "R5.malformed"),
    ("no perm", written(SHORT.replace(", perm=read_write", "")), "R5.malformed"),
    ("a perm of its own", written(SHORT.replace("read_write", "root")), "R5.malformed"),
    ("a key twice", written(SHORT + ", caller=pm"), "R5.malformed"),
    ("an unknown key", written(SHORT + ", role=coo"), "R5.malformed"),
    ("a time without a signature", written(SHORT + ", ts=2026-05-01T09:00:00Z"), "R5.malformed"),
    ("two lines", written(SHORT + "\n" + SHORT), "R5.malformed"),
    ("another key", signed(key=b"k" * 32), "R5.forged"),
    ("perm changed after signing", signed_then(
        lambda text: text.replace("perm=read_write", "perm=govern")), "R5.forged"),
    ("caller changed after signing", signed_then(
        lambda text: text.replace("caller=pm", "caller=a1")), "R5.forged"),
    ("nonce changed after signing", signed_then(
        lambda text: text.replace("nonce=9f", "nonce=8f")), "R5.forged"),
    ("ts changed after signing", signed_then(
        lambda text: text.replace("ts=2026", "ts=2027")), "R5.forged"),
    ("600 s old", signed(age_s=600), ""),
    ("601 s old", signed(age_s=601), "R5.expired"),
    ("60 s ahead", signed(age_s=-60), ""),
    ("61 s ahead", signed(age_s=-61), "R5.expired"),
    ("wider than the caller", written(SHORT.replace("read_write", "govern")), "R5.widened"),
    ("wider, and signed", signed(perm="govern"), "R5.widened"),
    ("somebody else's", written(SHORT.replace("caller=pm", "caller=scoder")), "R5.wrong_caller"),
    ("somebody else's, and signed", signed(caller="scoder"), "R5.wrong_caller"),
    ("a look-alike of the caller", written(SHORT.replace("caller=pm", "caller=PM")),
     "R5.wrong_caller"),
    ("no such task", written(SHORT.replace("{id}", "T-999")), "R5.wrong_task"),
    ("a task of nobody's naming", written(SHORT.replace("{id}", "none")), "R5.wrong_task"),
    ("a mirror's record", written(SHORT.replace("{id}", "recAbC123")), "R5.wrong_task"),
    ("another trace", written(SHORT.replace("{trace}", "abc123")), "R5.wrong_trace"),
]  # fmt: skip


@pytest.mark.parametrize("road", ["spawns", "sends"])
async def test_notes(office, road):
    """All in one company: each row by the same agent, on the task that it holds."""
    task = await office.holding("pm")
    found = {}
    for what, note, expected in NOTES:
        body = {"targetAgentId": "scoder", "routingNote": note(office, task)}
        body |= {"task": "Design"} if road == "spawns" else {"text": "hello"}
        reply = await office.clients["pm"].post(f"/api/v1/{road}", json=body)
        found[what] = code(reply)
        if expected and found[what] == expected:
            said = reply.json()
            assert (reply.status_code, said["rule"]) == (403, "R5")
            assert said["remedy"] and said["receipt"], what
    assert found == {what: expected for what, _, expected in NOTES}


@pytest.mark.parametrize(
    "text, key_at_fault",
    [
        (SHORT.replace("caller=pm, ", ""), "caller"),
        (SHORT.replace("caller=pm", "caller=p m"), "caller"),
        (SHORT.replace("{id}", ""), "task_id"),
        (SHORT.replace("{trace}", "x" * 101), "trace_id"),
        (SHORT.replace("perm=read_write", "perm=write"), "perm"),
        (SHORT + ", ts=yesterday, nonce=9f2c41d07be35a68, sig=" + "0" * 64, "ts"),
        (SHORT + ", ts=2026-02-30T09:00:00Z, nonce=9f2c41d07be35a68, sig=" + "0" * 64, "ts"),
        (SHORT + ", ts=2026-05-01T09:00:00Z, nonce=9F2C41D07BE35A68, sig=" + "0" * 64, "nonce"),
        (SHORT + ", ts=2026-05-01T09:00:00Z, nonce=9f2c41d07be35a68, sig=abc", "sig"),
        (SHORT + ", ts=2026-05-01T09:00:00Z, sig=" + "0" * 64, "nonce"),
        (SHORT + ", premission=read", "premission"),
        (SHORT + ", perm=read", "perm"),
        ("caller=pm, task_id=1, trace_id=1, perm=read", "note"),
    ],
)
def test_a_malformed_note_names_its_key(text, key_at_fault):
    found = routing.parse(text.format(id="T-1", trace="abc"))
    assert isinstance(found, routing.Malformed)
    assert found.key == key_at_fault


async def test_a_note_opens_one_dispatch(office):
    task = await office.holding("pm")
    note = long_note(office, task)
    assert code(await office.spawn("pm", "scoder", note)) == ""
    assert code(await office.spawn("pm", "scoder", note)) == "R5.replayed"
    body = {"targetAgentId": "scoder", "text": "hello", "routingNote": note}
    send = await office.clients["pm"].post("/api/v1/sends", json=body)
    assert code(send) == "R5.replayed"
    plain = {"agentId": "pm", "text": "hi", "targetAgentId": "scoder", "routingNote": note}
    said = await office.clients["pm"].post("/api/v1/messages/send", json=plain)
    assert code(said) == "R5.replayed"


async def test_a_repeated_request_gets_its_stored_reply_after_the_note_is_used_and_old(office):
    task = await office.holding("pm")
    note, once = long_note(office, task), key()
    first = await office.spawn("pm", "scoder", note, headers=once)
    again = await office.spawn("pm", "scoder", note, headers=once)
    office.clock.advance(601 * S)
    late = await office.spawn("pm", "scoder", note, headers=once)
    assert [r.status_code for r in (first, again, late)] == [201, 201, 201]
    assert first.json() == again.json() == late.json()


async def test_a_note_that_came_back_with_a_message_is_used_up(office):
    task = await office.holding("pm")
    body = {"text": "hi", "targetAgentId": "scoder"}
    sent = await office.clients["pm"].post("/api/v1/messages/send", json=body)
    assert sent.status_code == 200
    listed = await office.daemon.owner.get(f"/api/v1/threads/{sent.json()['thread_id']}/messages")
    note = listed.json()["messages"][-1]["metadataJson"]["routingNote"]
    assert routing.parse(note).task_id == task["id"]
    assert code(await office.spawn("pm", "scoder", note)) == "R5.replayed"


async def test_a_note_is_its_callers_alone(office):
    task = await office.holding("pm")
    reply = await office.clients["scoder"].post(
        "/api/v1/spawns",
        json={"targetAgentId": "a1", "task": "x", "routingNote": long_note(office, task)},
    )
    assert code(reply) == "R5.wrong_caller"


WRONG_TASK = [
    # who holds, whose note names it, code
    ("pm", ""),
    ("scoder", "R5.wrong_task"),
    (None, "R5.wrong_task"),
]


@pytest.mark.parametrize("holder, expected", WRONG_TASK)
async def test_the_task_is_one_that_the_caller_holds(office, holder, expected):
    task = await office.task(holder)
    if holder is not None:
        task = await office.claim(holder, task["id"])
    assert code(await office.spawn("pm", "a1", short("pm", task))) == expected


async def test_a_task_that_was_let_go_is_held_no_longer(office):
    task = await office.holding("pm")
    office.clock.advance(600 * S - 1)
    assert code(await office.spawn("pm", "a1", short("pm", task))) == ""
    office.clock.advance(1)
    assert code(await office.spawn("pm", "a1", short("pm", task))) == "R5.wrong_task"


async def test_note_and_request_name_one_task(office):
    one, other = await office.holding("pm"), await office.holding("pm")
    note = short("pm", one)
    assert code(await office.spawn("pm", "a1", note, taskId=other["id"])) == "R5.wrong_task"
    assert code(await office.spawn("pm", "a1", note, taskId=one["id"])) == ""


@pytest.mark.parametrize(
    "given, passed_on, expected",
    [
        ("read", "read", ""),
        ("read", "read_write", "R5.widened"),
        ("read", "govern", "R5.widened"),
        ("read_write", "read", ""),
        ("read_write", "read_write", ""),
        ("read_write", "govern", "R5.widened"),
    ],
)
async def test_permission_narrows_and_never_widens(office, given, passed_on, expected):
    task = await office.holding("pm")
    spawned = await office.spawn("pm", "scoder", short("pm", task, given))
    assert spawned.json()["context"]["perm"] == given
    mine = await office.claim("scoder", spawned.json()["task"]["id"])
    reply = await office.spawn("scoder", "a1", short("scoder", mine, passed_on))
    assert code(reply) == expected
    if not expected:
        assert reply.json()["context"]["perm"] == passed_on


async def test_only_a_governed_role_governs(office):
    await office.hire("chief", role="coo")
    task = await office.holding("chief")
    to_pm = await office.spawn("chief", "pm", short("chief", task, "govern"))
    to_chief = await office.spawn("pm", "chief", short("pm", await office.holding("pm"), "govern"))
    assert to_pm.json()["context"]["perm"] == "read_write"
    assert code(to_chief) == "R5.widened"


async def test_five_deep_and_not_six(office):
    fifth = await office.chain("pm", "a1", "a2", "a3", "a4", "a5")
    reply = await office.spawn("a5", "a6", short("a5", fifth))
    assert code(reply) == "R5.depth"
    shown = (await office.daemon.owner.get(f"/api/v1/traces/{fifth['traceId']}")).json()
    assert len(shown["tasks"]) == 6


@pytest.mark.parametrize(
    "chain, target, expected",
    [
        (("pm", "a1"), "a2", ""),
        (("pm",), "pm", "R5.cycle"),
        (("pm", "a1"), "a1", "R5.cycle"),
        (("pm", "a1"), "pm", "R5.cycle"),
        (("pm", "a1", "a2"), "pm", "R5.cycle"),
        (("pm", "a1", "a2"), "a1", "R5.cycle"),
    ],
)
async def test_no_spawn_of_who_stands_above(office, chain, target, expected):
    task = await office.chain(*chain)
    reply = await office.spawn(chain[-1], target, short(chain[-1], task))
    assert code(reply) == expected, reply.text


async def test_a_send_back_up_is_no_cycle(office):
    task = await office.chain("pm", "a1", "a2")
    for target in ("pm", "a1"):
        body = {"targetAgentId": target, "text": "done", "routingNote": short("a2", task)}
        assert code(await office.clients["a2"].post("/api/v1/sends", json=body)) == ""


async def test_a_task_of_ones_own_making_on_the_trace_is_no_way_out(office):
    """A bomb that makes itself tasks on its trace stands as deep, and as narrow, as before."""
    task = await office.chain("pm", "a1")
    made = await office.clients["a1"].post(
        "/api/mcp/tasks",
        json={"projectId": office.project, "taskType": "unit_test", "title": "t",
              "allowUnderspecified": True, "assignedAgentId": "a1"},
        headers=key() | {"X-Homarus-Trace": task["traceId"]},
    )  # fmt: skip
    own = await office.claim("a1", made.json()["task"]["id"])
    assert own["traceId"] == task["traceId"]
    assert code(await office.spawn("a1", "pm", short("a1", own))) == "R5.cycle"


async def test_who_needs_no_note(office):
    """An operator who names no agent needs none, and neither does a company token."""
    task = await office.task()
    owner, company = office.daemon.owner, office.daemon.company
    spawned = await owner.post(
        "/api/v1/spawns",
        json={"targetAgentId": "pm", "task": "Look", "taskId": task["id"]},
    )
    sent = await owner.post("/api/v1/sends", json={"targetAgentId": "pm", "text": "hello"})
    said = await company.post(
        "/api/v1/messages/send", json={"text": "hello", "targetAgentId": "pm"}
    )
    assert [code(r) for r in (spawned, sent, said)] == ["", "", ""]
    assert spawned.json()["task"]["traceId"] == task["traceId"]
    as_agent = await owner.post(
        "/api/v1/sends", json={"agentId": "pm", "targetAgentId": "a1", "text": "hello"}
    )
    assert code(as_agent) == "R5.missing"


@pytest.mark.parametrize(
    "note, expected",
    [
        (None, ""),
        (written(SHORT), ""),
        (signed(), ""),
        (signed(key=b"k" * 32), "R5.forged"),
        (signed(age_s=601), "R5.expired"),
        (written(SHORT.replace("read_write", "govern")), "R5.widened"),
        (written(SHORT.replace("pm", "scoder")), "R5.wrong_caller"),
        (written("hello"), "R5.malformed"),
    ],
)
@pytest.mark.parametrize("where", ["body", "metadata", "header"])
async def test_a_wire_that_cannot_carry_a_note_gets_one_and_one_that_does_is_judged(
    office, note, expected, where
):
    task = await office.holding("pm")
    text = None if note is None else note(office, task)
    body, headers = {"text": "hi", "targetAgentId": "scoder"}, {}
    if text is not None and where == "body":
        body["routingNote"] = text
    elif text is not None and where == "metadata":
        body["metadataJson"] = {"routingNote": text}
    elif text is not None:
        headers["X-Homarus-Routing-Note"] = text.split("\n")[-1]
    reply = await office.clients["pm"].post("/api/v1/messages/send", json=body, headers=headers)
    assert code(reply) == expected
