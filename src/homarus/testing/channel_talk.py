"""A daemon in a process of its own that answers on a channel until it is killed.

    python -m homarus.testing.channel_talk HOME PLATFORM [ask]

It makes (or takes up) the home with an agent `ada`, whose scripted model answers each message; the
channel's platform is the folder PLATFORM, in which somebody has said things before. With `ask` the
platform can be asked whether something arrived. It ends when all was acknowledged, answered and
sent, or is an operator's. `HOMARUS_FAILPOINT` says where it dies (base/failpoint.py).
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import structlog

from homarus.agents.port import ModelRequest, Text, UserMessage
from homarus.app import App, build
from homarus.base.action import Action
from homarus.channels.port import Rule
from homarus.config.channels import ChannelConfig
from homarus.config.settings import load
from homarus.store.port import Rx
from homarus.testing.fake_channel import FakeChannel
from homarus.testing.scripted_model import ScriptedModel
from homarus.testing.turns import settle_in

RULE: Final = Rule(24, (" ",))
"""So that some answers take two parts."""


def text_of(n: int) -> str:
    return f"message {n}" if n % 3 else f"message {n} with more words {n}"


def answer_to(text: str) -> str:
    return f"answer to {text}"


def script(request: ModelRequest) -> str:
    said = next(m for m in reversed(request.messages) if isinstance(m, UserMessage))
    text = "".join(part.text for part in said.content if isinstance(part, Text))
    return answer_to(text.partition("\n")[2].partition("\n")[0] if "\n" in text else text)


def platform(folder: Path, *, lookup: bool) -> FakeChannel:
    return FakeChannel("telegram", folder=folder, lookup=lookup, dedupes=False, rule=RULE)


def _open(rx: Rx) -> int:
    """What is still on its way."""
    row = rx.one(
        "select (select count(*) from turn where state in ('queued', 'running', 'parked')) + "
        "(select count(*) from delivery where state in ('queued', 'sending'))"
    )
    return 0 if row is None else int(row[0])


async def until_done(app: App, channel: FakeChannel) -> None:
    news = asyncio.Event()
    undo = app.store.listen(lambda _: news.set())
    try:
        while True:
            news.clear()
            if not channel.unheard() and not await app.store.read(_open):
                return
            async with asyncio.timeout(30):
                await news.wait()
    finally:
        undo()


async def main(home: Path, folder: Path, lookup: bool) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    channel = platform(folder, lookup=lookup)
    settings = load(home, {}, port=0, max_task_turns=0,
                    channels={"telegram": ChannelConfig(dm_policy="open")})  # fmt: skip
    app = build(settings, turns=ScriptedModel(script).turns(), channels=[channel])
    await app.start()
    try:
        own = Action(app.home_facts.company, "token.create", "token:", system="tests")
        await app.store.write(own, settle_in)
        await until_done(app, channel)
    finally:
        await app.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] == ["ask"]))
