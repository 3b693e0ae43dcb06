"""Contract, 4.4: sessions and what their start hands back."""

from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import NOBODY, Answer, Wire

SESSION = {
    "id", "companyId", "agentId", "runtimeNodeId", "openclawSessionId", "sessionType", "channel",
    "checkpointJson", "syncStatus", "startedAt", "lastCheckpointAt", "lastHeartbeatAt",
    "checkinDeadlineAt", "lastWakeAt", "wakeAttempts", "maxWakeAttempts", "lifecycleGeneration",
    "lastProvisionError", "endedAt", "status", "summary", "createdAt",
}  # fmt: skip


@pytest.fixture
def agent(wire: Wire) -> str:
    return str(wire.agent()["id"])


def start(wire: Wire, agent: str, **body: Any) -> Answer:
    given = {"openclawSessionId": f"s-{uuid4()}"} | body
    return wire.post(f"/agents/{agent}/sessions/start", given, key=None)


def step(wire: Wire, agent: str, session: str, word: str, body: Any) -> Answer:
    return wire.post(f"/agents/{agent}/sessions/{session}/{word}", body, key=None)


def test_must_hydrate_with_session_memory_and_notes(wire: Wire, agent: str) -> None:
    reply = start(wire, agent)
    assert reply.status == 200, reply.body
    assert set(reply["session"]) >= SESSION and reply["session"]["id"]
    assert set(reply["memory"]) >= {"snapshot", "entries"}
    assert not reply["memory"]["snapshot"], "js reads its truthiness"
    assert "contextNotes" in reply.body
    assert reply["recentSessions"] == []


def test_defaults_of_a_start(wire: Wire, agent: str) -> None:
    session = start(wire, agent)["session"]
    assert session["agentId"] == agent
    assert (session["sessionType"], session["status"]) == ("main", "active")
    assert (session["lifecycleGeneration"], session["wakeAttempts"]) == (1, 0)
    assert session["maxWakeAttempts"] == 3
    assert session["checkinDeadlineAt"] > session["createdAt"]
    assert session["endedAt"] is None


def test_all_given_fields_come_back(wire: Wire, agent: str) -> None:
    node = wire.post("/runtime/register", {"runtimeId": f"r-{agent}", "name": "n"}, key=None)
    given = {
        "sessionType": "task",
        "channel": "chat",
        "startedAt": "2026-01-02T03:04:05.678Z",
        "checkpointJson": {"at": 1},
    }
    session = start(wire, agent, runtimeId=f"r-{agent}", **given)["session"]
    assert {field: session[field] for field in given} == given
    assert session["runtimeNodeId"] == node["runtimeNode"]["id"]


def test_a_live_session_of_that_name_goes_on(wire: Wire, agent: str) -> None:
    first, again = (start(wire, agent, openclawSessionId="same")["session"] for _ in range(2))
    assert again["id"] == first["id"]
    assert again["lifecycleGeneration"] == first["lifecycleGeneration"] + 1


def test_an_ended_one_begins_anew(wire: Wire, agent: str) -> None:
    first = start(wire, agent, openclawSessionId="same")["session"]
    step(wire, agent, first["id"], "end", {})
    again = start(wire, agent, openclawSessionId="same")
    assert again["session"]["id"] != first["id"]
    assert again["session"]["lifecycleGeneration"] == 1
    assert [row["id"] for row in again["recentSessions"]] == [first["id"]]


def test_two_agents_may_use_one_name(wire: Wire, agent: str) -> None:
    other = wire.agent()["id"]
    ids = {start(wire, a, openclawSessionId="main")["session"]["id"] for a in (agent, other)}
    assert len(ids) == 2


def test_the_last_five_sessions_and_25_entries_oldest_first(wire: Wire, agent: str) -> None:
    for _ in range(7):
        start(wire, agent)
    for n in range(30):
        wire.post(f"/agents/{agent}/memory", {"content": f"note {n}"}, key=None)
    wire.post(f"/agents/{agent}/memory", {"content": "all", "snapshot": "the whole"}, key=None)
    reply = start(wire, agent)
    assert len(reply["recentSessions"]) == 5
    contents = [entry["content"] for entry in reply["memory"]["entries"]]
    assert contents == [*(f"note {n}" for n in range(6, 30)), "all"]
    assert reply["memory"]["snapshot"]["content"] == "the whole"


def test_the_companys_notes_come_with_it(wire: Wire, person: Wire, agent: str) -> None:
    changed = person.patch(f"/api/v1/companies/{wire.id}", {"contextNotes": "Be brief."})
    assert changed.status == 200, changed.body
    assert start(wire, agent)["contextNotes"] == "Be brief."


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"openclawSessionId": ""},
        {"openclawSessionId": 7},
        {"openclawSessionId": "s" * 5000},
        {"openclawSessionId": "s", "checkpointJson": "text"},
        {"openclawSessionId": "s", "startedAt": "soon"},
    ],
)
def test_starts_that_are_refused(wire: Wire, agent: str, body: dict[str, Any]) -> None:
    reply = wire.post(f"/agents/{agent}/sessions/start", body, key=None)
    assert reply.status == 400 and reply["error"]


