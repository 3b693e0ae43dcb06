"""What the companion's doctor and a bridge do, over HTTP, in their order (contract, 13, 14)."""

import asyncio
import json

from websockets.asyncio.client import connect

from homarus.testing.daemon import Daemon, key, running

PLANTED = "planted-secret-77aa"
AT_ONCE_S = 15.0
"""Sooner than a poll ends by itself."""


async def ok(reply, status=200):
    assert reply.status_code == status, reply.text
    return reply.json()


async def test_the_doctors_round(daemon: Daemon):
    c = daemon.company
    node = {"runtimeId": "node-1", "name": "laptop", "capabilitiesJson": []}
    got = await ok(await c.post("/api/mcp/runtime/register", json=node))
    assert got["runtimeNode"]["runtimeId"] == "node-1"
    agent = await daemon.agent("doctor", role="operator")
    start = {"openclawSessionId": "doctor-1", "runtimeId": "node-1"}
    begun = await ok(await c.post(f"/api/mcp/agents/{agent}/sessions/start", json=start))
    session = begun["session"]["id"]
    assert (begun["memory"], begun["contextNotes"]) == ({"snapshot": None, "entries": []}, None)
    await ok(await c.get(f"/api/mcp/agents/{agent}/integrations"))
    beat = {"agentId": "doctor", "currentLoad": 0}
    await ok(await c.post("/api/mcp/agents/heartbeat", json=beat))
    said = {"text": "doctor here", "agentId": "doctor", "chat_id": "main", "thread_type": "team"}
    sent = await ok(await c.post("/api/mcp/messages/send", json=said))
    status = {"threadId": sent["thread_id"], "agentId": agent, "typing": True, "markRead": True}
    for path in ("/api/mcp/chat/status", "/api/mcp/chat/status/"):
        assert await ok(await c.post(path, json=status)) == {"ok": True}
    threads = await ok(await c.get("/api/mcp/threads?type=team&thread_type=team"))
    assert [t["id"] for t in threads["threads"]] == [sent["thread_id"]]
    place = f"/api/mcp/agents/{agent}/sessions/{session}"
    point = {"checkpointJson": {"ok": True}}
    await ok(await c.post(f"{place}/checkpoint", json=point))
    ended = await ok(await c.post(f"{place}/end", json={"status": "ended"}))
    assert ended["session"]["status"] == "ended"
    page = await ok(await c.get(f"/api/mcp/threads/{sent['thread_id']}/messages"))
    assert [m["id"] for m in page["messages"]] == [sent["message_id"]]


async def test_the_doctor_hears_itself_after_the_reply(daemon: Daemon):
    """It listens for its own message only once it has read the reply (contract, 9, rule 2)."""
    agent = await daemon.agent("doctor")
    headers = {"Authorization": f"Bearer {daemon.company_token}"}
    async with connect(daemon.socket_url, additional_headers=headers) as client:
        assert (await frame(client, "connected"))["message"]
        said = {"text": "doctor here", "agentId": "doctor"}
        sent = await ok(await daemon.company.post("/api/mcp/messages/send", json=said))
        heard = await frame(client, "thread_message")
        assert heard["message"]["id"] == sent["message_id"]
        assert heard["thread"]["type"] == "team"
        assert heard["payload"]["message"] == heard["message"]
        asked = {"text": "please", "thread_id": sent["thread_id"]}
        await ok(await daemon.owner.post("/api/mcp/messages/send", json=asked))
        status = {"threadId": sent["thread_id"], "agentId": "doctor", "typing": True}
        await ok(await daemon.company.post("/api/mcp/chat/status", json=status))
        shown = await frame(client, "participant_status")
        assert (shown["participantId"], shown["typing"]) == (agent, True)
        moved = await frame(client, "thread_message")
        assert ("thread" in moved, moved["message"]["deliveryState"]) == (False, "acting")


async def frame(client, kind):
    """The next frame of this type; others are passed over."""
    async with asyncio.timeout(AT_ONCE_S):
        while True:
            got = json.loads(await client.recv())
            if got["type"] == kind:
                return got


