"""A gateway does a claimed task (design, 7): asked once, again only where that does no harm."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.base.action import Action
from homarus.company import agents
from homarus.dispatch.dispatcher import Dispatcher
from homarus.dispatch.openresponses import TRIES, Gateways
from homarus.dispatch.responses_stream import MAX_EVENT_BYTES, Events, Told
from homarus.egress.proxy import Egress
from homarus.egress.secrets import Secrets
from homarus.flows import claiming, running
from homarus.flows.claiming import ClaimRequest
from homarus.kernel.keys import MasterKey
from homarus.records import incidents
from homarus.records.blobs import Blobs
from homarus.tasks import runs, sql
from homarus.tasks.model import State
from homarus.testing.ground import MASTER_KEY, ground
from homarus.testing.model_server import Call, Cut, Fail, Hold, ModelServer, Say, Stall
from homarus.testing.shop import OWNER, Shop, open_shop
from homarus.testing.waiting import seen
from tests.unit.dispatch.test_dispatcher import settled
from tests.unit.egress.test_proxy import keep


class Gateway:
    """An agent `gina` whose executor is a scripted server."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def configure(self, server: ModelServer, **config: Any) -> None:
        port = int(server.url.rsplit(":", 1)[1])
        if server.key is not None:
            await keep(self.shop, "gateway", [f"127.0.0.1:{port}"], server.key)
            config = {"token": "secret://gateway"} | config
        await self.give({"url": server.url, "silenceS": 20} | config)

    async def give(self, config: dict[str, Any]) -> None:
        change = agents.AgentChange(executor="openresponses", executor_config=config)
        await self.shop.do("agent.update", OWNER, agents.update, self.shop.agents["gina"], change)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        g = self.shop.ground
        master = MasterKey.from_file(g.home / MASTER_KEY)
        egress = Egress(g.store, Secrets(g.store, master), g.home / "run")
        await egress.start()
        dispatcher = Dispatcher(g.store, Blobs(g.home / "blobs"), g.home, egress)
        dispatcher._executors["openresponses"] = Gateways(g.store, egress, pause_s=0.0)
        task = asyncio.create_task(dispatcher.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await egress.stop()

    async def done(self, task: str) -> tuple[Any, Any, Any]:
        """Its row, result and last run, once it is neither queued nor in progress."""
        async with self.working():
            row = await settled(self.shop, task)
        result = await self.shop.ground.read(sql.result_of, task)
        found = await self.shop.ground.read(runs.of_task, task)
        return row, result, found[-1] if found else None

    async def notes(self, task: str) -> list[str]:
        found = await self.shop.ground.read(sql.notes_of, task)
        return [note.text for note in found.values()]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with ground(tmp_path) as g:
        shop = await open_shop(g)
        await shop.agent("gina")
        yield Gateway(shop)


async def test_the_answer_is_the_result(gateway: Gateway) -> None:
    with ModelServer(Say("Seven ships.", usage=(40, 5)), key="sk-gateway") as server:
        await gateway.configure(server)
        task = await gateway.shop.task(done=["a number"])
        row, result, run = await gateway.done(task.id)
        (asked,) = server.requests
    assert (row.state, result.output["text"]) == (State.DONE, "Seven ships.")
    assert run.facts["usage"] == [40, 5] and run.restartable is False
    body = asked.body
    assert (body["user"], body["stream"]) == (f"homarus-{task.id}", True)
    assert body["metadata"]["task"] == task.number and "a number" in body["input"]
    assert asked.headers["idempotency-key"] == body["metadata"]["key"]
    assert await gateway.shop.ground.read(_tokens, gateway.shop.agents["gina"]) == 45
    assert await gateway.shop.recount() == []


def _tokens(rx: Any, subject: str) -> Any:
    row = rx.one("select tokens from spend where subject=? and period_key='total'", (subject,))
    return row[0]


@pytest.mark.parametrize("status", [429, 503])
async def test_what_was_not_begun_is_asked_again(gateway: Gateway, status: int) -> None:
    with ModelServer(Fail(status), Fail(status), Say("Seven.")) as server:
        await gateway.configure(server)
        task = await gateway.shop.task()
        row, result, run = await gateway.done(task.id)
        keys = {asked.headers["idempotency-key"] for asked in server.requests}
    assert (row.state, result.output["text"], run.facts["tries"]) == (State.DONE, "Seven.", 3)
    assert len(keys) == 1


@pytest.mark.parametrize("fault", [Cut(after="Half"), Stall(after="Half"), Fail(500)])
async def test_what_may_have_been_done_is_not_asked_again(gateway: Gateway, fault: Any) -> None:
    with ModelServer(fault, Say("Again.")) as server:
        await gateway.configure(server, silenceS=1)
        task = await gateway.shop.task()
        row, _, run = await gateway.done(task.id)
        assert len(server.requests) == 1
    assert (row.state, row.reason, run.state) == (State.BLOCKED, running.UNKNOWN, "unknown")
    g = gateway.shop.ground
    (told,) = await g.read(_incidents, g.company)
    assert told.reason_code == "run_unknown" and task.number in told.summary
    (note,) = await gateway.notes(task.id)
    assert isinstance(fault, Fail) or "Half" in note
    assert await gateway.shop.recount() == []


def _incidents(rx: Any, company: str) -> Any:
    return incidents.listed(rx, company, limit=10)


@pytest.mark.parametrize("fault", [Cut(after="Half"), Stall(after="Half"), Fail(500)])
async def test_a_gateway_that_heeds_the_key_is_asked_again(gateway: Gateway, fault: Any) -> None:
    with ModelServer(fault, Say("Seven.")) as server:
        await gateway.configure(server, silenceS=1, idempotent=True)
        task = await gateway.shop.task()
        row, result, run = await gateway.done(task.id)
        keys = {asked.headers["idempotency-key"] for asked in server.requests}
    assert (row.state, result.output["text"], len(keys)) == (State.DONE, "Seven.", 1)
    assert (run.facts["tries"], run.restartable) == (2, True)


@pytest.mark.parametrize(
    "replies, code",
    [
        ((Fail(401),), "gateway.key"),
        ((Fail(404),), "gateway.request"),
        ((Fail(429),) * TRIES, "gateway.busy"),
        ((Call("fs.read", {}),), "gateway.calls"),
        ((Say("Hal", stop="length"),), "gateway.incomplete"),
    ],
)
async def test_failures_are_typed(gateway: Gateway, replies: Any, code: str) -> None:
    with ModelServer(*replies) as server:
        await gateway.configure(server)
        task = await gateway.shop.task()
        row, result, _ = await gateway.done(task.id)
        assert len(server.requests) == len(replies)
    assert (row.state, result.output["error"]) == (State.FAILED, code)
    assert code in result.comment


async def test_nobody_there(gateway: Gateway) -> None:
    with ModelServer() as server:
        await gateway.configure(server)
    task = await gateway.shop.task()
    row, result, run = await gateway.done(task.id)
    assert (row.state, result.output["error"]) == (State.FAILED, "egress.connect")
    assert run.facts["tries"] == TRIES


async def test_a_token_that_is_not_there_hands_over(gateway: Gateway) -> None:
    await gateway.give({"url": "http://127.0.0.1:9", "token": "secret://absent"})
    task = await gateway.shop.task()
    row, _, run = await gateway.done(task.id)
    assert (row.state, row.reason, run) == (State.BLOCKED, running.NO_EXECUTOR, None)
    (note,) = await gateway.notes(task.id)
    assert "no secret 'absent'" in note


@pytest.mark.parametrize("heeds", [True, False])
async def test_stop_lets_go_of_the_gateway(gateway: Gateway, heeds: bool) -> None:
    with ModelServer(Hold(Say("Late.")), Say("Seven.")) as server:
        await gateway.configure(server, idempotent=heeds)
        task = await gateway.shop.task()
        async with gateway.working():
            await asyncio.to_thread(seen, lambda: server.requests)
            stop = await gateway.shop.stop("task", task.id)
            row = await settled(gateway.shop, task.id)
            assert row.state is State.BLOCKED
            if not heeds:
                assert row.reason == running.UNKNOWN
                return
            assert row.reason == "stop"
            await gateway.shop.lift(stop)
            assert (await settled(gateway.shop, task.id)).state is State.DONE
        keys = [asked.headers["idempotency-key"] for asked in server.requests]
        assert len(set(keys)) == 1 and len(keys) == 2


@pytest.mark.parametrize("heeds, state", [(True, State.QUEUED), (False, State.BLOCKED)])
async def test_a_crash_while_it_was_asked(gateway: Gateway, heeds: bool, state: State) -> None:
    shop = gateway.shop
    task, company, agent = await shop.task(), shop.ground.company, shop.agents["gina"]
    claim = Action(company, "task.claim", "task:", acting=agent, system="dispatcher")
    claimed = await shop.ground.store.write(claim, claiming.claim, ClaimRequest(owner=agent))
    act = Action(
        company, "task.delegate", f"task:{task.id}", acting=agent, task=task.id, system="dispatcher"
    )
    argv = ("POST", "http://127.0.0.1:9/v1/responses", "key")
    await shop.ground.store.write(
        act, running.start, task.id, claimed.task.token, "task.delegate", argv, heeds
    )
    own = shop.ground.action("task.dispatch", "task:", system="dispatcher")
    assert await shop.ground.store.write(own, running.recover, 10, True) == 1
    row = await shop.ground.read(sql.need, shop.ground.company, task.id)
    assert row.state is state
    assert await shop.recount() == []


# -- the stream, without a network -----------------------------------------------------------


def wire(*events: Any) -> bytes:
    return b"".join(b"event: x\r\ndata: " + json.dumps(e).encode() + b"\r\n\r\n" for e in events)


def test_a_stream_in_any_pieces() -> None:
    stream = b": hello\n\n" + wire(
        {"type": "response.created", "response": {"id": "r1"}},
        {"type": "custom.event", "response": "odd"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Sev"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "en"},
    ) + b"data: {broken\n\ndata: [DONE]\n\n"  # fmt: skip
    for size in (1, 7, 10_000):
        events, told = Events(), Told()
        for at in range(0, len(stream), size):
            for data in events.feed(stream[at : at + size]):
                told.event(data)
        assert (told.id, told.text, told.status) == ("r1", "Seven", None)


@pytest.mark.parametrize("line", [b"data: ", b""])
def test_a_flood_is_let_go_of(line: bytes) -> None:
    events = Events()
    with pytest.raises(Exception, match="an event of more than"):
        for _ in range(MAX_EVENT_BYTES // 1_000_000 + 1):
            list(events.feed(line + b"x" * 1_000_000))


@pytest.mark.parametrize(
    "response",
    [{}, {"output": 7}, {"output": [7, {"type": "message", "content": [{}]}]},
     {"usage": {"input_tokens": "x"}, "error": "odd"}],
)  # fmt: skip
def test_odd_ends_are_ends(response: Any) -> None:
    told = Told()
    told.event({"type": "response.completed", "response": response})
    assert (told.status, told.text, told.usage) == ("completed", "", (0, 0))