@pytest.mark.parametrize("agent_id", [NOBODY, "nobody"])
def test_an_unknown_agent_has_no_session(wire: Wire, agent_id: str) -> None:
    assert start(wire, agent_id).status in (400, 404)


# -- checkpoint --------------------------------------------------------------------------------


def test_a_checkpoint_is_kept(wire: Wire, agent: str) -> None:
    session = start(wire, agent)["session"]["id"]
    body = {"checkpointJson": {"step": 2}, "summary": "half", "syncStatus": "pending"}
    after = step(wire, agent, session, "checkpoint", body)
    assert after.status == 200
    row = after["session"]
    assert (row["checkpointJson"], row["summary"]) == ({"step": 2}, "half")
    assert (row["status"], row["syncStatus"]) == ("active", "pending")
    assert row["lastCheckpointAt"]


def test_defaults_of_a_checkpoint(wire: Wire, agent: str) -> None:
    session = start(wire, agent)["session"]["id"]
    row = step(wire, agent, session, "checkpoint", {"checkpointJson": {}})["session"]
    assert (row["status"], row["syncStatus"]) == ("active", "synced")


@pytest.mark.parametrize("status", ["starting", "active", "degraded"])
def test_statuses_of_a_live_session(wire: Wire, agent: str, status: str) -> None:
    session = start(wire, agent)["session"]["id"]
    body = {"checkpointJson": {}, "status": status}
    assert step(wire, agent, session, "checkpoint", body)["session"]["status"] == status


@pytest.mark.parametrize("body", [{}, {"checkpointJson": None}, {"checkpointJson": "x"}, None])
def test_checkpoints_without_one_are_400(wire: Wire, agent: str, body: Any) -> None:
    session = start(wire, agent)["session"]["id"]
    assert step(wire, agent, session, "checkpoint", body).status == 400


# -- end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, {}, {"status": "ended"}, {"status": "completed"}])
def test_an_end_sets_its_time_and_clears_the_deadline(wire: Wire, agent: str, body: Any) -> None:
    session = start(wire, agent)["session"]["id"]
    row = step(wire, agent, session, "end", body)["session"]
    assert row["status"] == "ended" and row["endedAt"]
    assert row["checkinDeadlineAt"] is None


def test_an_end_keeps_summary_and_checkpoint(wire: Wire, agent: str) -> None:
    session = start(wire, agent)["session"]["id"]
    body = {"summary": "all done", "checkpointJson": {"last": True}}
    row = step(wire, agent, session, "end", body)["session"]
    assert (row["summary"], row["checkpointJson"]) == ("all done", {"last": True})


def test_to_end_twice_changes_nothing(wire: Wire, agent: str) -> None:
    session = start(wire, agent)["session"]["id"]
    first = step(wire, agent, session, "end", {})["session"]
    assert step(wire, agent, session, "end", {"summary": "late"})["session"] == first


def test_an_ended_session_takes_no_checkpoint(wire: Wire, agent: str) -> None:
    session = start(wire, agent)["session"]["id"]
    step(wire, agent, session, "end", {})
    assert step(wire, agent, session, "checkpoint", {"checkpointJson": {}}).status == 409


# -- heartbeat, 4.3 (3) ------------------------------------------------------------------------


def test_a_heartbeat_moves_the_deadline_of_all_live_sessions(wire: Wire, agent: str) -> None:
    before = [start(wire, agent)["session"] for _ in range(2)]
    body = {"checkpointJson": {}, "status": "degraded"}
    step(wire, agent, before[0]["id"], "checkpoint", body)
    wire.post("/agents/heartbeat", {"agentId": agent, "currentLoad": 0}, key=None)
    after = {row["id"]: row for row in start(wire, agent)["recentSessions"]}
    for session in before:
        row = after[session["id"]]
        assert row["lastHeartbeatAt"] and row["status"] == "active"
        assert row["checkinDeadlineAt"] >= session["checkinDeadlineAt"]
        assert row["wakeAttempts"] == 0


# -- quirks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["checkpoint", "end"])
def test_quirk_another_agents_session_is_unknown(wire: Wire, agent: str, word: str) -> None:
    """The original ignores the agent of the path."""
    session = start(wire, agent)["session"]["id"]
    other = wire.agent()["id"]
    reply = step(wire, other, session, word, {"checkpointJson": {}})
    assert (reply.status, reply["code"]) == (404, "session.unknown")


@pytest.mark.parametrize("session", ["x", NOBODY])
@pytest.mark.parametrize("word", ["checkpoint", "end"])
def test_quirk_an_unknown_session_is_no_fault(
    wire: Wire, agent: str, word: str, session: str
) -> None:
    reply = step(wire, agent, session, word, {"checkpointJson": {}})
    assert reply.status in (400, 404) and reply["error"]