async def test_a_poll_over_http_wakes_at_once(daemon: Daemon):
    agent = await daemon.agent("ada")
    poll = asyncio.create_task(daemon.company.get("/api/mcp/messages/sync?sinceSeq=0"))
    await ok(await daemon.company.get("/api/mcp/agents"))
    body = {"text": "anybody?", "targetAgentId": agent}
    sent = await ok(await daemon.owner.post("/api/mcp/messages/send", json=body))
    got = await ok(await asyncio.wait_for(poll, AT_ONCE_S))
    assert [(m["id"], m["threadType"]) for m in got["messages"]] == [(sent["message_id"], "direct")]
    after = f"/api/mcp/messages/sync?mode=all&agentId=ada&sinceSeq={got['nextSeq']}"
    poll = asyncio.create_task(daemon.company.get(after))
    await ok(await daemon.owner.post("/api/mcp/messages/send", json=body))
    assert len((await ok(await asyncio.wait_for(poll, AT_ONCE_S)))["messages"]) == 1


async def test_a_waiting_poll_does_not_hold_up_a_stop(tmp_path):
    async with running(tmp_path / "home") as daemon:
        poll = asyncio.create_task(daemon.company.get("/api/mcp/messages/sync"))
        await ok(await daemon.company.get("/api/mcp/agents"))
        daemon.app.leave_waiters()
        assert (await ok(await asyncio.wait_for(poll, AT_ONCE_S)))["messages"] == []


async def test_forty_first_sends_over_http(daemon: Daemon):
    await daemon.agent("ada")
    body = {"text": "hi", "agentId": "ada"}
    replies = await asyncio.gather(
        *(daemon.company.post("/api/mcp/messages/send", json=body) for _ in range(40))
    )
    assert {r.status_code for r in replies} == {200}
    assert len({r.json()["thread_id"] for r in replies}) == 1


async def test_a_send_repeated_under_one_key_is_one_message(daemon: Daemon):
    await daemon.agent("ada")
    same, body = key(), {"text": "once", "agentId": "ada"}
    first, again = [
        await daemon.company.post("/api/mcp/messages/send", json=body, headers=same)
        for _ in range(2)
    ]
    assert first.json() == again.json()
    page = await ok(await daemon.company.get("/api/mcp/messages/sync?mode=all"))
    assert len(page["messages"]) == 1


async def test_a_resources_secret_is_in_no_reply(daemon: Daemon):
    body = {"name": "box", "resourceType": "mailbox", "provider": "imap", "secretText": PLANTED}
    made = await daemon.company.post("/api/mcp/resources", json=body)
    path = f"/api/mcp/resources/{(await ok(made, 201))['resource']['id']}"
    changed = await daemon.company.patch(path, json={"secretText": PLANTED})
    replies = [made, changed, await daemon.company.get(path)]
    replies.append(await daemon.company.get("/api/mcp/resources"))
    replies.append(await daemon.company.get("/api/v1/events"))
    assert all(PLANTED not in reply.text for reply in replies)
    assert changed.json()["resource"]["secretConfigured"] is True
    database = daemon.app.settings.home / "local-ssot"
    assert all(PLANTED.encode() not in p.read_bytes() for p in database.iterdir())


ANSWERS = [
    ("POST", "/api/mcp", {"jsonrpc": "2.0", "id": 1, "method": "status.summary"}, 200),
    ("POST", "/api/mcp", {"jsonrpc": "2.0", "id": 1, "method": "nope"}, 200),
    ("POST", "/api/mcp", {"hello": 1}, 400),
    ("POST", "/api/mcp/chat/status", {"threadId": "x", "agentId": "nobody"}, 404),
    ("POST", "/api/mcp/messages/send", {"text": "x", "agentId": "nobody"}, 404),
    ("POST", "/api/mcp/agents/nobody/sessions/start", {"openclawSessionId": "x"}, 404),
    ("GET", "/api/mcp/agents/nobody/integrations", None, 400),
    ("GET", "/api/mcp/messages/sync?agentId=nobody", None, 404),
    ("GET", "/api/mcp/messages/sync?since=never", None, 400),
    ("POST", "/api/mcp/actions", {"agentId": "nobody"}, 404),
    ("POST", "/api/mcp/webhook/inbound", {}, 404),
]


async def test_what_the_edge_answers(daemon: Daemon):
    for method, path, body, status in ANSWERS:
        reply = await daemon.company.request(method, path, json=body)
        assert reply.status_code == status, (path, reply.text)
