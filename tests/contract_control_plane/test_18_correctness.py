"""Contract, section 18, lines 1 to 18: where the original is wrong, and what we do instead."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from homarus.demo.children import Daemon
from tests.contract_control_plane.wire import Answer, Wire, as_agent, frame, spec

T = TypeVar("T")
SHORT_LEASE_S = 5


@pytest.fixture
def fresh(found: Callable[..., Wire]) -> Iterator[Wire]:
    """A company of this case alone, where nobody has said or done anything yet."""
    made = found()
    yield made
    made.close()


def at_once(wire: Wire, calls: Iterable[Callable[[Wire], T]]) -> list[T]:
    """All calls together, each on a connection of its own."""
    wanted = list(calls)
    wires = [Wire(wire.url, wire.token, wire.id, wire.headers) for _ in wanted]
    with ThreadPoolExecutor(len(wanted)) as pool:
        replies = list(pool.map(lambda pair: pair[0](pair[1]), zip(wanted, wires, strict=True)))
    for one in wires:
        one.close()
    return replies


def claim(agent: str, **more: Any) -> Callable[[Wire], Answer]:
    key = more.pop("key", "")
    return lambda wire: wire.post("/tasks/claim", {"agentId": agent} | more, key=key)


def finish(wire: Wire, task: str, agent: str, state: str = "done", **more: Any) -> Answer:
    return wire.post(f"/tasks/{task}/result", {"state": state, "agentId": agent} | more)


# -- 1 to 3 ------------------------------------------------------------------------------------


def test_weak_spot_01_sixteen_claims_with_one_key_take_one_task(fresh: Wire) -> None:
    agent, project = fresh.agent(concurrencyLimit=16)["id"], fresh.project()["id"]
    for _ in range(16):
        fresh.task(project)
    replies = at_once(fresh, [claim(agent, key="one") for _ in range(16)])
    assert [reply.status for reply in replies] == [200] * 16
    assert len({reply["task"]["id"] for reply in replies}) == 1
    assert len(fresh.get("/tasks?state=in_progress")["tasks"]) == 1


def test_weak_spot_02_a_bridge_whose_claim_key_repeats_never_stalls(fresh: Wire) -> None:
    agent, project = fresh.agent()["id"], fresh.project()["id"]
    done = []
    for _ in range(5):
        assert claim(agent, key="claim:startup")(fresh)["task"] is None
        made = fresh.task(project)["id"]
        taken = claim(agent, key="claim:startup")(fresh)["task"]
        assert taken["id"] == made
        done.append(finish(fresh, made, agent).status)
    assert done == [200] * 5


def test_weak_spot_03_forty_first_claims_make_no_error(fresh: Wire) -> None:
    """Nor do forty first messages, which all need the team thread that is not there yet."""
    agents = [fresh.agent()["id"] for _ in range(40)]
    project = fresh.project(maxActiveAgents=40)["id"]
    made = {fresh.task(project)["id"] for _ in agents}
    replies = at_once(fresh, [claim(agent) for agent in agents])
    assert [reply.status for reply in replies] == [200] * 40
    assert {reply["task"]["id"] for reply in replies} == made

    def say(agent: str) -> Callable[[Wire], Answer]:
        return lambda wire: wire.post("/messages/send", {"text": "hi", "agentId": agent}, key=None)

    sent = at_once(fresh, [say(agent) for agent in agents])
    assert [reply.status for reply in sent] == [200] * 40
    assert len({reply["thread_id"] for reply in sent}) == 1


# -- 4: dependencies -----------------------------------------------------------------------------


@pytest.mark.parametrize("poison", ["not-an-id", "", 5, None, {"id": 1}, "x" * 5000, "\u0000"])
def test_weak_spot_04_a_poisoned_blocker_is_refused_and_claims_go_on(
    wire: Wire, poison: Any
) -> None:
    project, agent = wire.project()["id"], wire.agent(concurrencyLimit=9)["id"]
    reply = wire.post("/tasks", spec(project) | {"blockedByTaskIds": [poison]})
    assert reply.status in (400, 404) and reply["error"]
    free = wire.task(project)["id"]
    patched = wire.patch(f"/tasks/{free}", {"blockedByTaskIds": [poison]})
    assert patched.status in (400, 404)
    taken = wire.post(f"/tasks/{free}/claim", {"agentId": agent})
    assert taken["task"]["id"] == free


def test_weak_spot_04_no_task_waits_for_itself(wire: Wire) -> None:
    project = wire.project()["id"]
    a = wire.task(project)["id"]
    b = wire.task(project, blockedByTaskIds=[a])["id"]
    c = wire.task(project, blockedByTaskIds=[b])["id"]
    for blocker in (a, b, c):
        reply = wire.patch(f"/tasks/{a}", {"blockedByTaskIds": [blocker]})
        assert reply.status in (400, 409), blocker
    assert wire.get(f"/tasks/{a}")["task"]["blockedByTaskIds"] == []


def test_weak_spot_04_no_task_waits_for_another_projects(wire: Wire) -> None:
    elsewhere = wire.task(wire.project()["id"])["id"]
    body = spec(wire.project()["id"]) | {"blockedByTaskIds": [elsewhere]}
    reply = wire.post("/tasks", body)
    assert reply.status in (400, 404, 409) and reply["error"]


# -- 5 and 6: what is final --------------------------------------------------------------------


@pytest.mark.parametrize("by", ["nobody", "agent", "agent token"])
@pytest.mark.parametrize("of", ["done", "failed"])
def test_weak_spot_05_a_finished_task_stays_finished(
    wire: Wire, person: Wire, of: str, by: str
) -> None:
    agent = wire.agent()["id"]
    task = wire.task(wire.project()["id"])["id"]
    wire.post(f"/tasks/{task}/claim", {"agentId": agent})
    finish(wire, task, agent, of)
    caller = wire
    if by == "agent token":
        caller = as_agent(wire, person, agent)
    for state in {"done", "failed", "review", "in_progress", "inbox"} - {of}:
        if by == "agent":
            reply = finish(wire, task, agent, state)
        else:
            reply = caller.patch(f"/tasks/{task}", {"state": state})
        assert reply.status == 409, (state, reply.body)
    assert wire.get(f"/tasks/{task}")["task"]["state"] == of


@pytest.mark.parametrize(
    "policy",
    ["requireApprovalForDone", "requireReviewBeforeDone", "onlyLeadCanChangeStatus"],
)
def test_weak_spot_05_a_patch_goes_round_no_policy(wire: Wire, person: Wire, policy: str) -> None:
    agent = wire.agent()["id"]
    task = wire.task(wire.project(**{policy: True})["id"])["id"]
    wire.post(f"/tasks/{task}/claim", {"agentId": agent})
    own = as_agent(wire, person, agent)
    for caller in (wire, own):
        assert caller.patch(f"/tasks/{task}", {"state": "done"}).status == 409
    assert wire.get(f"/tasks/{task}")["task"]["state"] != "done"


def test_weak_spot_06_nobody_answers_what_it_asked(wire: Wire, person: Wire) -> None:
    agent = wire.agent()["id"]
    project = wire.project()["id"]
    task = wire.task(project)["id"]
    wire.post(f"/tasks/{task}/claim", {"agentId": agent})
    own = as_agent(wire, person, agent)
    body = {"projectId": project, "taskIds": [task]}
    asked = own.post("/approvals", body, key=None)["approval"]["id"]
    for caller in (own, wire):
        for status in ("approved", "rejected"):
            assert caller.patch(f"/approvals/{asked}", {"status": status}, key=None).status == 403
    given = {"status": "approved", "resolverUserId": "somebody"}
    answered = person.patch(f"/approvals/{asked}", given, key=None)["approval"]
    assert answered["resolverUserId"] != "somebody"
    flipped = person.patch(f"/approvals/{asked}", {"status": "rejected"}, key=None)
    assert flipped.status == 409


# -- 7 to 10: leases and signs of life -------------------------------------------------------------


@pytest.fixture
def two(wire: Wire, person: Wire) -> tuple[Wire, Wire, str]:
    """Two runtimes that speak for one agent, and the agent."""
    agent = wire.agent(concurrencyLimit=9)["id"]
    minted = person.post("/api/v1/tokens", {"kind": "runtime", "name": "second"})
    granted = person.post(f"/api/v1/tokens/{minted['token']['id']}/grants", {"agentId": agent})
    assert granted.status in (200, 201), granted.body
    return wire, Wire(wire.url, minted["secret"], wire.id), agent


def test_weak_spot_07_two_runtimes_of_one_agent_keep_apart(two: tuple[Wire, Wire, str]) -> None:
    first, second, agent = two
    task = first.task(first.project()["id"])["id"]
    body = {"agentId": agent, "leaseSeconds": 60}
    token = first.post(f"/tasks/{task}/claim", body)["task"]["leaseToken"]
    beat = {"agentId": agent, "currentLoad": 1}
    assert second.post("/agents/heartbeat", beat, key=None)["renewed"] == 0
    refused = finish(second, task, agent)
    assert (refused.status, refused["code"]) == (409, "task.lease_lost")
    assert first.post("/agents/heartbeat", beat, key=None)["renewed"] == 1
    assert finish(first, task, agent, leaseToken=token).status == 200


def test_weak_spot_07_a_zombie_cannot_overwrite_after_a_new_claim(
    two: tuple[Wire, Wire, str],
) -> None:
    first, second, agent = two
    task = first.task(first.project()["id"])["id"]
    old = first.post(f"/tasks/{task}/claim", {"agentId": agent})["task"]["leaseToken"]
    finish(first, task, agent, "inbox", leaseToken=old)
    new = second.post(f"/tasks/{task}/claim", {"agentId": agent})["task"]["leaseToken"]
    assert new > old
    for zombie in ({"leaseToken": old}, {}):
        assert finish(first, task, agent, outputJson={"by": "zombie"}, **zombie).status == 409
    assert finish(second, task, agent, leaseToken=new).status == 200


def test_weak_spot_08_the_watchdog_takes_back_what_is_lost_and_that_alone(wire: Wire) -> None:
    """One lease is kept alive by heartbeats to its very end, one is let go."""
    agent = wire.agent(concurrencyLimit=9)["id"]
    project = wire.project()["id"]
    kept, lost, gone = (wire.task(project)["id"] for _ in range(3))
    wire.delete(f"/tasks/{gone}")
    body = {"agentId": agent, "leaseSeconds": SHORT_LEASE_S}
    with wire.socket() as socket:
        frame(socket, "connected")
        for task in (kept, lost):
            wire.post(f"/tasks/{task}/claim", body)
        assert wire.delete(f"/tasks/{kept}").status == 409, "nobody's work is deleted under him"
        beat = {"agentId": agent, "currentLoad": 1, "taskId": kept}
        began = time.monotonic()
        while time.monotonic() - began < SHORT_LEASE_S - 0.5:
            assert wire.post("/agents/heartbeat", beat, key=None).status == 200
        while True:
            got = frame(socket, "task_updated")["task"]
            assert (got["id"], got["state"]) != (kept, "inbox")
            if (got["id"], got["state"]) == (lost, "inbox"):
                break
    row = wire.get(f"/tasks/{lost}")["task"]
    kinds = [e["eventType"] for e in wire.get(f"/tasks/{lost}/notes")["events"]]
    assert (row["retries"], kinds.count("lease_expired_retry")) == (1, 1), "row and event are one"
    assert wire.get(f"/tasks/{kept}")["task"]["state"] == "in_progress"
    assert wire.get(f"/tasks/{gone}").status == 404


def test_weak_spot_09_heartbeats_at_once_of_an_agent_with_many_tasks(fresh: Wire) -> None:
    agent = fresh.agent(concurrencyLimit=60)["id"]
    project = fresh.project()["id"]
    for _ in range(60):
        task = fresh.task(project)["id"]
        fresh.post(f"/tasks/{task}/claim", {"agentId": agent, "leaseSeconds": 60})
    beat = {"agentId": agent, "currentLoad": 60}
    replies = at_once(fresh, [lambda wire: wire.post("/agents/heartbeat", beat, key=None)] * 16)
    assert [reply.status for reply in replies] == [200] * 16
    assert sum(reply["renewed"] for reply in replies) == 60, "each lease is rewritten once"


def test_weak_spot_10_the_deadline_is_three_heartbeats(wire: Wire) -> None:
    agent = wire.agent()["id"]
    body = {"openclawSessionId": f"s-{uuid4()}"}
    row = wire.post(f"/agents/{agent}/sessions/start", body, key=None)["session"]
    began, due = (datetime.fromisoformat(row[f]) for f in ("createdAt", "checkinDeadlineAt"))
    assert due - began >= timedelta(seconds=90)


# -- 11 and 12: who gets what ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["claim", "assign"])
@pytest.mark.parametrize("state", ["in_progress", "review", "done", "failed"])
def test_weak_spot_11_assigning_steals_nothing(wire: Wire, state: str, mode: str) -> None:
    worker, thief = wire.agent()["id"], wire.agent()["id"]
    task = wire.task(wire.project()["id"])["id"]
    wire.post(f"/tasks/{task}/claim", {"agentId": worker})
    if state != "in_progress":
        finish(wire, task, worker, state)
    reply = wire.post(f"/tasks/{task}/assign", {"agentId": thief, "mode": mode})
    assert reply.status == 409 and reply["error"]
    row = wire.get(f"/tasks/{task}")["task"]
    assert (row["state"], row["assignedAgentId"]) == (state, worker)


def test_weak_spot_12_claims_at_once_never_overshoot_the_projects_cap(fresh: Wire) -> None:
    project = fresh.project(maxActiveAgents=3)["id"]
    agents = [fresh.agent()["id"] for _ in range(20)]
    for _ in agents:
        fresh.task(project)
    replies = at_once(fresh, [claim(agent) for agent in agents])
    assert [reply.status for reply in replies] == [200] * 20
    assert sum(reply["task"] is not None for reply in replies) == 3


def test_weak_spot_12_an_agent_holds_no_more_than_its_limit(fresh: Wire) -> None:
    project = fresh.project()["id"]
    agent = fresh.agent(concurrencyLimit=2)["id"]
    for _ in range(8):
        fresh.task(project)
    replies = at_once(fresh, [claim(agent) for _ in range(8)])
    assert sum(reply["task"] is not None for reply in replies) == 2


@pytest.mark.parametrize("status, gets", [("active", True), ("paused", False), ("killed", False),
                                          ("completed", False), ("deleted", False)])  # fmt: skip
def test_weak_spot_12_only_an_active_project_gives_work(
    fresh: Wire, status: str, gets: bool
) -> None:
    project, agent = fresh.project()["id"], fresh.agent()["id"]
    task = fresh.task(project)["id"]
    if status == "deleted":
        fresh.delete(f"/projects/{project}")
    else:
        fresh.patch(f"/projects/{project}", {"status": status})
    taken = claim(agent)(fresh)["task"]
    assert (taken and taken["id"]) == (task if gets else None)


@pytest.mark.parametrize(
    "has, gets", [(["python", "sql"], True), (["Python", "SQL"], True), (["python"], False)]
)
def test_weak_spot_12_work_goes_to_who_has_the_skills(
    fresh: Wire, has: list[str], gets: bool
) -> None:
    task = fresh.task(fresh.project()["id"], skills=["python", "sql"])["id"]
    taken = claim(fresh.agent(skillsJson=has)["id"])(fresh)["task"]
    assert (taken and taken["id"]) == (task if gets else None)


def test_weak_spot_12_a_budget_that_is_used_up_gets_no_work(owner: Wire, fresh: Wire) -> None:
    person = Wire(owner.url, owner.token, fresh.id, {"X-Homarus-Company": fresh.id})
    price = {"provider": "p", "model": "m", "inputPricePer1k": 100, "outputPricePer1k": 0}
    person.post("/pricing", price, key=None)
    agent = fresh.agent()["id"]
    fresh.task(fresh.project()["id"])
    person.patch(f"/agents/{agent}", {"monthlyBudgetCents": 100})
    used = {"agentId": agent, "model": "m", "inputTokens": 1_000_000}
    assert fresh.post("/agents/report-usage", used, key=None)["budgetStatus"] == "paused"
    assert claim(agent)(fresh)["task"] is None
    person.patch(f"/agents/{agent}", {"monthlyBudgetCents": 200})
    assert claim(agent)(fresh)["task"] is not None


# -- 13 to 16: talk and memory ---------------------------------------------------------------------


@pytest.mark.parametrize("cursor", ["since", "sinceSeq"])
def test_weak_spot_13_nothing_beyond_a_hundred_is_dropped(fresh: Wire, cursor: str) -> None:
    agent = fresh.agent()["id"]
    place = fresh.post("/threads", {"type": "direct", "agentId": agent}, key=None)["thread"]["id"]
    first = fresh.post(f"/threads/{place}/messages", {"text": "0", "senderId": agent}, key=None)
    for n in range(1, 251):
        fresh.post(f"/threads/{place}/messages", {"text": f"{n}", "senderId": agent}, key=None)
    row, seen = first["message"], []
    for _ in range(4):
        value = row["createdAt"] if cursor == "since" else row["seq"]
        page = fresh.get(f"/messages/sync?mode=all&{cursor}={value}")
        assert {m["threadType"] for m in page["messages"]} == {"direct"}
        seen += [m["text"] for m in page["messages"]]
        row = page["messages"][-1]
        if not page["hasMore"]:
            break
    assert seen == [str(n) for n in range(1, 251)]


def test_weak_spot_14_a_retried_send_is_stored_once(wire: Wire) -> None:
    body = {"text": "once", "agentId": wire.agent()["id"], "thread_type": "direct"}
    replies = at_once(wire, [lambda w: w.post("/messages/send", body, key="send-1")] * 4)
    assert len({reply["message_id"] for reply in replies}) == 1
    rows = wire.get(f"/threads/{replies[0]['thread_id']}/messages")["messages"]
    assert [row["text"] for row in rows] == ["once"]


def test_weak_spot_14_the_same_words_twice_are_two_messages(wire: Wire) -> None:
    agent = wire.agent()["id"]
    place = wire.post("/threads", {"type": "direct", "agentId": agent}, key=None)["thread"]["id"]
    body = {"text": "ok", "agentId": agent, "thread_id": place}
    sent = {wire.post("/messages/send", body)["message_id"] for _ in range(3)}
    assert len(sent) == 3 and None not in sent
    assert len(wire.get(f"/threads/{place}/messages")["messages"]) == 3


@pytest.mark.parametrize("word", ["checkpoint", "end"])
def test_weak_spot_15_another_agents_session_is_not_there(wire: Wire, word: str) -> None:
    one, other = wire.agent()["id"], wire.agent()["id"]
    body = {"openclawSessionId": f"s-{uuid4()}"}
    session = wire.post(f"/agents/{one}/sessions/start", body, key=None)["session"]["id"]
    point = {"checkpointJson": {"by": "other"}}
    reply = wire.post(f"/agents/{other}/sessions/{session}/{word}", point, key=None)
    assert reply.status == 404
    entry = {"content": "c", "sessionId": session}
    assert wire.post(f"/agents/{other}/memory", entry, key=None).status == 404


@pytest.mark.parametrize("field", ["projectId", "taskId"])
def test_weak_spot_15_memory_names_rows_of_its_own_company(
    wire: Wire, fresh: Wire, field: str
) -> None:
    project = fresh.project()["id"]
    theirs = project if field == "projectId" else fresh.task(project)["id"]
    entry = {"content": "c", field: theirs}
    assert wire.post(f"/agents/{wire.agent()['id']}/memory", entry, key=None).status == 404


def test_weak_spot_16_an_observation_leaves_the_snapshot(wire: Wire) -> None:
    agent = wire.agent(memory="all that I know")["id"]
    for n in range(3):
        wire.post(f"/agents/{agent}/memory", {"content": f"somebody said {n}"}, key=None)
    shown = wire.get(f"/agents/{agent}/memory")
    assert shown["snapshot"]["content"] == shown["agent"]["memory"] == "all that I know"
    assert len(shown["entries"]) == 4


# -- 17 and 18: replies and times ------------------------------------------------------------------


def test_weak_spot_17_a_replay_has_the_first_replys_status_and_says_so(wire: Wire) -> None:
    body = {"name": f"n-{uuid4()}"}
    first, again = (wire.post("/agents", body, key=f"k-{body['name']}") for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert first.raw == again.raw
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Adak"])
def test_weak_spot_18_a_daemon_in_any_zone_writes_the_same_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    daemon = Daemon(tmp_path / "home", tmp_path / "log")
    try:
        run = tmp_path / "home" / "run"
        secret = next(p.read_text().strip() for p in run.glob("company*.token"))
        wire = Wire(daemon.ready.url, secret)
        agent, project = wire.agent()["id"], wire.project()["id"]
        wire.task(project)
        before = datetime.now(UTC)
        taken = claim(agent)(wire)["task"]
        lease = datetime.fromisoformat(taken["leaseUntil"]) - before
        assert timedelta(seconds=599) < lease < timedelta(seconds=660)
        raw = datetime.fromisoformat(taken["lease_until"]).replace(tzinfo=UTC)
        assert abs(raw - datetime.fromisoformat(taken["leaseUntil"])) < timedelta(seconds=1)
        wire.close()
    finally:
        daemon.stop()
    assert os.environ["TZ"] == zone
