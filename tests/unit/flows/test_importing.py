"""Sessions that are taken over piece by piece, on each engine (flows/importing.py)."""

from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.conversations import sessions, transcript
from homarus.conversations.transcript import Line
from homarus.flows import importing
from homarus.flows.importing import End, Piece
from tests.unit.flows.test_turning import Runner, _run_here

KEY = "agent:ada:main"
SOURCE = "elsewhere:1"


@pytest.fixture
async def ada(shop: Any) -> Runner:
    await shop.agent("ada")
    await shop.do("agent.update", "owner", _run_here, "ada")
    return Runner(shop, "ada")


def said(*texts: str) -> list[Line]:
    return [Line("message", {"message": {"role": "user", "content": t}}, 1_000) for t in texts]


async def take(ada: Runner, first: int, lines: list[Line], **more: Any) -> sessions.Session:
    given = {"agent": "ada", "source": SOURCE, "key": "main", "kind": "direct"} | more
    piece = Piece(first=first, lines=lines, **given)
    row = await ada.shop.do("import.session", "owner", importing.take, piece)
    assert isinstance(row, sessions.Session)
    return row


async def refused(ada: Runner, first: int, lines: list[Line], **more: Any) -> str:
    with pytest.raises(HomarusError) as caught:
        await take(ada, first, lines, **more)
    return caught.value.code


async def lines_of(ada: Runner, session: str) -> list[str]:
    rows = await ada.ground.read(transcript.since, session, 1)
    return [row.message["content"] for row in rows]


async def test_it_is_nobodys_until_it_is_whole(ada: Runner) -> None:
    row = await take(ada, 1, said("a", "b"))
    assert row.ended_ms is not None
    assert await ada.ground.read(sessions.by_key, ada.ground.company, KEY) is None
    assert await refused(ada, 3, [], end=End(lines=3)) == "import.unfinished"
    row = await take(ada, 3, said("c"), end=End(lines=3, first_kept=2, label="Desk"))
    assert (row.ended_ms, row.key, row.entries, row.first_kept, row.label) == (
        None, KEY, 3, 2, "Desk",
    )  # fmt: skip


async def test_the_same_piece_again_changes_nothing(ada: Runner) -> None:
    await take(ada, 1, said("a", "b"))
    row = await take(ada, 1, said("a", "b", "c"))
    assert await lines_of(ada, row.id) == ["a", "b", "c"]
    assert (await take(ada, 2, said("b"))).entries == 3
    assert await refused(ada, 5, said("e")) == "import.gap"


async def test_what_was_said_here_stays_the_end(ada: Runner) -> None:
    row = await take(ada, 1, said("a"), end=End(lines=1))
    started = await ada.start(await ada.accept("here", "k1"))
    assert started.turn.session == row.id
    assert await refused(ada, 2, said("b")) == "import.went_on"
    assert (await take(ada, 1, said("a"), end=End(lines=1))).entries == 2


async def test_a_key_in_use_is_left_alone(ada: Runner) -> None:
    live = (await ada.start(await ada.accept("here", "k1"))).turn.session
    row = await take(ada, 1, said("a"), end=End(lines=1))
    assert (row.ended_ms is not None, row.id != live) == (True, True)


@pytest.mark.parametrize(
    "first, lines, more, code",
    [
        (0, said("a"), {}, "import.lines"),
        (1, said(*"a" * (importing.MAX_LINES + 1)), {}, "import.lines"),
        (importing.MAX_ENTRIES, said("a", "b"), {}, "import.lines"),
        (1, [], {"kind": "task"}, "import.kind"),
        (1, [], {"source": ""}, "import.source"),
        (1, [], {"agent": "nobody"}, "agent.unknown"),
        (1, [], {"key": "agent:bob:main"}, "session.key"),
        (1, [Line("message", {"message": {"role": "user"}}, 0)], {}, "import.line"),
        (1, [Line("message", {}, 0)], {}, "import.line"),
        (1, [Line("compaction", {}, 0)], {}, "import.line"),
        (1, [Line("custom", {"type": "message"}, 0)], {}, "import.line"),
        (1, [Line("No Kind", {}, 0)], {}, "import.line"),
        (1, [Line("custom", {}, -1)], {}, "import.line"),
        (1, said("a"), {"end": End(lines=1, first_kept=3)}, "import.first_kept"),
        (1, said("a"), {"end": End(lines=1, input_tokens=-1)}, "import.counts"),
        (1, said("a"), {"end": End(lines=1, thinking="a lot")}, "import.setting"),
        (1, said("a"), {"end": End(lines=1, queue_mode="queue")}, "import.setting"),
    ],
)
async def test_what_is_refused(
    ada: Runner, first: int, lines: list[Line], more: dict[str, Any], code: str
) -> None:
    assert await refused(ada, first, lines, **more) == code
