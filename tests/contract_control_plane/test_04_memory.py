"""Contract, 4.5: what an agent remembers."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import NOBODY, Answer, Wire

ENTRY = {
    "id", "companyId", "agentId", "sessionId", "projectId", "taskId", "kind", "content", "summary",
    "metadataJson", "createdAt",
}  # fmt: skip


@pytest.fixture
def agent(wire: Wire) -> str:
    return str(wire.agent()["id"])


def remember(wire: Wire, agent: str, **body: Any) -> Answer:
    return wire.post(f"/agents/{agent}/memory", {"content": "a line"} | body, key=None)


def test_an_entry_comes_back_whole(wire: Wire, agent: str) -> None:
    project = wire.project()["id"]
    task = wire.task(project)["id"]
    session = wire.post(
        f"/agents/{agent}/sessions/start", {"openclawSessionId": "s"}, key=None
    )["session"]["id"]  # fmt: skip
    given = {
        "content": "the build is slow on Mondays",
        "sessionId": session,
        "projectId": project,
        "taskId": task,
        "kind": "thread_observation",
        "summary": "slow Mondays",
        "metadataJson": {"thread": "t-1"},
    }
    made = remember(wire, agent, **given)
    assert made.status == 201
    assert set(made["entry"]) >= ENTRY
    assert {field: made["entry"][field] for field in given} == given
    assert made["entry"]["agentId"] == agent


def test_defaults_of_an_entry(wire: Wire, agent: str) -> None:
    entry = remember(wire, agent)["entry"]
    assert (entry["kind"], entry["metadataJson"]) == ("context", {})
    assert [entry[f] for f in ("sessionId", "projectId", "taskId", "summary")] == [None] * 4


@pytest.mark.parametrize("kind", ["thread_observation", "task_claim", "context", "checkpoint"])
def test_must_take_the_kinds_of_the_bridges(wire: Wire, agent: str, kind: str) -> None:
    assert remember(wire, agent, kind=kind)["entry"]["kind"] == kind


@pytest.mark.parametrize(
    "query, count", [("", 20), ("?limit=3", 3), ("?limit=1000", 100), ("?limit=x", 20)]
)
def test_the_newest_entries_oldest_first(wire: Wire, agent: str, query: str, count: int) -> None:
    for n in range(105):
        remember(wire, agent, content=f"{n}")
    shown = wire.get(f"/agents/{agent}/memory{query}")
    assert shown["agent"]["id"] == agent
    contents = [entry["content"] for entry in shown["entries"]]
    assert contents == [str(n) for n in range(105 - count, 105)]


def test_older_entries_by_cursor(wire: Wire, agent: str) -> None:
    for n in range(5):
        remember(wire, agent, content=f"{n}")
    last = wire.get(f"/agents/{agent}/memory?limit=2")
    before = wire.get(f"/agents/{agent}/memory?limit=2&cursor={last['nextCursor']}")
    assert [entry["content"] for entry in before["entries"]] == ["1", "2"]


def test_a_snapshot_an_observation_cannot_overwrite(wire: Wire, agent: str) -> None:
    """QUIRK of the original: a one-line observation replaces all that the agent knew."""
    whole = remember(wire, agent, content="checkpoint", snapshot="all that I know")
    assert whole["snapshot"]["content"] == "all that I know"
    after = remember(wire, agent, content="somebody said hello", kind="thread_observation")
    assert after["snapshot"]["content"] == "all that I know"
    shown = wire.get(f"/agents/{agent}/memory")
    assert shown["snapshot"]["content"] == "all that I know"
    assert shown["agent"]["memory"] == "all that I know"
    assert [entry["content"] for entry in shown["entries"]] == ["checkpoint", "somebody said hello"]


def test_a_new_snapshot_replaces_the_old_one(wire: Wire, agent: str) -> None:
    for text in ("one", "two"):
        remember(wire, agent, snapshot=text)
    shown = wire.get(f"/agents/{agent}/memory")
    assert (shown["snapshot"]["content"], shown["agent"]["memory"]) == ("two", "two")


def test_without_any_snapshot_there_is_none(wire: Wire, agent: str) -> None:
    assert remember(wire, agent)["snapshot"] is None
    assert wire.get(f"/agents/{agent}/memory")["snapshot"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"content": ""},
        {"content": "   "},
        {"content": None},
        {"content": 7},
        {"content": "x" * 200_001},
        {"kind": "k" * 65},
        {"metadataJson": "text"},
        {"snapshot": 5},
    ],
)
def test_entries_that_are_refused(wire: Wire, agent: str, body: dict[str, Any]) -> None:
    reply = remember(wire, agent, **body)
    assert reply.status == 400 and reply["error"]


@pytest.mark.parametrize("of", [NOBODY, "nobody"])
def test_an_unknown_agent_remembers_nothing(wire: Wire, of: str) -> None:
    assert wire.get(f"/agents/{of}/memory").status in (400, 404)
    assert remember(wire, of).status in (400, 404)


@pytest.mark.parametrize("field", ["sessionId", "projectId", "taskId"])
def test_what_an_entry_names_must_be_there(wire: Wire, agent: str, field: str) -> None:
    assert remember(wire, agent, **{field: str(uuid4())}).status == 404


def test_another_companys_rows_are_not_there(
    wire: Wire, agent: str, found: Callable[..., Wire]
) -> None:
    other = found()
    project = other.project()["id"]
    assert remember(wire, agent, projectId=project).status == 404
    assert other.get(f"/agents/{agent}/memory").status == 404
