"""MCP servers: their tools wait for a grant, their calls are acts, their faults are their own."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.mcp import link as links
from homarus.agents.mcp import servers as pool
from homarus.agents.mcp.servers import Servers
from homarus.agents.mcp.tools import McpTools, name_of
from homarus.agents.tools.kit import Kit
from homarus.backends import layers
from homarus.backends.local import interpreter
from homarus.base.errors import HomarusError
from homarus.company import notes, resources
from homarus.egress.proxy import Egress
from homarus.egress.secrets import Secrets
from homarus.flows import reaching
from homarus.kernel import mcp_servers, receipts, registry
from homarus.kernel.keys import MasterKey
from homarus.kernel.mcp_servers import NewServer, Server
from homarus.testing import mcp_server
from homarus.testing.bench import Bench, code_of, open_bench, text_of
from homarus.testing.ground import MASTER_KEY, ground
from homarus.testing.recount import verify
from homarus.testing.shop import OWNER, SYSTEM, Shop, open_shop

mcp = pytest.importorskip("mcp")
SANDBOX = layers.probe().sandbox == "bwrap"
stdio = pytest.mark.skipif(not SANDBOX, reason="bubblewrap does not work here")
WAIT_S = 60


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with ground(tmp_path / "home") as g:
        shop = await open_shop(g)
        yield shop
        assert await shop.recount() == []
        assert await g.read(verify, g.company) == []


@pytest.fixture
async def servers(shop: Shop) -> AsyncIterator[Servers]:
    g = shop.ground
    master = MasterKey.from_file(g.home / MASTER_KEY)
    egress = Egress(g.store, Secrets(g.store, master), g.home / "run")
    await egress.start()
    made = Servers(g.store, g.home, egress)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await egress.stop()


@pytest.fixture
async def bench(shop: Shop, servers: Servers) -> Bench:
    return await open_bench(shop, "ada", Kit((), McpTools(shop.ground.store, servers)))


def argv(**script: Any) -> tuple[str, ...]:
    return (interpreter().python, "-m", "homarus.testing.mcp_server", json.dumps(script))


async def register(shop: Shop, new: NewServer) -> Server:
    """And wait until it was looked at."""
    await shop.do("mcp.register", OWNER, mcp_servers.register, new)
    changed = asyncio.Event()
    undo = shop.ground.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                changed.clear()
                row = await shop.ground.read(mcp_servers.need, shop.ground.company, new.name)
                if row.looked_ms is not None:
                    return row  # type: ignore[no-any-return]
                await changed.wait()
    finally:
        undo()


async def grant(shop: Shop, *tools: str, server: str = "notes") -> None:
    """As a change's switch does it."""
    for tool in tools:
        await shop.do(
            "capability.grant", SYSTEM, registry.set_grants, f"mcp.{server}.{tool}", ("*",)
        )


async def serve(shop: Shop, *reads: str, **script: Any) -> None:
    """A stdio server `notes` whose tools are all granted."""
    row = await register(shop, NewServer("notes", argv(**script), reads=reads))
    assert row.fault is None, row.fault
    await grant(shop, *script["tools"])


async def specs(bench: Bench) -> list[str]:
    if bench._started is None:
        await bench.begin()
    offered = await bench.tools.specs(bench.started.agent, bench.started.session)
    return [spec.name for spec in offered]


# -- pins ------------------------------------------------------------------------------------


@stdio
async def test_what_is_new_waits_for_its_grant(bench: Bench) -> None:
    await register(bench.shop, NewServer("notes", argv(tools=["echo", "other"])))
    assert await specs(bench) == []
    assert code_of(await bench.call("mcp__notes__echo")) == "permission.quarantined"
    await grant(bench.shop, "echo")
    assert await specs(bench) == ["mcp__notes__echo"]
    result = await bench.call("mcp__notes__echo", text="hello")
    assert (text_of(result), result.is_error) == ("hello", False)
    assert result.details is not None and result.details["source"] == "mcp:notes/echo"


@stdio
@pytest.mark.parametrize("fault", ["change", "quietly"])
async def test_a_change_puts_the_tool_back_into_quarantine(
    bench: Bench, servers: Servers, fault: str
) -> None:
    """The description that the model sees stays the one that was granted."""
    await serve(bench.shop, tools=["echo", "grow"], faults={"grow": fault})
    await bench.call("mcp__notes__grow")
    if fault == "quietly":  # seen at the next look
        await bench.shop.do("mcp.register", OWNER, mcp_servers.look_again, "notes")
        return
    assert code_of(await bench.call("mcp__notes__echo", text="x")) == "mcp.changed"
    assert await specs(bench) == []
    row = await bench.shop.ground.read(registry.need, bench.shop.ground.company, "mcp.notes.echo")
    assert row.quarantined and "evil" in row.description, "an operator sees what it is now"
    assert code_of(await bench.call("mcp__notes__echo", text="x")) == "permission.quarantined"
    await grant(bench.shop, "echo")
    assert text_of(await bench.call("mcp__notes__echo", text="x")) == "x"


