"""Rows of the tools, on both engines: visits, secrets, cancelled calls, MCP servers' tools."""

import json
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.company import notes, resources
from homarus.flows import calling, reaching
from homarus.flows.reaching import Passed, Run
from homarus.kernel import mcp_servers, receipts, registry, settings
from homarus.kernel.mcp_servers import Listed, NewServer
from homarus.testing.shop import OWNER, SYSTEM, Shop

TRACE = "01a1f978-acee-72aa-8763-e53ee771c702"


@pytest.fixture
async def run(shop: Shop) -> Run:
    agent = await shop.agent("ada", role="coder")
    return Run("run-1", shop.ground.company, agent, "a.run", trace=TRACE)


async def opened(shop: Shop, run: Run, host: str = "api.test", port: int = 443) -> str:
    action = shop.ground.action("egress.open", reaching.target_of(host, port), system="egress",
                                credential="", acting=run.agent)  # fmt: skip
    return str(await shop.ground.store.write(action, reaching.open_visit, run, host, port))


async def test_a_visit_has_an_intent_and_an_outcome(shop: Shop, run: Run) -> None:
    visit = await opened(shop, run)
    passed = Passed(2, 10, 20, ("api-key",))
    for first in (True, False):
        closed = await shop.do("egress.close", SYSTEM, reaching.close_visit, visit, passed)
        assert closed is first
    (row,) = await shop.ground.read(reaching.of_run, run.company, run.id)
    assert row == reaching.Visit("run-1", "api.test", 443, "done", 2, 10, 20, ("api-key",))
    g = shop.ground
    (intent,) = await g.read(receipts.about, g.company, g.company_no, "trace", TRACE)
    assert (intent.capability, intent.target) == ("egress.open", "host:api.test:443")


async def test_what_nobody_closed_is_unknown(shop: Shop, run: Run) -> None:
    for port in (1, 2):
        await opened(shop, run, port=port)
    assert await shop.ground.read(reaching.companies_open, 10) == [shop.ground.company]
    assert await shop.do("egress.close", SYSTEM, reaching.recover, 10) == 2
    assert await shop.do("egress.close", SYSTEM, reaching.recover, 10) == 0
    rows = await shop.ground.read(reaching.of_run, run.company, run.id)
    assert [row.state for row in rows] == ["unknown", "unknown"]


async def test_one_run_reaches_so_many_hosts(
    shop: Shop, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "MAX_HOSTS", 1)
    await opened(shop, run)
    with pytest.raises(HomarusError) as refused:
        await opened(shop, run, "other.test")
    assert refused.value.code == "egress.many"


async def test_hosts_of_a_company(shop: Shop) -> None:
    assert await shop.ground.read(reaching.hosts, shop.ground.company) == ()
    await shop.do("change.switch", OWNER, settings.put, reaching.HOSTS, ["a.test", "*.b.test"])
    assert await shop.ground.read(reaching.hosts, shop.ground.company) == ("a.test", "*.b.test")


def _keep(tx: Any, scope: str, of: str | None, name: str, config: str, sealed: bytes) -> None:
    change = resources.ResourceChange(
        provider="own", type="secret", name=name, config=notes.read(config), secret_sealed=sealed
    )
    resources.create(tx, scope, of, change)


@pytest.mark.parametrize(
    "config, hosts",
    [
        (json.dumps({"hosts": ["a.test"]}), ("a.test",)),
        (json.dumps({"hosts": "a.test"}), ("a.test",)),
        ("plain text", ()),
        ("[]", ()),
    ],
)
async def test_which_secret_a_name_means(
    shop: Shop, run: Run, config: str, hosts: tuple[str, ...]
) -> None:
    """The agent's own before the company's; never another agent's."""
    bob = await shop.agent("bob")
    keep = ("resource.create", OWNER, _keep)
    await shop.do(*keep, "company", None, "key", config, b"company")
    await shop.do(*keep, "agent", bob, "key", config, b"bob")
    found = await shop.ground.read(reaching.secret, run.company, run.agent, "key")
    assert found == reaching.Sealed(b"company", hosts)
    await shop.do(*keep, "agent", run.agent, "key", config, b"ada")
    found = await shop.ground.read(reaching.secret, run.company, run.agent, "key")
    assert found is not None and found.value == b"ada"
    assert await shop.ground.read(reaching.secret, run.company, run.agent, "none") is None


async def test_a_call_asked_for_once_and_cancelled(shop: Shop, run: Run) -> None:
    new = registry.NewCapability("a.run", "Run", argv=("true",))
    await shop.do("capability.register", OWNER, registry.register, new)
    task = await shop.task(capability="a.run")
    await shop.claim("ada", task=task.id)
    calls = []
    for tool_call in ("t1", "t2"):
        want = calling.NewCall("a.run", task.id, f"task:{task.id}", {}, b"\0" * 32,
                               tool_call=tool_call)  # fmt: skip
        action = shop.action("a.run", "ada", want.target, task.id)
        calls.append(await shop.ground.store.write(action, calling.request, want))
    found = await shop.ground.read(calling.of_tool_call, run.company, "t1")
    assert found == calls[0]
    assert await shop.ground.read(calling.of_tool_call, run.company, "t3") is None

    withdrawn = await shop.do("call.cancel", "ada", calling.cancel, calls[0].id)
    assert (withdrawn.state, withdrawn.reason) == ("failed", "it was withdrawn before it ran")
    until = shop.ground.clock.now_ms() + 1_000
    await shop.do("call.settle", SYSTEM, calling.start, calls[1].id, until)
    assert await shop.ground.read(calling.stopping, 10) == []
    await shop.do("call.cancel", "ada", calling.cancel, calls[1].id)
    assert await shop.ground.read(calling.stopping, 10) == [calls[1].id]
    await shop.agent("bob")
    with pytest.raises(HomarusError) as refused:
        await shop.do("call.cancel", "bob", calling.cancel, calls[1].id)
    assert refused.value.code == "call.unknown"


async def test_servers_and_their_tools(shop: Shop, run: Run) -> None:
    server = NewServer("notes", ("notes-mcp",), reads=("look",))
    await shop.do("mcp.register", OWNER, mcp_servers.register, server)
    assert [s.name for s in await shop.ground.read(mcp_servers.unlooked, 10)] == ["notes"]
    tools = (Listed("look", "d", {"type": "object"}), Listed("put", "d", {"type": "object"}))
    looked = await shop.do("mcp.sync", SYSTEM, mcp_servers.sync, "notes", tools)
    assert looked.quarantined == ("mcp.notes.look", "mcp.notes.put")
    company = run.company
    offered = (mcp_servers.offered, company, run.agent, "coder")
    assert await shop.ground.read(*offered) == []
    for id_ in looked.quarantined:
        await shop.do("capability.grant", SYSTEM, registry.set_grants, id_, ("role:coder",))
    assert [o.tool for o in await shop.ground.read(*offered)] == ["look", "put"]
    assert await shop.ground.read(mcp_servers.offered, company, run.agent, "writer") == []
    rows = await shop.ground.read(mcp_servers.tools_of, company, "notes")
    assert [tool for _, tool in rows] == ["look", "put"]
    await shop.do("mcp.register", OWNER, mcp_servers.disable, "notes")
    assert await shop.ground.read(*offered) == []
    await shop.do("mcp.register", OWNER, mcp_servers.register, server)
    await shop.do("mcp.sync", SYSTEM, mcp_servers.failed, "notes", "it does not start")
    row = await shop.ground.read(mcp_servers.need, company, "notes")
    assert (row.fault, row.enabled) == ("it does not start", True)
