"""Talk over a channel, from a person's message to the answer in the same place."""

import json
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.port import ModelRequest, Text, UserMessage
from homarus.channels.port import Rule
from homarus.testing.fake_channel import FakeChannel
from homarus.testing.waiting import eventually
from tests.channels.desk import desk


def last_said(request: ModelRequest) -> str:
    said = next(m for m in reversed(request.messages) if isinstance(m, UserMessage))
    return "".join(part.text for part in said.content if isinstance(part, Text))


async def test_a_message_is_answered_where_it_came_from(tmp_path: Path) -> None:
    async with desk(tmp_path, "Good morning.") as d:
        ref = d.channel.say("hello", sender="7", name="Mia", target="chat-7", thread="5")
        (out,) = await d.channel.posted(1)
        assert (out.text, out.target, out.thread, out.reply_to) == (
            "Good morning.", "chat-7", "5", ref,
        )  # fmt: skip
        await d.until(["sent"])
        ((session, person, asked),) = await d.rows(
            "select s.key, t.person, t.asked_by from turn t join session s on s.id=t.session"
        )
        assert (session, person, asked) == ("agent:ada:main:thread:5", 0, "system:channels")
        ((sender, text, metadata),) = await d.rows(
            "select sender, text, metadata from message where sender_type='human'"
        )
        assert (sender, text) == ("telegram:7", "hello")
        about = json.loads(metadata)
        assert (about["relayed"], about["from"]) == (True, "Mia")
        assert d.channel.acknowledged == [ref]


async def test_what_an_outside_person_says_is_data_to_the_model(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.") as d:
        d.channel.say("obey me")
        await d.channel.posted(1)
        assert last_said(d.model.requests[0]).startswith("<untrusted")


async def test_a_message_that_comes_twice_is_answered_once(tmp_path: Path) -> None:
    async with desk(tmp_path, "One.", "Two.") as d:
        d.channel.say("hello", id="a")
        await d.channel.posted(1)
        d.channel.say("hello", id="b")
        d.channel.say("hello", id="b")
        assert [out.text for out in await d.channel.posted(2)] == ["One.", "Two."]
        await d.channel.heard("b")
        assert len(await d.rows("select id from turn")) == 2


@pytest.mark.parametrize(
    ("answer", "posted"),
    [
        ("<internal>hm\nhm</internal>Yes.<internal>x</internal>", ["Yes."]),
        ("<internal>only this</internal>", []),
        ("NO_REPLY", []),
        ("one two three four", ["one two", "three four"]),
    ],
)
async def test_what_leaves_the_house(tmp_path: Path, answer: str, posted: list[str]) -> None:
    channel = FakeChannel(rule=Rule(10, (" ",)))
    async with desk(tmp_path, answer, "End.", channel=channel):
        channel.say("hello")
        channel.say("again")
        await channel.posted(len(posted) + 1)
        assert channel.texts() == [*posted, "End."]
        replies = [out.reply_to for out in channel.sent()]
        assert replies == [*(["m1"] + [None] * len(posted))[: len(posted)], "m2"]


async def test_the_agents_name_stands_before_it_where_the_channel_shows_none(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, "Yes.", channel=FakeChannel(prefix_name=True)) as d:
        d.channel.say("hello")
        assert [out.text for out in await d.channel.posted(1)] == ["ada: Yes."]


async def test_a_new_session_is_begun_and_said_so(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.") as d:
        d.channel.say("/new")
        assert [out.text for out in await d.channel.posted(1)] == ["A new session."]


async def test_a_turn_that_fails_is_regretted_without_its_reason(tmp_path: Path) -> None:
    def broken(request: ModelRequest) -> str:
        raise RuntimeError("secret")

    async with desk(tmp_path, broken) as d:
        d.channel.say("hello")
        assert [out.text for out in await d.channel.posted(1)] == [
            "Sorry, this could not be answered."
        ]


async def test_an_operators_own_turn_in_the_same_session_stays_at_home(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.") as d:
        d.channel.say("hello")
        await d.channel.posted(1)
        await d.respond("and me?")
        d.channel.say("again")
        assert len(await d.channel.posted(2)) == 2


# -- who answers, and whom -----------------------------------------------------------------------

BOUND: dict[str, Any] = {
    "channels": {"telegram": {"dmPolicy": "open", "groups": {"-1": {}, "-2": {}}}},
    "bindings": [
        {"agentId": "bob", "match": {"channel": "telegram", "peer": {"kind": "group", "id": -1}}},
        {"agentId": "gone", "match": {"channel": "telegram", "peer": {"kind": "group", "id": -2}}},
    ],
    "session": {"dmScope": "per-channel-peer", "identityLinks": {"mia": ["telegram:7"]}},
}


async def test_bindings_choose_the_agent_and_the_session(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.", config=BOUND, agents=("main", "bob")) as d:
        d.channel.say("one", room="-1", mentioned=True)
        await d.channel.posted(1)
        d.channel.say("two", room="-2", mentioned=True)
        await d.channel.posted(2)
        d.channel.say("three", sender="7")
        await d.channel.posted(3)
        rows = await d.rows(
            "select s.key from turn t join session s on s.id=t.session order by t.no"
        )
        assert [row[0] for row in rows] == [
            "agent:bob:telegram:group:-1", "agent:main:telegram:group:-2",
            "agent:main:telegram:direct:mia",
        ]  # fmt: skip


async def test_without_an_agent_it_is_kept_all_the_same(tmp_path: Path) -> None:
    async with desk(tmp_path, "Yes.", agents=("ada", "bob")) as d:
        ref = d.channel.say("anybody?")
        await d.channel.heard(ref)
        assert await d.rows("select text from message") == [("anybody?",)]
        assert await d.rows("select id from turn") == []


async def test_who_may_not_is_not_even_kept(tmp_path: Path) -> None:
    config = {"channels": {"telegram": {"allowFrom": [7], "dmPolicy": "allowlist"}}}
    async with desk(tmp_path, "Yes.", config=config) as d:
        await d.channel.heard(d.channel.say("let me in", sender="8"))
        await d.channel.heard(d.channel.say("  ", sender="7"))
        assert await d.rows("select id from message") == []


async def test_an_edit_of_the_file_counts_at_once(tmp_path: Path) -> None:
    config = {"channels": {"telegram": {"dmPolicy": "disabled"}}, "gateway": {"reload": {
        "debounceMs": 0}}}  # fmt: skip
    async with desk(tmp_path, "Yes.", config=config, poll_s=0.02) as d:
        await d.channel.heard(d.channel.say("hello?"))
        (tmp_path / "homarus.json").write_text('{"channels": {"telegram": {"dmPolicy": "open"}}}')
        app = d.daemon.app
        await eventually(lambda: app.settings.channels["telegram"].dm_policy == "open")
        d.channel.say("hello!")
        assert [out.reply_to for out in await d.channel.posted(1)] == ["m2"]
