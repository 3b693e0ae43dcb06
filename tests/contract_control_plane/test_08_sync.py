"""Contract, 8.1: the long poll of messages and its cursor."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract_control_plane.wire import Answer, Wire

POLL_S = 25


class Talk:
    """A company with an agent, a team thread and a person."""

    def __init__(self, wire: Wire, person: Wire) -> None:
        self.wire, self.person = wire, person
        self.agent: str = wire.agent()["id"]
        self.team: str = wire.post("/threads", {"type": "team"}, key=None)["thread"]["id"]

    def says(self, text: str, place: str | None = None) -> dict[str, Any]:
        """A person's message."""
        path = f"/threads/{place or self.team}/messages"
        return dict(self.person.post(path, {"text": text})["message"])

    def answers(self, text: str, agent: str | None = None, **more: Any) -> None:
        body = {"text": text, "agentId": agent or self.agent} | more
        assert self.wire.post("/messages/send", body, key=None).status == 200

    def sync(self, **query: Any) -> Answer:
        words = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        reply = self.wire.get(f"/messages/sync?{words}")
        assert reply.status == 200, reply.body
        return reply

    def texts(self, **query: Any) -> list[str]:
        return [row["text"] for row in self.sync(**query)["messages"]]


@pytest.fixture
def talk(owner: Wire, found: Callable[..., Wire]) -> Iterator[Talk]:
    wire = found()
    person = Wire(owner.url, owner.token, wire.id, {"X-Homarus-Company": wire.id})
    yield Talk(wire, person)
    wire.close()
    person.close()


@pytest.fixture(scope="module", autouse=True)
def idle(found: Callable[..., Wire]) -> tuple[threading.Thread, list[float]]:
    """A poll of a company where nobody speaks, held while the other cases run."""
    wire = found()
    took: list[float] = []

    def poll() -> None:
        began = time.monotonic()
        assert wire.get("/messages/sync?sinceSeq=0")["messages"] == []
        took.append(time.monotonic() - began)

    asked = threading.Thread(target=poll, daemon=True)
    asked.start()
    return asked, took


def test_the_shape_of_a_reply(talk: Talk) -> None:
    talk.says("hello")
    reply = talk.sync()
    assert (reply["ok"], reply["mode"]) == (True, "human_only")
    assert "contextNotes" in reply.body
    row = reply["messages"][0]
    assert (row["senderType"], row["threadType"], row["threadId"]) == ("human", "team", talk.team)


@pytest.mark.parametrize(
    "query, expected",
    [
        ({}, ["from a person"]),
        ({"mode": "human_only"}, ["from a person"]),
        ({"mode": "all"}, ["from a person", "from an agent"]),
        ({"senderType": "agent"}, ["from an agent"]),
        ({"mode": "all", "senderType": "human"}, ["from a person"]),
    ],
)
def test_modes(talk: Talk, query: dict[str, str], expected: list[str]) -> None:
    talk.says("from a person")
    talk.answers("from an agent")
    assert talk.texts(**query) == expected


@pytest.mark.parametrize("query", ["mode=some", "senderType=robot", "since=x", "sinceSeq=-1"])
def test_polls_that_ask_nonsense(talk: Talk, query: str) -> None:
    assert talk.wire.get(f"/messages/sync?{query}").status == 400


def test_must_go_on_from_the_time_of_the_last_message(talk: Talk) -> None:
    """The bridges' cursor: `createdAt` of the last one; nothing is skipped, nothing twice."""
    made = [talk.says(f"{n}") for n in range(5)]
    assert talk.texts(since=made[1]["createdAt"]) == ["2", "3", "4"]
    assert talk.texts(sinceSeq=made[1]["seq"]) == ["2", "3", "4"]


def test_without_a_cursor_the_newest_hundred_oldest_first(talk: Talk) -> None:
    for n in range(103):
        talk.says(f"{n}")
    assert talk.texts() == [str(n) for n in range(3, 103)]


def test_with_an_agent_only_what_is_new_to_it(talk: Talk) -> None:
    direct = talk.wire.post("/threads", {"type": "direct", "agentId": talk.agent}, key=None)
    other = talk.wire.agent()["id"]
    theirs = talk.wire.post("/threads", {"type": "direct", "agentId": other}, key=None)
    talk.says("old")
    talk.answers("my own")
    talk.says("team")
    talk.says("to me", direct["thread"]["id"])
    talk.says("not mine", theirs["thread"]["id"])
    assert talk.texts(mode="all", agentId=talk.agent) == ["team", "to me"]
    named = talk.wire.get(f"/agents/{talk.agent}")["agent"]["name"]
    assert talk.texts(mode="all", agentId=named) == ["team", "to me"]
    assert talk.wire.get("/messages/sync?agentId=nobody").status == 404


def test_an_idle_poll_answers_as_soon_as_there_is_something(talk: Talk) -> None:
    last = talk.says("before")
    heard: list[Answer] = []
    asked = threading.Thread(target=lambda: heard.append(talk.sync(since=last["createdAt"])))
    asked.start()
    began = time.monotonic()
    said = talk.says("now")
    asked.join(POLL_S)
    assert time.monotonic() - began < POLL_S / 2
    assert [row["id"] for row in heard[0]["messages"]] == [said["id"]]


@pytest.mark.slow
def test_it_is_empty_after_25_seconds(idle: tuple[threading.Thread, list[float]]) -> None:
    asked, took = idle
    asked.join(2 * POLL_S)
    assert POLL_S - 1 <= took[0] <= POLL_S + 10
