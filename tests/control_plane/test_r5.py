"""R5 through the wire of a running daemon: every dispatch between agents carries a routing note
(governance contract, 3 and 4). One table of what passes and what is refused, with exact bounds."""

from typing import Any

import pytest

from homarus.kernel import routing
from homarus.testing.daemon import key
from tests.support.office import S, code, long_note, office_at, short


@pytest.fixture
async def office(tmp_path):
    async with office_at(tmp_path) as made:
        yield made


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
        reply = await office.post("pm", f"/api/v1/{road}", body)
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
    send = await office.post("pm", "/api/v1/sends", body)
    assert code(send) == "R5.replayed"
    plain = {"agentId": "pm", "text": "hi", "targetAgentId": "scoder", "routingNote": note}
    said = await office.post("pm", "/api/v1/messages/send", plain)
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
    sent = await office.post("pm", "/api/v1/messages/send", body)
    assert sent.status_code == 200
    listed = await office.daemon.owner.get(f"/api/v1/threads/{sent.json()['thread_id']}/messages")
    note = listed.json()["messages"][-1]["metadataJson"]["routingNote"]
    assert routing.parse(note).task_id == task["id"]
    assert code(await office.spawn("pm", "scoder", note)) == "R5.replayed"


async def test_a_note_is_its_callers_alone(office):
    task = await office.holding("pm")
    reply = await office.post(
        "scoder",
        "/api/v1/spawns",
        {"targetAgentId": "a1", "task": "x", "routingNote": long_note(office, task)},
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


async def test_a_hundred_on_one_trace_and_no_more(office):
    task = await office.holding("pm")
    codes = [code(await office.spawn("pm", "a1", short("pm", task))) for _ in range(101)]
    assert codes == [""] * 100 + ["R5.breadth"]


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
        assert code(await office.post("a2", "/api/v1/sends", body)) == ""


@pytest.mark.parametrize("names_the_trace", [True, False])
async def test_a_task_of_ones_own_making_is_no_way_out(office, names_the_trace):
    """What an agent makes while it holds a task is of that task's trace: a bomb stands as deep,
    and as narrow, as before."""
    task = await office.chain("pm", "a1")
    body = {"projectId": office.project, "taskType": "unit_test", "title": "t",
            "allowUnderspecified": True, "assignedAgentId": "a1"}  # fmt: skip
    trace = {"X-Homarus-Trace": task["traceId"]} if names_the_trace else {}
    made = await office.post("a1", "/api/mcp/tasks", body, key() | trace)
    own = await office.claim("a1", made.json()["task"]["id"])
    assert own["traceId"] == task["traceId"]
    assert code(await office.spawn("a1", "pm", short("a1", own))) == "R5.cycle"


async def test_who_needs_no_note(office):
    """An operator who names no agent needs none, and neither does a company token."""
    task = await office.task()
    await office.hire("pm")
    await office.hire("a1")
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


WIRE_NOTES = [
    (None, ""),
    (written(SHORT), ""),
    (signed(), ""),
    (signed(key=b"k" * 32), "R5.forged"),
    (signed(age_s=601), "R5.expired"),
    (written(SHORT.replace("read_write", "govern")), "R5.widened"),
    (written(SHORT.replace("pm", "scoder")), "R5.wrong_caller"),
    (written("hello"), "R5.malformed"),
]


def carrying(where: str, text: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """A message to scoder and headers, with the note at one of its places."""
    body: dict[str, Any] = {"text": "hi", "targetAgentId": "scoder"}
    if text is None:
        return body, {}
    match where:
        case "header":
            return body, {"X-Homarus-Routing-Note": text.split("\n")[-1]}
        case "metadata":
            return body | {"metadataJson": {"routingNote": text}}, {}
        case _:
            return body | {"routingNote": text}, {}


async def test_a_wire_that_carries_no_note_gets_one_and_a_given_one_is_judged(office):
    task = await office.holding("pm")
    for where in ("body", "metadata", "header"):
        for make, expected in WIRE_NOTES:
            text = None if make is None else make(office, task)
            reply = await office.post("pm", "/api/v1/messages/send", *carrying(where, text))
            assert code(reply) == expected, (where, text)


async def test_an_assignment_carries_a_note_of_the_task_held_or_of_the_task_assigned(office):
    free = await office.task()
    for agent in ("pm", "scoder"):
        held = await office.holding("pm") if agent == "pm" else free
        body = {"agentId": "a1"}
        reply = await office.post(agent, f"/api/v1/tasks/{free['id']}/assign", body, key())
        assert code(reply) == "", reply.text
        shown = await office.daemon.owner.get(f"/api/v1/traces/{held['traceId']}")
        [row] = next(n for n in shown.json()["tree"] if n["task"] == held["id"])["dispatches"]
        assert (row["capability"], row["from"], row["to"]) == ("task.assign", agent, "a1")


@pytest.mark.parametrize(
    "note, expected",
    [
        (SHORT, ""),
        (SHORT.replace("read_write", "govern"), "R5.widened"),
        (SHORT.replace("caller=pm", "caller=a1"), "R5.wrong_caller"),
        (SHORT.replace("{id}", "T-999"), "R5.wrong_task"),
    ],
)
async def test_a_note_with_an_assignment_names_the_task_it_assigns(office, note, expected):
    task = await office.task()
    body = {"agentId": "a1", "routingNote": note.format(id=task["id"], trace=task["traceId"])}
    await office.hire("pm")
    reply = await office.post("pm", f"/api/v1/tasks/{task['id']}/assign", body, key())
    assert code(reply) == expected


async def test_messages_without_a_target_and_without_a_task_go_on(office):
    """Talk to the team is no dispatch; an agent without a task dispatches under `none`."""
    plain = await office.post("pm", "/api/v1/messages/send", {"text": "hello, all"})
    aimed = await office.post(
        "pm", "/api/v1/messages/send", {"text": "hello", "targetAgentId": "a1"}
    )
    assert [code(plain), code(aimed)] == ["", ""]
    notes = []
    for reply in (plain, aimed):
        path = f"/api/v1/threads/{reply.json()['thread_id']}/messages"
        [row] = (await office.daemon.owner.get(path)).json()["messages"]
        notes.append((row["metadataJson"] or {}).get("routingNote"))
    assert notes[0] is None
    assert routing.parse(notes[1]).task_id == "none"


@pytest.mark.parametrize("scope", ["task", "trace", "project"])
async def test_nothing_is_dispatched_from_a_stopped_task(office, scope):
    """Wherever the note is, or where none is: its task is under STOP."""
    task = await office.holding("pm")
    subject = {"task": task["id"], "trace": task["traceId"], "project": office.project}[scope]
    await office.hire("scoder")
    stop = await office.daemon.owner.post(
        "/api/v1/stops", json={"scope": scope, "subject": subject}
    )
    assert stop.status_code < 300, stop.text
    note = short("pm", task)
    in_header = {"X-Homarus-Routing-Note": note}
    replies = [
        await office.spawn("pm", "scoder", note),
        await office.spawn("pm", "scoder", None, headers=in_header),
        await office.post("pm", "/api/v1/messages/send", {"text": "x", "targetAgentId": "scoder"}),
    ]
    assert [code(reply) for reply in replies] == [f"stop.{scope}"] * 3


async def test_a_claim_by_assignment_is_no_dispatch(office):
    task = await office.task()
    body = {"agentId": "pm", "mode": "claim"}
    reply = await office.post("pm", f"/api/v1/tasks/{task['id']}/assign", body, key())
    assert code(reply) == ""
    shown = (await office.daemon.owner.get(f"/api/v1/traces/{task['traceId']}")).json()
    assert [node["dispatches"] for node in shown["tree"]] == [[]]


async def test_a_trace_is_a_tree_of_who_dispatched_whom(office):
    leaf = await office.chain("pm", "scoder", "a1")
    note = short("a1", leaf, "read")
    sent = await office.post(
        "a1", "/api/v1/sends", {"targetAgentId": "pm", "text": "done", "routingNote": note}
    )
    assert code(sent) == ""
    shown = (await office.daemon.owner.get(f"/api/v1/traces/{leaf['traceId']}")).json()
    [root] = shown["tree"]
    [child] = root["children"]
    [last] = child["children"]
    nodes = (root, child, last)
    assert [n["agent"] for n in nodes] == ["pm", "scoder", "a1"]
    assert [(n["by"], n["perm"], n["depth"]) for n in nodes] == [
        (None, None, 0), ("pm", "read_write", 1), ("scoder", "read_write", 2),
    ]  # fmt: skip
    [message] = last["dispatches"]
    assert (message["capability"], message["from"], message["to"], message["perm"]) == (
        "session.send", "a1", "pm", "read",
    )  # fmt: skip
    assert all(n["receipts"] for n in nodes)
    spawned = [
        r for t in shown["tasks"] for r in t["receipts"] if r["capability"] == "session.spawn"
    ]
    assert [r["task"] for r in spawned] == [child["task"], last["task"]]
    assert {r["trace"] for t in shown["tasks"] for r in t["receipts"]} == {leaf["traceId"]}


async def test_the_context_of_a_task_has_the_note_that_its_agent_gives(office):
    task = await office.holding("pm")
    spawned = await office.spawn("pm", "scoder", short("pm", task, "read"))
    child = await office.claim("scoder", spawned.json()["task"]["id"])
    path = f"/api/v1/tasks/{child['id']}/context"
    shown = (await office.clients["scoder"].get(path)).json()["dispatch"]
    assert (shown["perm"], shown["depth"]) == ("read", 1)
    assert code(await office.spawn("scoder", "a1", shown["routingNote"])) == ""
    unclaimed = await office.task()
    path = f"/api/v1/tasks/{unclaimed['id']}/context"
    assert (await office.daemon.owner.get(path)).json()["dispatch"] is None


async def test_a_refusal_is_in_the_ledger(office):
    await office.holding("pm")
    reply = await office.spawn("pm", "scoder", None)
    assert code(reply) == "R5.missing"
    receipt = (await office.daemon.owner.get(f"/api/v1/receipts/{reply.json()['receipt']}")).json()
    assert receipt["receipt"]["verdict"] == "refuse"
    assert (receipt["receipt"]["rule"], receipt["receipt"]["code"]) == ("R5", "R5.missing")
