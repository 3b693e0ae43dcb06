"""Contract, section 18, lines 25, 27 and 29: structure, never time. Line 26 is in test_02.

What a query costs when there are many rows shows in its plan; what a request costs, in the
statements it runs. The figures themselves are in `bench/`.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.control_plane import sync
from homarus.control_plane.feed import Feed
from homarus.control_plane.route import Call, Route
from homarus.control_plane.table import routes
from homarus.store.port import Rx
from homarus.tasks import lanes
from homarus.testing.daemon import Daemon, key
from homarus.testing.ground import ground
from homarus.testing.shop import Shop, open_shop
from homarus.testing.stores import sqlite_store
from homarus.testing.waiting import eventually
from tests.contract_control_plane.wire import Wire
from tests.support.surface import surface
from tests.support.traced import Explaining, TracedStore, traced

SOON_S = 10.0

# -- 25: a claim costs the same however many tasks wait --------------------------------------------


async def _statements(shop: Shop) -> list[str]:
    """What one claim executes, and the report that makes room for the next."""
    assert isinstance(shop.ground.store, TracedStore)
    shop.ground.store.executed = []
    claimed = await shop.claim("ada")
    executed = [" ".join(sql.split()[:4]) for sql in shop.ground.store.executed]
    assert claimed is not None
    await shop.result("ada", claimed.id, "done")
    return executed


async def test_weak_spot_25_a_claim_runs_the_same_statements_at_any_queue(tmp_path: Path) -> None:
    async with ground(tmp_path, opener=traced) as g:
        shop = await open_shop(g)
        await shop.agent("ada", role="coder", limit=5)
        for _ in range(5):
            await shop.task(role="coder")
        await _statements(shop)
        few = await _statements(shop)
        for _ in range(200):
            await shop.task(role="coder")
        assert await _statements(shop) == few


async def test_weak_spot_25_a_claim_seeks_the_head_of_each_lane(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        plan = await g.read(
            lambda rx: [
                row[3] for row in rx.all(f"explain query plan {lanes.HEADS}", ("", "", 1, "", ""))
            ]
        )
    assert "SEARCH x USING COVERING INDEX task_claimable (lane=?)" in plan
    assert not [step for step in plan if step.startswith(("SCAN", "USE TEMP"))]


# -- 27: every list is bounded, and has its index --------------------------------------------------

LISTS = [
    route
    for route in routes()
    if isinstance(route, Route)
    and route.method == "GET"
    and "limit" in route.query
    and route.path != "/audit/export"  # a stream of lines, bounded by seals
]
SMALL = {"token", "company", "capability", "registry_stamp", "pipeline", "price", "folder"}
"""Tables that people fill by hand."""
SAMPLES = ("5", "ID", "open", "active", "inbox", "low", "company", "2026-01-02T03:04:05Z", "T-1")
STEP = re.compile(r"(SCAN|SEARCH) (\w+)")


def unbounded(sql: str, step: str) -> bool:
    """Whether a step of a plan reads a table that grows, or sorts what it read."""
    if step.startswith("USE TEMP B-TREE FOR ORDER"):
        return not re.search(rf"\bfrom ({'|'.join(SMALL)})\b", sql)
    found = STEP.match(step)
    if found is None:
        return False
    verb, alias = found.groups()
    names = {short: name for name, short in re.findall(r"\b(?:from|join) (\w+) (\w+)\b", sql)}
    table = names.get(alias, alias)
    return table not in SMALL and verb == "SCAN"


@pytest.mark.parametrize("route", LISTS, ids=[route.path for route in LISTS])
async def test_weak_spot_27_no_list_scans_or_sorts_a_table_that_grows(
    tmp_path: Path, route: Route
) -> None:
    async with surface(tmp_path, sqlite_store) as s:
        agent, project = await s.agent("ada"), await s.project()
        about = project if route.path.startswith("/projects") else agent
        path = dict.fromkeys(re.findall(r"\{(\w+)\}", route.path), about)
        plans: list[tuple[str, str]] = []

        def run(rx: Rx, query: dict[str, str]) -> bool:
            explaining = Explaining(rx)
            try:
                route.handler(explaining, Call(s.company, s.owner, path, query, None))
            except HomarusError:
                return False
            finally:
                plans.extend(explaining.plans)
            return True

        for name in ("limit", *route.query):
            for sample in SAMPLES:
                value = about if sample == "ID" else sample
                if await s.store.read(run, {"limit": "5"} | {name: value}):
                    break
    assert not [(step, sql) for sql, step in plans if unbounded(sql, step)]


@pytest.mark.parametrize("route", LISTS, ids=[route.path for route in LISTS])
def test_weak_spot_27_every_list_ends_at_its_limit(
    wire: Wire, person: Wire, full: dict[str, str], route: Route
) -> None:
    kind = {"projects": "project", "threads": "thread"}.get(route.path.split("/")[1], "agent")
    path = route.mounts[0] + re.sub(r"\{\w+\}", lambda _: full[kind], route.path)
    reply = person.get(f"{path}?limit=1&intent=write")
    if reply.status in (400, 404):  # it is about one thing, which is not there or must be named
        assert "{" in route.path or "taskId" in route.query
        return
    assert reply.status == 200, reply.body
    rows = {name: value for name, value in reply.body.items() if isinstance(value, list)}
    assert all(len(value) <= 1 for value in rows.values()), rows


@pytest.fixture(scope="module")
def full(wire: Wire, person: Wire) -> dict[str, str]:
    """Two and more of everything that a company token makes."""
    agent, project = wire.agent()["id"], wire.project()["id"]
    for n in range(3):
        wire.agent()
        wire.project()
        wire.customer()
        task = wire.task(project)["id"]
        wire.post(f"/tasks/{task}/claim", {"agentId": agent})
        wire.post(f"/agents/{agent}/memory", {"content": "c"}, key=None)
        wire.post(f"/projects/{project}/memory", {"content": "c"}, key=None)
        wire.post("/approvals", {"projectId": project, "taskIds": [task]}, key=None)
        body = {"severity": "low", "reasonCode": "odd", "summary": "odd", "projectId": project}
        wire.post("/incidents", body)
        wire.post("/threads", {"type": "project", "projectId": project}, key=None)
        sent = wire.post("/messages/send", {"text": f"{n}", "agentId": agent}, key=None)
        name = {"name": f"r{n}", "resourceType": "note", "provider": "p"}
        wire.post("/resources", name, key=None)
        person.post("/api/v1/tokens", {"kind": "runtime", "name": f"t{n}"})
    return {"agent": agent, "project": project, "thread": sent["thread_id"]}


# -- 29: who waits asks nothing --------------------------------------------------------------------


class Counted:
    """`route.Stream` as far as a poll uses it; `reads` are its queries."""

    def __init__(self, s: Any, feed: Feed) -> None:
        self._s, self._feed = s, feed
        self.reads = 0

    async def read(self, fn: Any, *args: Any) -> Any:
        self.reads += 1
        return await self._s.store.read(fn, *args)

    async def wait(self, after_seq: int, timeout_s: float) -> int:
        return await self._feed.wait(self._s.company, after_seq, timeout_s)


async def test_weak_spot_29_idle_polls_ask_nothing_until_something_is_said(tmp_path: Path) -> None:
    async with surface(tmp_path, sqlite_store) as s:
        other = await s.other_company()
        ada = await s.agent("ada")
        bridge = await s.token(acts_for=[ada])
        feed = Feed(s.store)
        feed.start()
        streams = [Counted(s, feed) for _ in range(20)]
        call: Call[None] = Call(s.company, bridge, {}, {"sinceSeq": "0", "mode": "all"}, None)
        polls = [asyncio.create_task(sync.poll(stream, call)) for stream in streams]
        await eventually(lambda: feed.waiting == len(polls))
        for n in range(30):
            await s.agent(f"other-{n}", company=other)
        assert feed.waiting == len(polls), "another company's commits wake nobody"
        assert [stream.reads for stream in streams] == [1] * len(streams)

        table = [route for route in routes() if isinstance(route, Route)]
        said = await s.call(table, "POST", "/messages/send", {"text": "t", "agentId": ada},
                            token=bridge)  # fmt: skip
        assert said.status == 200
        async with asyncio.timeout(SOON_S):
            replies = [await poll for poll in polls]
        texts = [[m["text"] for m in json.loads(reply.body)["messages"]] for reply in replies]
        assert texts == [["t"]] * len(polls)
        assert [stream.reads for stream in streams] == [2] * len(streams)
        feed.stop()


async def test_weak_spot_29_a_held_poll_of_a_daemon_waits_for_the_feed(daemon: Daemon) -> None:
    agent = await daemon.agent("ada")
    path = "/api/mcp/messages/sync?sinceSeq=0&mode=all"
    polls = [asyncio.create_task(daemon.company.get(path)) for _ in range(5)]
    feed = daemon.app.feed
    await eventually(lambda: feed.waiting == len(polls))
    await daemon.company.post(
        "/api/mcp/messages/send", json={"text": "now", "agentId": agent}, headers=key()
    )
    for poll in polls:
        assert [m["text"] for m in (await poll).json()["messages"]] == ["now"]
