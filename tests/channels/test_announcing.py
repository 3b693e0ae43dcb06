"""Answers that are delivered where somebody asked for it: of a run, of a job."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.port import Fault
from homarus.base.action import Effect
from homarus.testing.daemon import key
from homarus.testing.fake_channel import FakeChannel
from homarus.testing.scripted_model import Hang, failure
from tests.channels.desk import Desk, desk
from tests.gateway.ws.client import Client, joined

THERE: dict[str, Any] = {"mode": "announce", "channel": "telegram", "to": "7"}


def asking(run: str, **more: Any) -> dict[str, Any]:
    return {"message": "What is new?", "idempotencyKey": run, "deliver": True} | more


def job(**more: Any) -> dict[str, Any]:
    known = {"name": "Digest", "agentId": "ada",
             "schedule": {"kind": "every", "everyMs": 3_600_000},
             "payload": {"kind": "agentTurn", "message": "What is new?"}}  # fmt: skip
    return known | more


async def ran(client: Client, id_: str) -> dict[str, Any]:
    """The newest entry of `cron.runs`, after one more run by hand."""
    done = await client.call("cron.run", {"id": id_})
    await client.event("cron", lambda e: e["action"] == "finished" and e["runId"] == done["runId"])
    return await entry(client, id_)


async def entry(client: Client, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.call("cron.runs", {"id": id_}))["entries"][0]
    return found


async def told(client: Client, params: dict[str, Any]) -> dict[str, Any]:
    """The last of the two replies of `agent`."""
    id_ = await client.send("agent", params)
    reply = await client.reply(id_)
    if reply["ok"] and reply["payload"]["status"] == "accepted":
        reply = await client.reply(id_)
    return reply


async def heard_from(d: Desk, target: str = "chat-7") -> None:
    """Somebody says something in a chat, and is answered."""
    d.channel.say("hello", target=target)
    await d.channel.posted(len(d.channel.sent()) + 1)


# -- of a run ------------------------------------------------------------------------------------


async def test_the_answer_of_a_run_goes_to_the_chat_that_is_named(tmp_path: Path) -> None:
    async with desk(tmp_path, "Three letters.") as d, joined(d.daemon) as client:
        call = asking("k1", channel="Telegram", to="telegram:7", threadId=5)
        final = await told(client, call)
        assert final["payload"]["result"]["payloads"][0]["text"] == "Three letters."
        (out,) = await d.channel.posted(1)
        assert (out.account, out.target, out.thread, out.text) == (
            "default", "7", "5", "Three letters.",
        )  # fmt: skip
        await told(client, call)
        await d.until(["sent"])
        effects = await d.rows("select effect from receipt where capability='channel.send'")
        assert (Effect.EXTERNAL_WRITE,) in effects, "it is judged as `send` is"


UNHEARD: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "no place to deliver to: nobody was heard from on a channel"),
    ({"channel": "last"}, "no place to deliver to"),
    ({"channel": "telegram"}, "nobody was heard from on telegram"),
    ({"replyChannel": "signal", "to": "7"}, "channel not configured: signal"),
    ({"channel": "signal", "bestEffortDeliver": True}, "channel not configured: signal"),
    ({"channel": "telegram", "to": "7", "accountId": "x"}, "telegram has no account 'x'"),
    ({"channel": "telegram", "to": "a\nb"}, "unusable target"),
    ({"channel": "telegram", "to": "7", "threadId": "a\nb"}, "unusable thread"),
    ({"channel": "last", "to": "7"}, "`last` names a chat already"),
)


async def test_what_cannot_be_delivered_is_refused_before_anything_is_done(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, "Yes.") as d, joined(d.daemon) as client:
        for given, said in UNHEARD:
            error = await client.error("agent", asking("k1", **given))
            assert error["code"] == "INVALID_REQUEST" and said in error["message"], given
        assert await d.rows("select id from turn") == []
        await told(client, asking("k2", bestEffortDeliver=True))
        await told(client, asking("k3", channel="webchat"))
        assert await d.states() == []


@pytest.mark.parametrize("named", [{}, {"channel": "last"}, {"channel": "telegram"}])
async def test_last_is_where_the_conversation_was_heard_from(
    tmp_path: Path, named: dict[str, Any]
) -> None:
    async with desk(tmp_path, "Hello.", "Three letters.") as d, joined(d.daemon) as client:
        await heard_from(d)
        error = await client.error("agent", asking("k1", sessionKey="side", **named))
        assert "no place" in error["message"], "another conversation was heard from nowhere"
        await told(client, asking("k1", **named))
        out = (await d.channel.posted(2))[-1]
        assert (out.target, out.text, out.reply_to) == ("chat-7", "Three letters.", None)


CHATS: tuple[tuple[dict[str, Any], tuple[str, str | None]], ...] = (
    ({}, ("chat-7", None)),
    ({"originatingChannel": "telegram"}, ("chat-7", None)),
    ({"originatingChannel": "Telegram", "originatingTo": "8"}, ("8", None)),
    ({"originatingTo": "8", "originatingThreadId": 5}, ("8", "5")),
)


@pytest.mark.parametrize("given, where", CHATS, ids=lambda given: str(given)[:60])
async def test_a_chat_is_answered_there_too_where_it_asks_for_it(
    tmp_path: Path, given: dict[str, Any], where: tuple[str, str | None]
) -> None:
    async with desk(tmp_path, "Hello.", "Three letters.") as d, joined(d.daemon) as client:
        await heard_from(d)
        await client.call("chat.send", asking("k1", sessionKey="main", **given))
        await client.event("chat", lambda e: (e["runId"], e["state"]) == ("k1", "final"))
        out = (await d.channel.posted(2))[-1]
        assert (out.target, out.thread, out.text) == (*where, "Three letters.")


SILENT: tuple[dict[str, Any], ...] = (
    {"deliver": False},
    {"sessionKey": "side"},
    {"originatingChannel": "webchat", "originatingTo": "8"},
)


async def test_a_chat_that_is_answered_on_its_wire_alone(tmp_path: Path) -> None:
    async with desk(tmp_path, "Hello.", "Yes.", "Yes.", "Yes.") as d, joined(d.daemon) as client:
        await heard_from(d)
        for n, given in enumerate(SILENT):
            await client.call("chat.send", asking(f"k{n}") | {"sessionKey": "main"} | given)
            await client.event("chat", lambda e: e["state"] == "final" and e["runId"] == f"k{n}")  # noqa: B023
        error = await client.error(
            "chat.send", asking("k", sessionKey="main", originatingChannel="signal")
        )
        assert "channel not configured: signal" in error["message"]
        assert len(await d.states()) == 1, "what answered the chat itself"


async def test_a_run_that_fails_says_nothing_there(tmp_path: Path) -> None:
    async with desk(tmp_path, failure(Fault.KEY)) as d, joined(d.daemon) as client:
        final = await told(client, asking("k1", channel="telegram", to="7"))
        assert final["error"]["code"] == "UNAVAILABLE"
        assert await d.states() == []


# -- of a job ------------------------------------------------------------------------------------


async def test_a_job_without_a_word_announces_where_its_agent_was_last_heard_from(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, "One.", "Hello.", "Two.") as d, joined(d.daemon) as client:
        made = await client.call("cron.add", job())
        assert made["delivery"] == {"mode": "announce", "channel": "last"}
        alone = await ran(client, made["id"])
        assert (alone["status"], alone["deliveryStatus"]) == ("ok", "not-requested")
        await heard_from(d)
        await ran(client, made["id"])
        out = (await d.channel.posted(2))[-1]
        assert (out.target, out.text) == ("chat-7", "Two.")
        await d.until(["sent", "sent"])
        assert (await entry(client, made["id"]))["deliveryStatus"] == "delivered"


async def test_a_named_chat_a_lost_answer_and_silence(tmp_path: Path) -> None:
    replies = ("One.", "Two.", "Three.", "NO_REPLY", "Five.")
    async with desk(tmp_path, *replies) as d, joined(d.daemon) as client:
        made = await client.call("cron.add", job(delivery=THERE | {"threadId": 5}))
        assert made["delivery"] == THERE | {"accountId": "default", "threadId": "5"}
        d.channel.modes = ["", "refused", "lost"]
        for state, status in (("sent", "delivered"), ("failed", "not-delivered"),
                              ("unknown", "unknown")):  # fmt: skip
            before = await d.states()
            assert (await ran(client, made["id"]))["status"] == "ok"
            await d.until([*before, state])
            assert (await entry(client, made["id"]))["deliveryStatus"] == status
        silent = await ran(client, made["id"])
        assert (silent["deliveryStatus"], silent["deliveryError"]) == (
            "not-delivered", "there was nothing to say",
        )  # fmt: skip
        assert [(out.target, out.thread) for out in d.channel.sent()] == [("7", "5")] * 2
        patch = {"delivery": {"mode": "none"}}
        changed = await client.call("cron.update", {"id": made["id"], "patch": patch})
        assert changed["delivery"] == {"mode": "none"}
        assert (await ran(client, made["id"]))["deliveryStatus"] == "not-requested"
        run = (await d.daemon.owner.get("/api/v1/job-runs")).json()["runs"]
        assert [one["deliveryStatus"] for one in run] == [
            "not-requested", "not-delivered", "unknown", "not-delivered", "delivered",
        ]  # fmt: skip


async def test_an_answer_that_is_not_there_yet_is_not_unasked_for(tmp_path: Path) -> None:
    """While the turn waits for the model, and while a run waits for the one before it."""
    async with desk(tmp_path, Hang("One.")) as d, joined(d.daemon) as client:
        made = await client.call("cron.add", job(delivery=THERE))
        quiet = await client.call("cron.add", job(name="Quiet", delivery={"mode": "none"}))

        async def told_of(id_: str) -> list[tuple[bool, str]]:
            """Of its runs, newest first: whether there is a turn, and what the answer is."""
            runs = (await d.daemon.owner.get("/api/v1/job-runs")).json()["runs"]
            return [(one.get("turnId") is not None, one["deliveryStatus"])
                    for one in runs if one["jobId"] == id_]  # fmt: skip

        await client.call("cron.run", {"id": made["id"]})
        async with asyncio.timeout(30):
            await d.model.hanging.wait()
        await client.call("cron.run", {"id": made["id"]})
        await client.call("cron.run", {"id": quiet["id"]})
        assert await told_of(made["id"]) == [(False, "unknown"), (True, "unknown")]
        assert [status for _, status in await told_of(quiet["id"])] == ["not-requested"]
        d.model.release()
        await d.channel.posted(2)
        await d.until(["sent", "sent"])
        assert await told_of(made["id"]) == [(True, "delivered")] * 2


async def test_announced_and_nobody_to_hear_it_is_done_all_the_same(tmp_path: Path) -> None:
    async with desk(tmp_path, "One.") as d, joined(d.daemon) as client:
        made = await client.call("cron.add", job(delivery={"mode": "announce"}))
        entry = await ran(client, made["id"])
        assert (entry["status"], entry["deliveryStatus"]) == ("ok", "not-delivered")
        assert entry["deliveryError"].startswith("nobody was heard from on a channel")


async def test_a_job_that_fails_says_nothing_there(tmp_path: Path) -> None:
    async with desk(tmp_path, failure(Fault.KEY)) as d, joined(d.daemon) as client:
        made = await client.call("cron.add", job(delivery=THERE))
        entry = await ran(client, made["id"])
        assert (entry["status"], entry["deliveryStatus"]) == ("error", "not-delivered")
        assert await d.states() == []


async def test_a_channel_that_is_gone_breaks_no_job(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        made = await client.call("cron.add", job(delivery=THERE))
    gone = FakeChannel("signal")
    async with desk(tmp_path, "One.", channel=gone) as d, joined(d.daemon) as client:
        patch = {"enabled": False, "payload": {"kind": "agentTurn", "message": "And now?"}}
        changed = await client.call("cron.update", {"id": made["id"], "patch": patch})
        assert changed["delivery"] == made["delivery"]
        entry = await ran(client, made["id"])
        assert (entry["status"], entry["deliveryStatus"]) == ("ok", "unknown")
        assert (await d.states(), gone.sent()) == (["queued"], [])


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"delivery": {"mode": "loud"}}, "no delivery mode 'loud'"),
    ({"delivery": {"mode": "webhook", "to": "https://a.example"}}, "homarus mirror add"),
    ({"delivery": {"mode": "announce", "channel": "signal"}}, "channel not configured: signal"),
    ({"delivery": THERE | {"accountId": "x"}}, "telegram has no account 'x'"),
    ({"delivery": {"mode": "announce", "channel": "telegram"}}, "on telegram in this conversation"),
    ({"delivery": {"mode": "announce", "to": "7"}}, "`last` names a chat already"),
    ({"delivery": {"mode": "announce", "odd": 1}}, "unusable delivery"),
    ({"payload": {"kind": "agentTurn", "message": "x", "toolsAllow": ["group:fs"]}}, "no groups"),
    ({"payload": {"kind": "agentTurn", "message": "x", "toolsAllow": "read"}}, "list of tools"),
    ({"payload": {"kind": "agentTurn", "message": "x", "fallbacks": ["m"]}}, "`fallbacks`"),
    ({"payload": {"kind": "agentTurn", "message": "x", "model": "odd"}}, "no model 'odd'"),
    ({"payload": {"kind": "agentTurn", "message": "x", "thinking": "wild"}}, "'wild'"),
    ({"payload": {"kind": "agentTurn", "message": "x", "timeoutSeconds": -1}}, "-1 seconds"),
    ({"payload": {"kind": "agentTurn", "message": "x", "timeoutSeconds": "5"}}, "5 seconds"),
)


async def test_what_is_not_obeyed_is_refused_when_it_is_defined(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        for more, said in WRONG:
            error = await client.error("cron.add", job(**more))
            assert error["code"] == "INVALID_REQUEST" and said in error["message"], error
        assert (await client.call("cron.list", {"includeDisabled": True}))["jobs"] == []
        lenient = {"mode": "announce", "channel": "telegram", "bestEffort": True}
        assert (await client.call("cron.add", job(delivery=lenient)))["delivery"] == lenient


async def test_who_may_have_answers_delivered_where(tmp_path: Path) -> None:
    """The control plane's body says the same; agents do not choose a chat."""
    async with desk(tmp_path) as d:
        ada = (await d.rows("select id from agent where name='ada'"))[0][0]
        _, secret = await d.daemon.token(kind="agent", agentId=ada)
        own = d.daemon.client(secret)
        work = {"kind": "turn", "message": "Well?"}
        body: dict[str, Any] = {"name": "Own", "agentId": "ada", "work": work}
        reply = await own.post("/api/v1/jobs", json=body | {"delivery": THERE}, headers=key())
        assert (reply.status_code, reply.json()["code"]) == (403, "job.not_yours")
        reply = await own.post("/api/v1/jobs", json=body, headers=key())
        assert reply.status_code == 201, reply.text
        made = reply.json()["job"]
        assert made["delivery"] == {"mode": "announce", "channel": "last"}
        path = f"/api/v1/jobs/{made['id']}"
        there = THERE | {"accountId": "default"}
        for given, wish in (
            ({"delivery": THERE}, there),
            ({"work": work | {"timeoutSeconds": 60}}, there),
            ({"active": False}, there),
            ({"delivery": None}, {"mode": "announce", "channel": "last"}),
            ({"work": work | {"session": "main"}}, {"mode": "none"}),
        ):
            reply = await d.daemon.owner.patch(path, json=given, headers=key())
            assert reply.status_code == 200, reply.text
            assert reply.json()["job"]["delivery"] == wish, given
        duty = {"name": "Copy", "work": {"kind": "maintenance", "duty": "backup"}}
        reply = await d.daemon.owner.post(
            "/api/v1/jobs", json=duty | {"delivery": THERE}, headers=key()
        )
        assert (reply.status_code, reply.json()["code"]) == (400, "delivery.turn")
