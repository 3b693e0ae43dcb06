"""What becomes of a message while a turn runs: the session's word, its channel's, all messages'
(gateway contract, 10.2)."""

from pathlib import Path
from typing import Any

import pytest

from homarus.config.channels import OLDER_MODES, QUEUE_MODES
from homarus.config.settings import Settings
from homarus.conversations import turns
from homarus.flows.turn_inbound import DEFAULT_MODE
from homarus.testing.daemon import key
from homarus.testing.scripted_model import Hang
from tests.channels.desk import Desk, desk
from tests.channels.test_life import ON, edit
from tests.gateway.ws.client import joined
from tests.web.test_access import signed_in
from tests.web.test_desk import csrf_of, post

QUEUE: dict[str, Any] = {
    "mode": "collect", "byChannel": {"telegram": "interrupt", "webchat": "steer-backlog"},
}  # fmt: skip


def with_queue(queue: dict[str, Any]) -> dict[str, Any]:
    return ON | {"messages": {"queue": queue}}


@pytest.mark.parametrize(
    ("mode", "by_channel", "channel", "expected"),
    [
        (None, {}, "telegram", "followup"),
        ("collect", {}, "telegram", "collect"),
        ("collect", {"telegram": "steer"}, "telegram", "steer"),
        ("collect", {"telegram": "steer"}, "webchat", "collect"),
        ("collect", {"telegram": "steer"}, "", "collect"),
        ("queue", {}, "", "followup"),
        (None, {"telegram": "steer-backlog"}, "telegram", "steer"),
    ],
)
def test_which_mode(
    mode: str | None, by_channel: dict[str, Any], channel: str, expected: str
) -> None:
    given = {} if mode is None else {"queue_mode": mode}
    settings = Settings(Path(), queue_by_channel=by_channel, **given)
    assert settings.mode_for(channel) == expected


def test_the_words_are_those_of_turns() -> None:
    assert {*QUEUE_MODES} - {*OLDER_MODES} == {*turns.MODES} >= {*OLDER_MODES.values()}
    assert Settings(Path()).mode_for() == DEFAULT_MODE


async def mode_of(d: Desk, text: str) -> str:
    """Of the turn that a message became."""
    rows = await d.rows("select text, mode from turn order by no")
    return next(str(mode) for said, mode in reversed(rows) if text in said)


async def hears(d: Desk, text: str) -> str:
    await d.channel.heard(d.channel.say(text))
    return await mode_of(d, text)


async def test_a_message_of_a_channel(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.", config=ON) as d:
        assert await hears(d, "one") == "followup"
        await edit(d, tmp_path, with_queue({"mode": "collect"}))
        assert await hears(d, "two") == "collect", "an edit counts at once"
        await edit(d, tmp_path, with_queue(QUEUE))
        assert await hears(d, "three") == "interrupt"
        (session,) = {
            row[0] for row in await d.rows("select key from session where ended_ms is null")
        }
        path = f"/api/v1/sessions/{session}"
        reply = await d.client.patch(path, json={"queueMode": "steer"}, headers=key())
        assert reply.status_code == 200, reply.text
        assert await hears(d, "four") == "steer", "the session's own word wins"


async def said_to(d: Desk, path: str, **body: Any) -> Any:
    by = d.daemon.company if path.endswith("inbound") else d.client
    reply = await by.post(path, json=body, headers=key())
    assert reply.status_code < 300, reply.text
    return reply.json()


async def test_a_message_of_every_other_way_in(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.", config=with_queue(QUEUE)) as d, joined(d.daemon) as client:
        agent = (await d.rows("select id from agent"))[0][0]
        said = {"sessionKey": "chat", "message": "by chat.send", "idempotencyKey": "a"}
        await client.call("chat.send", said)
        await client.call("chat.send", said | {"message": "with a word", "idempotencyKey": "b",
                                               "queueMode": "followup"})  # fmt: skip
        await client.send("agent", {"message": "by agent", "idempotencyKey": "c"})
        await client.call("sessions.create", {"message": "by sessions.create"})
        browser = await signed_in(d.daemon)
        form = {"csrf": await csrf_of(browser), "key": "k", "text": "by the dashboard"}
        assert (await post(browser, f"/app/threads/{agent}/messages", form)).status_code == 303
        sent = await said_to(d, "/api/mcp/messages/send", targetAgentId=agent, text="by a message")
        await said_to(d, "/api/v1/turns", agentId=agent, text="by a turn")
        await said_to(
            d, f"/api/mcp/threads/{sent['thread_id']}/messages", text="by a thread",
            senderType="human",
        )  # fmt: skip
        await said_to(
            d, "/api/webhook/inbound", event="message.created",
            message={"id": "m", "chat_id": "7", "text": "by the webhook",
                     "thread_id": sent["thread_id"]},
        )  # fmt: skip
        for text, mode in (
            ("by chat.send", "steer"), ("with a word", "followup"), ("by agent", "steer"),
            ("by sessions.create", "steer"), ("by the dashboard", "steer"),
            ("by a message", "collect"), ("by a turn", "collect"), ("by a thread", "collect"),
            ("by the webhook", "collect"),
        ):  # fmt: skip
            assert await mode_of(d, text) == mode, text


async def test_a_channel_may_interrupt(tmp_path: Path) -> None:
    async with desk(tmp_path, Hang("so far"), "Now.", config=with_queue(QUEUE)) as d:
        await d.channel.heard(d.channel.say("begin"))
        await d.model.hanging.wait()
        await d.channel.heard(d.channel.say("stop, do this"))
        assert (await d.channel.posted(1))[-1].text == "Now."
        assert [row[0] for row in await d.rows("select state from turn order by no")] == [
            "aborted", "done",
        ]  # fmt: skip
