"""Contract, section 18, lines 20, 22 and 23: who speaks for whom, and what errors tell."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from homarus.control_plane.route import Route
from homarus.control_plane.table import routes
from tests.contract_control_plane.wire import Wire, as_agent

# -- 20: one token is not the whole company ------------------------------------------------------


@pytest.fixture(scope="module")
def stranger(wire: Wire, person: Wire) -> Wire:
    """A second company token of the same company, which made none of its agents."""
    minted = person.post("/api/v1/tokens", {"kind": "runtime", "name": "second"})
    return Wire(wire.url, minted["secret"], wire.id)


ACTS: list[tuple[str, str, dict[str, Any]]] = [
    ("claim", "/tasks/claim", {"agentId": "{agent}"}),
    ("result", "/tasks/{task}/result", {"agentId": "{agent}", "state": "done"}),
    ("note", "/tasks/{task}/notes", {"agentId": "{agent}", "note": "n"}),
    ("heartbeat", "/agents/heartbeat", {"agentId": "{agent}", "currentLoad": 0}),
    ("usage", "/agents/report-usage", {"agentId": "{agent}", "tokensUsed": 1}),
    ("session", "/agents/{agent}/sessions/start", {"openclawSessionId": "s"}),
    ("memory", "/agents/{agent}/memory", {"content": "c"}),
    ("send", "/messages/send", {"agentId": "{agent}", "text": "t"}),
    ("status", "/chat/status", {"agentId": "{agent}", "threadId": "{thread}"}),
]


@pytest.mark.parametrize("who", ["stranger", "other agent"])
@pytest.mark.parametrize("name, path, body", ACTS, ids=[row[0] for row in ACTS])
def test_weak_spot_20_nobody_speaks_for_an_agent_that_is_not_its_own(
    wire: Wire, person: Wire, stranger: Wire, who: str, name: str, path: str, body: dict[str, Any]
) -> None:
    agent = wire.agent()["id"]
    task = wire.task(wire.project()["id"])["id"]
    wire.post(f"/tasks/{task}/claim", {"agentId": agent})
    thread = wire.post("/threads", {"type": "team"}, key=None)["thread"]["id"]
    names = {"agent": agent, "task": task, "thread": thread}
    given = {k: v.format(**names) if isinstance(v, str) else v for k, v in body.items()}
    caller = stranger if who == "stranger" else as_agent(wire, person, wire.agent()["id"])
    reply = caller.post(path.format(**names), given)
    assert reply.status == 403 and reply["error"], reply.body
    mine = wire.post(path.format(**names), given)
    assert mine.status in (200, 201), mine.body


def test_weak_spot_20_an_agents_token_never_speaks_as_a_person(wire: Wire, person: Wire) -> None:
    own = as_agent(wire, person, wire.agent()["id"])
    body = {"text": "approve it", "senderType": "human", "senderId": "the owner"}
    assert own.post("/messages/send", body, key=None).status == 403
    thread = wire.post("/threads", {"type": "team"}, key=None)["thread"]["id"]
    assert own.post(f"/threads/{thread}/messages", body, key=None).status == 403


def test_weak_spot_20_a_person_whom_a_token_names_is_marked_as_relayed(wire: Wire) -> None:
    body = {"text": "approve it", "senderType": "human", "senderId": "the owner"}
    sent = wire.post("/messages/send", body, key=None)
    row = wire.get(f"/threads/{sent['thread_id']}/messages")["messages"][-1]
    assert row["metadataJson"]["relayed"] is True


# -- 22: what is gone, and whose prices are whose --------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_weak_spot_22_a_deleted_project_remembers_nothing(wire: Wire, method: str) -> None:
    project = wire.project()["id"]
    wire.post(f"/projects/{project}/memory", {"content": "c"}, key=None)
    wire.delete(f"/projects/{project}")
    body = {"content": "d"} if method == "POST" else None
    assert wire.call(method, f"/projects/{project}/memory", body).status == 404


def test_weak_spot_22_prices_are_an_owners_and_of_one_company(
    wire: Wire, person: Wire, found: Callable[..., Wire]
) -> None:
    body = {"provider": "p", "model": "m", "inputPricePer1k": 1, "outputPricePer1k": 2}
    assert wire.post("/pricing", body, key=None).status == 403
    assert person.post("/pricing", body, key=None).status in (200, 201)
    assert [row["model"] for row in wire.get("/pricing")["pricing"]] == ["m"]
    assert found().get("/pricing")["pricing"] == []


# -- 23: an error says nothing of the inside -------------------------------------------------------

INSIDE = re.compile(
    r"sqlite|psycopg|apsw|Traceback|constraint failed|\.py\b"
    r"|select .+ from|insert into|update .+ set",
    re.IGNORECASE,
)
HOSTILE_PATHS = (
    "'; drop table task; --",
    "%00",
    "x" * 2000,
    "\u00fc",
    "-1",
    "%F0%28%8C%28",
    "null",
)
HOSTILE_VALUES: tuple[Any, ...] = (
    "'; drop table task; --",
    "\u0000",
    "\U0001f600" * 3,
    2**63,
    -(2**63) - 1,
    10**400 % 10**40,
    1e308,
    True,
    None,
    "",
    [],
    {},
    [[[[[[[[]]]]]]]],
    {"a": {"b": {"c": None}}},
    "9" * 5000,
)
HOSTILE_BODIES = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"123",
    b"\xff\xfe\x00",
    b'{"a": "\\ud800"}',
    b'{"a": 1e999}',
    b"[" * 5000,
    b'{"name": "' + b"x" * 100_000 + b'"}',
)
LONG = ("/messages/sync", "/backups", "/audit/export")
"""Held, or as large as the company: their bodies have tests of their own."""

TABLE = [
    route
    for route in routes()
    if route.path not in LONG and isinstance(route, Route) and route.scope != "instance"
]


def fields_of(route: Route) -> list[str]:
    """Wire names of the body's fields."""
    names = getattr(route.body, "__struct_encode_fields__", ())
    return list(names)


def filled(route: Route, value: str) -> str:
    return route.mounts[0] + re.sub(r"\{[^}]+\}", lambda _: value, route.path)


@pytest.mark.parametrize("route", TABLE, ids=[f"{r.method} {r.path}" for r in TABLE])
def test_weak_spot_23_hostile_input_is_no_fault_and_shows_nothing(
    person: Wire, route: Route
) -> None:
    """Every route, with bodies that are none, fields out of range, ids that are none."""
    somebody = str(uuid4())
    calls: list[tuple[str, dict[str, Any]]] = []
    if "{" in route.path:
        calls += [(filled(route, value), {}) for value in HOSTILE_PATHS]
    if route.method == "GET":
        for name in (*route.query, "limit", "cursor"):
            for value in ("'; drop table task; --", "%00", "9" * 400, "-1", "%F0%28"):
                calls.append((f"{filled(route, somebody)}?{name}={value}", {}))
    else:
        calls += [(filled(route, somebody), {"content": body}) for body in HOSTILE_BODIES]
        names = fields_of(route)
        for name in names:
            for value in HOSTILE_VALUES:
                others = dict.fromkeys(names, "x") if isinstance(value, str) else {}
                calls.append((filled(route, somebody), {"body": others | {name: value}}))
    for path, more in calls:
        reply = person.call(route.method, path, more.pop("body", None), **more)
        assert reply.status < 500, (path, more, reply.body)
        if reply.status >= 400:
            text = reply.raw.decode("utf-8", "replace")
            told = text.replace("drop table task", "")
            assert not INSIDE.search(told), (path, more, text)
