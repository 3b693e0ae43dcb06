"""Our sessions and transcripts, taken by the importer of `openclaw`, unmodified: the way back
(gateway contract, 12).

Its folders bear an agent's short name, ours its id; the copy is made as docs/how-to/gateway.md
says.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from homarus.agents.scripted import Say
from homarus.conversations import keys
from homarus.testing.model_server import ModelServer
from tests.contract_openclaw.openclaw import OpenClaw, of_its_own, program, real_gateway
from tests.gateway.asking import Asking, asking
from tests.gateway.ws.client import Client, dialled_at, joined
from tests.gateway.ws.talking import over, said

ODD = 'Grüße aus 東京 🦞 \u2028 "q" \\ \x01'
LONG = "words " * 200
Row = dict[str, Any]
Line = tuple[str, str, Any]


class Taken(NamedTuple):
    """`ours`: rows by session key, `lines`: `(id, role, content)` by key, `report`: of the
    importer; `theirs`, `their_lines`: the same after it."""

    ours: dict[str, Row]
    lines: dict[str, list[Line]]
    report: str
    theirs: dict[str, Row]
    their_lines: dict[str, list[Line]]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taken]:
    found = program()
    place = tmp_path_factory.mktemp("openclaw-import")
    home = place / "homarus"
    ours, lines, agents = asyncio.run(_lived(home))
    client = OpenClaw(found, place / "client")
    with ModelServer() as model:
        client.configure(of_its_own(model.base_url("openai"), *agents))
        for name, id_ in agents.items():
            shutil.copytree(home / "agents" / id_, client.state / "agents" / name)
        done = client.run("doctor", "--fix", "--non-interactive")
        assert done.code == 0, done.out
        listed = client.run("sessions", "--json", "--all-agents")
        theirs = {row["key"]: row for row in listed.data["sessions"]}
        with real_gateway(found, place / "client", "", keep=True) as real:
            url = f"ws{real.url.removeprefix('http')}"
            their_lines = asyncio.run(_read(url, real.token, tuple(theirs)))
    yield Taken(ours, lines, done.out, theirs, their_lines)


async def _lived(home: Path) -> tuple[dict[str, Row], dict[str, list[Line]], dict[str, str]]:
    """Several sessions of two agents, and their agents' ids by short name."""
    async with (
        asking(home, "unasked", agents=("main", "Ada Lovelace")) as ask,
        joined(ask.daemon) as client,
    ):
        await _talk(ask, client)
        rows = (await client.call("sessions.list"))["sessions"]
        lines = {row["key"]: await _lines(client, row["key"]) for row in rows}
        agents = (await ask.get("/agents"))["agents"]
        return (
            {row["key"]: row for row in rows}, lines,
            {keys.slug(row["name"]): row["id"] for row in agents},
        )  # fmt: skip


async def _talk(ask: Asking, client: Client) -> None:
    spoken = 0

    async def say(session: str, text: str, *replies: Any) -> None:
        nonlocal spoken
        spoken += 1
        ask.model.then(*(replies or ("unasked",)))
        await client.call("chat.send", said(text, f"run-{spoken}", session))
        assert (await over(client, f"run-{spoken}"))["state"] == "final"

    await say("main", "What time is it?", Say("", (("time_now", {}),)), "It is late.")
    await say("agent:main:odd", ODD, "Zażółć gęślą jaźń 🎉\nzwei")
    for n in range(6):
        await say("agent:main:long", f"part {n} {LONG}", f"answer {n} {LONG}")
    await say("agent:main:long", "/compact", "They spoke of parts.")
    await say("agent:main:long", "and then?", "Indeed.")
    await say("agent:main:again", "a first life", "one")
    await say("agent:main:again", "/new")
    await say("agent:main:again", "a second life", "two")
    await say("agent:ada-lovelace:main", "Hello Ada", "hello")


async def _read(url: str, token: str, sessions: tuple[str, ...]) -> dict[str, list[Line]]:
    async with dialled_at(url) as client:
        reply = await client.greet(token)
        assert reply["ok"], reply
        return {key: await _lines(client, key) for key in sessions}


async def _lines(client: Client, key: str) -> list[Line]:
    found = await client.call("chat.history", {"sessionKey": key, "limit": 1_000})
    return [
        (message["__openclaw"]["id"], message["role"], _plain(message))
        for message in found["messages"]
    ]


def _plain(message: Row) -> Any:
    """A text alone, and the same as a part, are one. What was summed up is told as such; each
    gateway has words of its own for it."""
    if message["role"] == "system":
        return message["__openclaw"]["kind"]
    match message["content"]:
        case [{"type": "text", "text": str(text), **more}] if not more:
            return text
        case content:
            return content


def test_the_importer_takes_them_all(taken: Taken) -> None:
    count = len(taken.ours)
    assert count == 5
    assert f"Legacy entries: {count}; SQLite entries: {count}." in taken.report, taken.report
    assert f"Archived {count} legacy transcript artifact(s)." in taken.report


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("sessionId", "sessionId"),
        ("updatedAt", "updatedAt"),
        ("inputTokens", "inputTokens"),
        ("outputTokens", "outputTokens"),
        ("totalTokens", "totalTokens"),
        ("lastInteractionAt", "lastInteractionAt"),
        ("createdAt", "sessionStartedAt"),
        ("kind", "kind"),
    ],
)
def test_what_a_session_is(taken: Taken, ours: str, theirs: str) -> None:
    assert {key: row[theirs] for key, row in taken.theirs.items()} == {
        key: row[ours] for key, row in taken.ours.items()
    }


def test_what_was_said(taken: Taken) -> None:
    assert taken.their_lines == taken.lines
    assert taken.lines["agent:main:odd"][0][1:] == ("user", ODD)
    assert [line[1:] for line in taken.lines["agent:main:long"]].count(
        ("system", "compaction")
    ) == 1  # fmt: skip
    assert [role for _, role, _ in taken.lines["agent:main:main"]] == [
        "user", "assistant", "toolResult", "assistant",
    ]  # fmt: skip