def listing(name: str, description: str = "d", **schema: Any) -> mcp_servers.Listed:
    return mcp_servers.Listed(name, description, {"type": "object"} | schema)


async def test_a_look_at_rows(shop: Shop) -> None:
    """New, changed, gone, back again, unusable: what becomes of each."""
    await shop.do("mcp.register", OWNER, mcp_servers.register, NewServer("a", ("x",), reads=("r",)))

    async def look(*tools: mcp_servers.Listed) -> mcp_servers.Looked:
        return await shop.do("mcp.sync", SYSTEM, mcp_servers.sync, "a", tools)  # type: ignore[no-any-return]

    first = await look(listing("Do it!"), listing("r"), listing("bad", type="array"),
                       listing("x\n"), listing("do-it"))  # fmt: skip
    ids = first.quarantined
    assert ids[:2] == ("mcp.a.do_it", "mcp.a.r") and ids[2].startswith("mcp.a.do_it_")
    assert [name for name, _ in first.left_out] == ["bad", "x\n"]
    assert all(len(name_of(id_)) <= 64 for id_ in ids)
    rows = {id_: await shop.ground.read(registry.need, shop.ground.company, id_) for id_ in ids}
    assert [rows[id_].effect for id_ in ids] == [2, 0, 2]
    await grant(shop, "r", "do_it", server="a")
    again = await look(listing("Do it!"), listing("r", "other words"))
    assert again.quarantined == ("mcp.a.r",) and again.gone == ()
    gone = await look()
    assert gone.gone == ("mcp.a.do_it",)
    back = await look(listing("Do it!"))
    assert back.quarantined == ()
    row = await shop.ground.read(registry.need, shop.ground.company, "mcp.a.do_it")
    assert row.enabled and not row.quarantined, "as it was granted"


@pytest.mark.parametrize(
    "new, code",
    [
        (NewServer("A", ("x",)), "mcp.name"),
        (NewServer("a__b", ("x",)), "mcp.name"),
        (NewServer("a" * 21, ("x",)), "mcp.name"),
        (NewServer("a"), "mcp.transport"),
        (NewServer("a", ("x",), "http://x/"), "mcp.transport"),
        (NewServer("a", ("",)), "mcp.argv"),
        (NewServer("a", ("x",) * 65), "mcp.argv"),
        (NewServer("a", url="ftp://x"), "mcp.url"),
        (NewServer("a", url="http://user@x"), "mcp.url"),
        (NewServer("a", ("x",), headers={"A": "b"}), "mcp.headers"),
        (NewServer("a", url="http://x", headers={"A b": "c"}), "mcp.headers"),
        (NewServer("a", url="http://x", headers={"A": "b\r\nC: d"}), "mcp.headers"),
        (NewServer("a", ("x",), reads=("r" * 301,)), "mcp.list"),
    ],
)
async def test_servers_that_are_not_registered(shop: Shop, new: NewServer, code: str) -> None:
    with pytest.raises(HomarusError) as refused:
        await shop.do("mcp.register", OWNER, mcp_servers.register, new)
    assert refused.value.code == code


async def test_only_an_owner_registers_one(shop: Shop) -> None:
    await shop.agent("ada")
    for who in ("ada", "runtime"):
        with pytest.raises(HomarusError) as refused:
            await shop.do("mcp.register", who, mcp_servers.register, NewServer("a", ("x",)))
        assert refused.value.code == "permission.capability"


# -- calls as acts -----------------------------------------------------------------------------


@stdio
async def test_a_call_is_an_external_write_of_a_task(bench: Bench) -> None:
    await serve(bench.shop, tools=["echo"])
    await bench.call("mcp__notes__echo", text="x")
    assert len(bench.tasks) == 1
    g = bench.shop.ground
    rows = await g.read(receipts.about, g.company, g.company_no, "task", bench.tasks[0])
    assert ("mcp.notes.echo", "external_write", "allow") in [
        (r.capability, r.effect, r.verdict) for r in rows
    ]


@stdio
async def test_what_is_declared_to_read_is_the_conversations_own(bench: Bench) -> None:
    await serve(bench.shop, "echo", tools=["echo"])
    assert text_of(await bench.call("mcp__notes__echo", text="x")) == "x"
    assert bench.tasks == []


@stdio
async def test_who_is_no_operator_changes_nothing_outside(bench: Bench) -> None:
    await serve(bench.shop, tools=["echo"])
    await bench.shop.agent("bob")
    await bench.begin(as_="bob")
    assert code_of(await bench.call("mcp__notes__echo", text="x")) == "divert.create_task"


