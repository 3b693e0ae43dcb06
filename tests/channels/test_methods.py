"""Channels by the gateway's protocol: saying something, how they do, who is let in."""

from pathlib import Path
from typing import Any

import pytest

from homarus.base.action import Effect
from homarus.testing.fake_channel import FakeChannel
from tests.channels.desk import Desk, desk
from tests.gateway.ws.client import joined

PAIRED: dict[str, Any] = {"channels": {"telegram": {}}}
TWO: dict[str, Any] = {
    "channels": {
        "telegram": {"dmPolicy": "open", "defaultAccount": "work",
                     "accounts": {"home": {"name": "At home"}, "work": {}}},
        "signal": {},
    },
    "bindings": [{"agentId": "gone", "match": {"channel": "telegram"}}],
}  # fmt: skip


def sending(key: str = "k1", **more: Any) -> dict[str, Any]:
    return {"to": "7", "message": "hello", "idempotencyKey": key, "channel": "telegram"} | more


async def test_it_is_sent_and_kept(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        told = await client.call("send", sending(threadId="5", replyToId="m9"))
        assert (told["runId"], told["messageId"], told["channel"], told["chatId"]) == (
            "k1", "p1", "telegram", "7",
        )  # fmt: skip
        (out,) = d.channel.sent()
        assert (out.target, out.thread, out.reply_to, out.text) == ("7", "5", "m9", "hello")
        ((kind, text, state),) = await d.rows(
            "select c.type, m.text, m.delivery_state from message m "
            "join conversation c on c.id=m.conversation"
        )
        assert (kind, text, state) == ("channel", "hello", "resolved")
        effects = await d.rows("select effect from receipt where capability='channel.send'")
        assert effects == [(Effect.EXTERNAL_WRITE,)]


async def test_the_commands_road(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        action = {"channel": "telegram", "action": "send", "idempotencyKey": "k",
                  "params": {"to": "telegram:7", "message": "hello"},
                  "conversationReadOrigin": "direct-operator"}  # fmt: skip
        told = await client.call("message.action", action)
        assert (told["ok"], told["messageId"]) == (True, "p1")
        assert d.channel.sent()[0].target == "7"
        error = await client.error("message.action", action | {"action": "react"})
        assert error["code"] == "INVALID_REQUEST" and "react" in error["message"]


async def test_a_poll_is_a_text_with_numbers(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        asked = {"to": "7", "question": "Tea?", "options": ["Yes", "No"], "idempotencyKey": "k"}
        await client.call("poll", asked)
        assert d.channel.texts() == ["Tea?\n1. Yes\n2. No\nAnswer with a number."]
        error = await client.error("poll", asked | {"options": ["Yes"], "idempotencyKey": "l"})
        assert error["code"] == "INVALID_REQUEST"


async def test_one_key_is_one_message(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        first = await client.call("send", sending())
        assert await client.call("send", sending()) == first
        assert (await client.error("send", sending(message="other")))["code"] == "INVALID_REQUEST"
        assert (await client.call("send", sending("k2")))["messageId"] == "p2"
        assert len(d.channel.sent()) == 2


async def test_what_cannot_be_sent_now_is_kept_and_said_so(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        d.channel.modes = ["down"]
        error = await client.error("send", sending())
        assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
        assert error["details"]["code"] == "OUTBOUND_DELIVERY_QUEUED"
        await d.channel.posted(1)
        await d.until(["sent"])
        assert (await client.call("send", sending()))["messageId"] == "p1"


@pytest.mark.parametrize(
    ("mode", "state", "code"),
    [("refused", "failed", "delivery.failed"), ("lost", "unknown", "delivery.unknown")],
)
async def test_what_will_never_be_known_or_sent_is_an_operators(
    tmp_path: Path, mode: str, state: str, code: str
) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        d.channel.modes = [mode]
        error = await client.error("send", sending())
        assert (error["code"], error["details"]["code"]) == ("UNAVAILABLE", code)
        assert await d.states() == [state]
        ((reason,),) = await d.rows("select reason_code from incident")
        assert reason == code.replace(".", "_")
        status = await client.call("channels.status")
        assert [issue["message"] for issue in status["statusIssues"]] == [
            f"1 deliveries are {state}"
        ]


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"channel": "signal"}, "channel not configured: signal"),
    ({"accountId": "x"}, "telegram has no account 'x'"),
    ({"to": " "}, "no target"),
    ({"to": "telegram:"}, "no target"),
    ({"to": "a\nb"}, "unusable target"),
    ({"message": ""}, "the text is empty"),
    ({"message": "<internal>x</internal>"}, "the text is empty"),
    ({"mediaUrl": "https://a.example/x.png"}, "only text is sent"),
    ({"idempotencyKey": ""}, "at /idempotencyKey"),
    ({"odd": 1}, "unexpected property"),
)


async def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:
        for given, said in WRONG:
            error = await client.error("send", sending() | given)
            assert error["code"] == "INVALID_REQUEST" and said in error["message"], given
        assert await d.states() == []


async def test_how_they_do(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.", config=TWO) as d, joined(d.daemon) as client:
        d.channel.say("hello", account="work")
        await d.channel.posted(1)
        await d.until(["sent"])
        status = await client.call("channels.status", {"probe": True})
        assert status["channelOrder"] == ["telegram", "signal"]
        assert status["channelDefaultAccountId"] == {"telegram": "work", "signal": "default"}
        home, work = status["channelAccounts"]["telegram"]
        assert (home["name"], home["running"], "lastInboundAt" in home) == ("At home", True, False)
        assert work["lastInboundAt"] > 0 and work["lastOutboundAt"] > 0
        assert work["probe"] == {"ok": True, "bot": {"username": "work_bot"}}
        (signal,) = status["channelAccounts"]["signal"]
        assert (signal["configured"], signal["running"]) == (False, False)
        issues = [(i["channel"], i["message"]) for i in status["statusIssues"]]
        assert issues == [
            ("telegram", "a binding names the agent 'gone', who is not there: the default agent "
             "answers"),
            ("signal", "this version has no adapter for it"),
        ]  # fmt: skip
        health = await client.call("health", {"probe": True})
        assert health["channels"]["telegram"]["running"] is True
        summary = (await client.call("status"))["channelSummary"]
        assert summary == [
            "Telegram (home): running", "Telegram (work): running",
            "Signal: this version has no adapter for it",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("agents", "said"),
    [
        (("ada",), ["'gone', who is not there: the default agent answers"]),
        (("ada", "main"), ["'gone', who is not there: the default agent answers"]),
        (("ada", "bea"), ["'gone', who is not there: nobody answers", "there is no default agent"]),
    ],
)
async def test_what_is_wrong_with_a_channel_is_told_once_and_does_not_contradict_itself(
    tmp_path: Path, agents: tuple[str, ...], said: list[str]
) -> None:
    several = {"accounts": {"home": {}, "work": {}, "club": {"enabled": False}}}
    config = {
        "channels": {"telegram": several, "signal": several},
        "bindings": [{"agentId": "gone", "match": {"channel": "telegram"}}],
    }
    async with desk(tmp_path, config=config, agents=agents) as d, joined(d.daemon) as client:
        issues = (await client.call("channels.status"))["statusIssues"]
    told = [i["message"] for i in issues if (i["channel"], i["kind"]) == ("telegram", "config")]
    assert len(told) == len(said)
    assert all(message.endswith(end) for message, end in zip(told, said, strict=True)), told
    signal = [i["message"] for i in issues if i["channel"] == "signal"]
    assert signal.count("this version has no adapter for it") == 1


async def test_what_cannot_run_is_not_started(tmp_path: Path) -> None:
    off = {"channels": {"telegram": {"enabled": False}, "signal": {}}}
    async with desk(tmp_path, config=off) as d, joined(d.daemon) as client:
        for channel, code, said in (
            ("signal", "channel.no_adapter", "signal: this version has no adapter for it"),
            ("telegram", "channel.off", "telegram default is off in the configuration"),
        ):
            error = await client.error("channels.start", {"channel": channel})
            assert error["details"]["code"] == code and said in error["message"]


async def test_last_out_is_what_arrived(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, joined(d.daemon) as client:

        async def out() -> bool:
            status = await client.call("channels.status")
            return "lastOutboundAt" in status["channelAccounts"]["telegram"][0]

        d.channel.modes = ["refused"]
        await client.error("send", sending())
        assert not await out(), "it never left"
        await client.call("send", sending("k2"))
        assert await out()


async def test_stopped_by_hand_nothing_comes_or_goes(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.") as d, joined(d.daemon) as client:
        assert await client.call("channels.stop", {"channel": "telegram"}) == {
            "channel": "telegram", "accountId": "default", "stopped": True,
        }  # fmt: skip
        ref = d.channel.say("hello")
        error = await client.error("send", sending())
        assert error["details"]["code"] == "OUTBOUND_DELIVERY_QUEUED"
        assert (d.channel.sent(), d.channel.acknowledged) == ([], [])
        assert (await client.call("channels.start", {"channel": "telegram"}))["started"] is True
        await d.channel.heard(ref)
        assert sorted(out.text for out in await d.channel.posted(2)) == ["Yes.", "hello"]


async def test_an_account_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    channel = FakeChannel()
    channel.starts = False
    async with desk(tmp_path, channel=channel) as d, joined(d.daemon) as client:
        (account,) = (await client.call("channels.status"))["channelAccounts"]["telegram"]
        assert (account["running"], account["lastError"]) == (False, "the platform does not answer")


# -- pairing -------------------------------------------------------------------------------------


async def ask_in(d: Desk, sender: str) -> str:
    """The code that a stranger gets."""
    before = len(d.channel.sent())
    d.channel.say("let me in", sender=sender, name=f"Person {sender}")
    text = (await d.channel.posted(before + 1))[-1].text
    return text.partition("Pairing code: ")[2].split()[0]


async def test_a_stranger_is_let_in_by_the_code(tmp_path: Path) -> None:
    async with desk(tmp_path, "Welcome.", config=PAIRED) as d, joined(d.daemon) as client:
        code = await ask_in(d, "7")
        assert len(code) == 8
        ((count,),) = await d.rows("select count(*) from message where sender_type='human'")
        assert count == 0, "what a stranger said is not kept"
        await d.channel.heard(d.channel.say("hello?", sender="7"))
        (request,) = (await client.call("channels.pairing.list"))["requests"]
        assert (request["senderId"], request["senderLabel"]) == ("7", "Person 7")
        assert code not in str(request)
        told = await client.call("channels.pairing.approve",
                                 {"channel": "telegram", "requestId": code.lower()})  # fmt: skip
        assert (told["senderId"], told["notification"]) == ("7", "sent")
        assert (await client.call("channels.pairing.list"))["requests"] == []
        d.channel.say("hello!", sender="7")
        assert d.channel.texts()[0].startswith("You are not known")
        assert [out.text for out in await d.channel.posted(3)][1:] == [
            "You are let in. Say something.", "Welcome.",
        ]  # fmt: skip


async def test_three_may_wait_and_one_may_be_dismissed(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.", config=PAIRED) as d, joined(d.daemon) as client:
        for sender in "123":
            await ask_in(d, sender)
        await d.channel.heard(d.channel.say("me too", sender="4"))
        rows = (await client.call("channels.pairing.list"))["requests"]
        assert [row["senderId"] for row in rows] == ["1", "2", "3"]
        for row in rows[:1]:
            answer = {"channel": "telegram", "requestId": row["requestId"]}
            assert (await client.call("channels.pairing.dismiss", answer))["senderId"] == "1"
            error = await client.error("channels.pairing.approve", answer)
            assert "no request with this code" in error["message"]
        assert await ask_in(d, "4")
        assert len(d.channel.sent()) == 4
