"""Both typed clients send the same requests and read the same values; one table for both."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from homarus.base.errors import Conflict, Internal, Invalid, Refused, Unauthenticated
from homarus.client import AsyncClient, Client
from homarus.client.errors import Unreachable
from homarus.client.groups import Calls
from homarus.client.paths import base_url, socket_url
from homarus.client.retry import Retry
from homarus.client.shapes import Claim, LeasedResource, Message, Messages, Resource, Task
from tests.support.scripted_http import DROP, Answer, Asked, scripted

QUICK = Retry(attempts=3, first_s=0.0, cap_s=0.0)
Call = Callable[[Any], Any]
CLAIMED = {"id": "t", "state": "in_progress", "leaseToken": 4, "lease_token": 4, "news": [1]}


def blocking(url: str, call: Call) -> Any:
    with Client(url, "ec_1", retry=QUICK, timeout_s=5.0) as client:
        return call(client)


def awaited(url: str, call: Call) -> Any:
    async def main() -> Any:
        async with AsyncClient(url, "ec_1", retry=QUICK, timeout_s=5.0) as client:
            return await call(client)

    return asyncio.run(main())


@pytest.fixture(params=[blocking, awaited])
def ask(request: pytest.FixtureRequest) -> Callable[[str, Call], Any]:
    made: Callable[[str, Call], Any] = request.param
    return made


@pytest.mark.parametrize(
    "call, method, path, body",
    [
        (lambda c: c.runtime.feed_head(), "GET", "/events?after=100000000000000000&limit=1", None),
        (lambda c: c.agents.list(), "GET", "/agents?limit=200", None),
        (lambda c: c.tasks.list(state="inbox"), "GET", "/tasks?state=inbox&limit=100", None),
        (lambda c: c.tasks.claim("a"), "POST", "/tasks/claim", {"agentId": "a"}),
        (
            lambda c: c.tasks.claim("a", task="T-1", lease_s=60),
            "POST", "/tasks/T-1/claim", {"agentId": "a", "leaseSeconds": 60},
        ),
        (
            lambda c: c.tasks.result("T/1", "a", "done", output={"n": 1}, lease_token=3),
            "POST", "/tasks/T%2F1/result",
            {"state": "done", "agentId": "a", "outputJson": {"n": 1}, "leaseToken": 3},
        ),
        (
            lambda c: c.tasks.release("t", "a", comment="c"),
            "POST", "/tasks/t/result", {"state": "inbox", "agentId": "a", "comment": "c"},
        ),
        (lambda c: c.tasks.note("t", "a", "x"), "POST", "/tasks/t/notes",
         {"note": "x", "agentId": "a"}),
        (lambda c: c.agents.heartbeat("a", 0), "POST", "/agents/heartbeat",
         {"agentId": "a", "currentLoad": 0}),
        (lambda c: c.talk.sync(since_seq=4), "GET", "/messages/sync?sinceSeq=4&mode=all", None),
        (lambda c: c.talk.status("th", "a", typing=False), "POST", "/chat/status",
         {"threadId": "th", "agentId": "a", "typing": False}),
        (lambda c: c.resources.release("l", "a"), "POST", "/leases/l/release", {"agentId": "a"}),
    ],
)  # fmt: skip
def test_what_is_sent(
    ask: Callable[[str, Call], Any], call: Call, method: str, path: str, body: Any
) -> None:
    page = {"agents": [], "tasks": [], "task": CLAIMED, "session": {"id": "s"}}
    with scripted(Answer(200, page)) as server:
        ask(server.url, call)
    (asked,) = server.asked
    assert (asked.method, asked.path) == (method, f"/api/v1{path}")
    assert (json.loads(asked.body) if asked.body else None) == body
    assert asked.headers["authorization"] == "Bearer ec_1"
    assert ("idempotency-key" in asked.headers) == (method != "GET")


def sent_by(run: Callable[[str, Call], Any], call: Call) -> list[Asked]:
    with scripted(Answer(200, {"task": None, "messages": []})) as server:
        run(server.url, call)
    return server.asked


def test_both_send_the_same_bytes() -> None:
    def call(client: Any) -> Any:
        return client.tasks.claim("é", lease_s=5, key="k")

    (one,), (other,) = sent_by(blocking, call), sent_by(awaited, call)
    assert (one.method, one.path, one.body) == (other.method, other.path, other.body)
    for name in ("authorization", "content-type", "idempotency-key", "accept"):
        assert one.headers[name] == other.headers[name]


@pytest.mark.parametrize(
    "call, reply, expected",
    [
        (lambda c: c.tasks.claim("a"), {"task": None, "message": "none"}, None),
        (lambda c: c.tasks.claim("a"), {"task": CLAIMED},
         Claim(id="t", state="in_progress", lease_token=4)),
        (lambda c: c.tasks.get("t"), {"task": {"id": "t", "state": "inbox"}},
         Task(id="t", state="inbox")),
        (lambda c: c.talk.sync(), {"messages": [{"id": "m", "seq": 2}], "nextSeq": 2},
         Messages(messages=[Message(id="m", seq=2)], next_seq=2)),
        (lambda c: c.resources.lease("r", "a"),
         {"resource": {"id": "r"}, "configText": "c", "secretText": "s"},
         LeasedResource(resource=Resource(id="r"), config_text="c", secret_text="s")),
        (lambda c: c.resources.renew("l", "a"), {"ok": True}, None),
    ],
)  # fmt: skip
def test_what_is_read(
    ask: Callable[[str, Call], Any], call: Call, reply: Any, expected: Any
) -> None:
    with scripted(Answer(200, reply)) as server:
        got = ask(server.url, call)
    assert got == expected


@pytest.mark.parametrize(
    "answers, kind, code, asked",
    [
        ([DROP, Answer(200, {"task": CLAIMED})], None, "", 2),
        ([Answer(503, {"error": "x"}), Answer(200, {"task": CLAIMED})], None, "", 2),
        ([DROP], Unreachable, "client.unreachable", 3),
        ([Answer(409, {"error": "x", "code": "task.lease_lost"})], Conflict, "task.lease_lost", 1),
        ([Answer(403, {"error": "x", "code": "stop.set", "rule": "STOP"})], Refused, "stop.set", 1),
        ([Answer(401, {"error": "x"})], Unauthenticated, "http.401", 1),
        ([Answer(200, {"task": {"id": 4}})], Internal, "client.bad_reply", 1),
        ([Answer(200, b"<html>")], Internal, "client.bad_reply", 1),
    ],
)
def test_errors_and_repeats(
    ask: Callable[[str, Call], Any], answers: list[Answer], kind: Any, code: str, asked: int
) -> None:
    with scripted(*answers) as server:
        if kind is None:
            assert ask(server.url, lambda c: c.tasks.claim("a")).lease_token == 4
        else:
            with pytest.raises(kind) as caught:
                ask(server.url, lambda c: c.tasks.claim("a"))
            assert caught.value.code == code
    assert len(server.asked) == asked
    assert len({a.headers["idempotency-key"] for a in server.asked}) == 1


def test_a_secret_is_never_asked_for_twice(ask: Callable[[str, Call], Any]) -> None:
    with scripted(DROP) as server, pytest.raises(Unreachable):
        ask(server.url, lambda c: c.resources.lease("r", "a"))
    assert len(server.asked) == 1


def test_nobody_listens(ask: Callable[[str, Call], Any]) -> None:
    with scripted(Answer()) as server:
        url = server.url
    with pytest.raises(Unreachable) as caught:
        ask(url, lambda c: c.runtime.health())
    assert caught.value.code == "client.unreachable"


def test_a_request_keeps_its_key() -> None:
    """Sending the same value twice is one call."""
    from homarus.client.groups import Tasks

    request = Tasks.claim.request("a")
    with scripted(Answer(200, {"task": None})) as server, Client(server.url, "t") as client:
        client.send(request)
        client.send(request)
    assert len({a.headers["idempotency-key"] for a in server.asked}) == 1
    assert Calls(client).tasks is not client.tasks


@pytest.mark.parametrize(
    "given, expected",
    [
        ("http://h:1", "http://h:1"),
        ("http://h:1/", "http://h:1"),
        ("https://h/api/mcp", "https://h"),
        ("https://h/api/v1/", "https://h"),
        ("http://h/prefix/api/mcp", "http://h/prefix"),
    ],
)
def test_addresses(given: str, expected: str) -> None:
    assert base_url(given) == expected


@pytest.mark.parametrize("given", ["", "h:1", "ws://h", "http://", "http://h:99999"])
def test_bad_addresses(given: str) -> None:
    with pytest.raises(Invalid):
        base_url(given)


@pytest.mark.parametrize(
    "url, since, expected",
    [
        ("http://h:1", None, "ws://h:1/api/mcp/ws"),
        ("https://h", 0, "wss://h/api/mcp/ws?since_seq=0"),
    ],
)
def test_socket_addresses(url: str, since: int | None, expected: str) -> None:
    assert socket_url(url, since) == expected


# --- the event socket -------------------------------------------------------------------------

HELLO = '{"type":"connected","seq":7}'


async def events_of(*frames: str, code: int = 1001) -> list[Any]:
    """What a client sees of a socket that says these frames and closes with `code`."""

    async def talk(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        await connection.close(code)

    seen: list[Any] = []
    async with serve(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with (
            AsyncClient(f"http://127.0.0.1:{port}", "t") as client,
            client.events(since_seq=3, open_s=5.0) as events,
        ):
            seen.append(events.start)
            async for event in events:
                seen.append(event)
    return seen


async def test_events_come_in_order_with_where_to_resume() -> None:
    seen = await events_of(HELLO, '{"type":"new_task","seq":8,"task":{},"payload":{"type":"x"}}')
    assert [(e.type, e.seq) for e in seen] == [("connected", 7), ("new_task", 8)]
    assert seen[1].data == {"type": "new_task", "seq": 8, "task": {}}


@pytest.mark.parametrize(
    "frames, code, kind, says",
    [
        ((HELLO,), 4401, Unauthenticated, "identity.revoked"),
        ((HELLO,), 1011, Unreachable, "client.unreachable"),
        ((HELLO, "[1]"), 1001, Internal, "client.bad_frame"),
        (("nonsense",), 1001, Internal, "client.bad_frame"),
        ((), 1001, Unreachable, "client.unreachable"),
    ],
)
async def test_sockets_that_end_badly(
    frames: tuple[str, ...], code: int, kind: Any, says: str
) -> None:
    with pytest.raises(kind) as caught:
        await events_of(*frames, code=code)
    assert caught.value.code == says


async def test_a_swallowed_upgrade_ends() -> None:
    async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    over = asyncio.Event()
    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncClient(f"http://127.0.0.1:{port}", "t") as client:
        with pytest.raises(Unreachable) as caught:
            async with client.events(open_s=0.2):
                raise AssertionError("it opened")
    assert caught.value.code == "client.timeout"
    over.set()
    server.close()
    await server.wait_closed()


async def test_a_refused_handshake_says_why() -> None:
    def refuse(connection: ServerConnection, _: Any) -> Any:
        return connection.respond(403, '{"error":"no","code":"identity.company","rule":"i"}')

    async def never(_: ServerConnection) -> None: ...

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncClient(f"http://127.0.0.1:{port}", "t") as client:
            with pytest.raises(Refused) as caught:
                async with client.events():
                    raise AssertionError("it opened")
    assert caught.value.code == "identity.company"