@stdio
@pytest.mark.parametrize(
    "tool, arguments, code",
    [
        ("mcp__notes__none", {}, "tool.unknown"),
        ("mcp__other__echo", {}, "tool.unknown"),
        ("mcp__notes__echo", {"text": 1}, "call.arguments"),
    ],
)
async def test_calls_that_are_refused(
    bench: Bench, tool: str, arguments: dict[str, Any], code: str
) -> None:
    await serve(bench.shop, tools=["echo"])
    assert code_of(await bench.call(tool, **arguments)) == code


@stdio
async def test_a_tool_that_says_that_it_failed(bench: Bench) -> None:
    await serve(bench.shop, tools=["fails"])
    result = await bench.call("mcp__notes__fails", text="no")
    assert (text_of(result), result.is_error) == ("no", True)


# -- faults ------------------------------------------------------------------------------------


@stdio
@pytest.mark.parametrize(
    "fault, code",
    [
        ("die", "mcp.failed"),
        ("hang", "mcp.slow"),
        ("flood", "mcp.failed"),
        ("large", "mcp.failed"),
        ("garbage", "mcp.failed"),
        ("error", "mcp.failed"),
    ],
)
async def test_a_fault_is_the_servers_own(
    bench: Bench, servers: Servers, fault: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended, left alone, and started anew; the daemon goes on."""
    monkeypatch.setattr(links, "MAX_CALL_S", 3.0)
    monkeypatch.setattr(pool, "FIRST_BACKOFF_S", 0.2)
    await serve(bench.shop, "bad", "echo", tools=["bad", "echo"], faults={"bad": fault})
    assert code_of(await bench.call("mcp__notes__bad")) == code
    assert code_of(await bench.call("mcp__notes__echo", text="x")) in ("mcp.down", None)
    await asyncio.sleep(0.25)
    assert text_of(await bench.call("mcp__notes__echo", text="again")) == "again"


@stdio
@pytest.mark.parametrize("start, wait_s", [("die", 20.0), ("hang", 1.0), ("flood", 20.0)])
async def test_a_server_that_does_not_start(
    bench: Bench, start: str, wait_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "START_S", wait_s)
    row = await register(bench.shop, NewServer("notes", argv(tools=["echo"], start=start)))
    assert row.fault is not None and row.fault.startswith(("mcp.", "process."))
    assert await specs(bench) == []


@stdio
async def test_its_process_ends_with_the_pool(bench: Bench, servers: Servers) -> None:
    await serve(bench.shop, "echo", tools=["echo"])
    await bench.call("mcp__notes__echo", text="x")
    (link,) = servers._links.values()
    await servers.close()
    assert link.dead


# -- HTTP --------------------------------------------------------------------------------------


def _keep(tx: Any, name: str, config: str, sealed: bytes) -> None:
    change = resources.ResourceChange(
        provider="own", type="secret", name=name, config=notes.read(config), secret_sealed=sealed
    )
    resources.create(tx, "company", None, change)


async def keep(shop: Shop, name: str, url: str) -> None:
    g = shop.ground
    master = MasterKey.from_file(g.home / MASTER_KEY)
    sealed = master.seal(b"the-key", reaching.sealed_for(g.company))
    config = json.dumps({"hosts": [url.split("/")[2]]})
    await shop.do("resource.create", OWNER, _keep, name, config, sealed)


async def test_a_server_on_http_is_reached_by_the_proxy(bench: Bench) -> None:
    """A handle in its headers is filled in on the way; the visit is on record."""
    with mcp_server.over_http({"tools": ["echo"]}) as server:
        await keep(bench.shop, "notes-key", server.url)
        headers = {"X-Own": "yes", "Authorization": "Bearer secret://notes-key"}
        row = await register(bench.shop, NewServer("notes", url=server.url, headers=headers))
        assert row.fault is None, row.fault
        await grant(bench.shop, "echo")
        result = await bench.call("mcp__notes__echo", text="over http")
        assert text_of(result) == "over http"
        assert server.script.calls == [("echo", {"text": "over http"})]
    assert {h.get("x-own") for h in server.headers} == {"yes"}
    assert {h.get("authorization") for h in server.headers} == {"Bearer the-key"}
    agent = bench.shop.agents["ada"]
    rows = await bench.shop.ground.read(
        lambda rx: rx.all("select host, capability from egress_visit where agent=?", (agent,))
    )
    assert rows == [("127.0.0.1", "mcp.notes")]


async def test_a_server_that_nobody_reaches(bench: Bench) -> None:
    row = await register(bench.shop, NewServer("notes", url="http://127.0.0.1:1/mcp"))
    assert row.fault is not None and "mcp.failed" in row.fault
