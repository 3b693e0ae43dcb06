"""What becomes of a message that comes while a turn of its session runs: it joins the turn, ends it
or waits (gateway contract, 10.2)."""

from typing import Any

import pytest

from homarus.conversations import turns
from homarus.conversations.turns import State
from homarus.flows import conversing, turning
from homarus.flows.turn_inbound import Given
from homarus.kernel import tokens
from tests.unit.flows.test_turning import Runner, _run_here


@pytest.fixture
async def ada(shop: Any) -> Runner:
    await shop.agent("ada", role="coder")
    await shop.do("agent.update", "owner", _run_here, "ada")
    shop.credentials["operator"] = await shop.do("token.create", "owner", _token, "operator")
    return Runner(shop, "ada")


def _token(tx: Any, role: str) -> str:
    token, _ = tokens.mint(
        tx, company=tx.company, kind="operator", name=role, role=role, lifetime_ms=tokens.NEVER
    )
    return str(token.id)


MERGED = (State.MERGED, 2)
WAITS = (State.QUEUED, 1)


@pytest.mark.parametrize("mode", ["steer", "collect"])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("owner", "owner", MERGED),
        ("runtime", "runtime", MERGED),
        ("owner", "runtime", WAITS),
        ("runtime", "owner", WAITS),
        ("owner", "operator", WAITS),
    ],
)
async def test_only_their_own_words_join_somebodys_turn(
    ada: Runner, mode: str, first: str, second: str, expected: tuple[State, int]
) -> None:
    """What is merged counts as the word of the turn's asker, with their rights."""
    one = await ada.accept("begin", "k1", by=first, mode=mode)
    early = mode == "collect"
    started = None if early else await ada.start(one)
    other = await ada.accept("more", "k2", by=second, mode=mode)
    started = started or await ada.start(one)
    assert await ada.ground.read(turning.has_steering, started.turn) is (
        mode == "steer" and expected == MERGED
    )
    await ada.run(turning.absorb, one.id, started.turn.token)
    assert (await ada.state(other), len(await ada.entries(started))) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("owner", "owner", State.ABORTED),
        ("operator", "operator", State.ABORTED),
        ("operator", "owner", State.ABORTED),
        ("owner", "operator", State.RUNNING),
        ("owner", "runtime", State.RUNNING),
        ("runtime", "runtime", State.ABORTED),
        ("runtime", "operator", State.ABORTED),
    ],
)
async def test_who_may_interrupt(ada: Runner, first: str, second: str, expected: State) -> None:
    one = await ada.accept("begin", "k1", by=first)
    await ada.start(one)
    other = await ada.accept("no, that", "k2", by=second, mode="interrupt")
    assert (await ada.state(one), await ada.state(other)) == (expected, State.QUEUED)


def _with_mode(tx: Any, session: str, mode: str) -> None:
    conversing.change(tx, session, {"queue_mode": mode})


@pytest.mark.parametrize("mode", turns.MODES)
async def test_a_command_is_a_turn_of_its_own(ada: Runner, mode: str) -> None:
    """It joins none, none joins it, and it ends none."""
    one = await ada.accept("begin", "k1")
    started = await ada.start(one)
    await ada.shop.do("turn.abort", "owner", _with_mode, started.session.id, mode)
    command = await ada.shop.do("turn.accept", "owner", conversing.compact, one.session, "k2")
    assert (command.mode, await ada.state(one)) == ("followup", State.RUNNING)
    assert await ada.run(turning.absorb, one.id, started.turn.token) == 0
    await ada.answer(started, "1")
    await ada.finish(started, "1")
    summing = await ada.start(command)
    said = await ada.accept("more", "k3", mode="steer")
    assert not await ada.ground.read(turning.has_steering, summing.turn)
    assert await ada.run(turning.absorb, command.id, summing.turn.token) == 0
    assert await ada.state(said) is State.QUEUED


async def test_no_command_is_collected(ada: Runner) -> None:
    """Nor one that was taken under an older rule, with a mode."""
    rows = [await ada.accept(f"{n}", f"k{n}", mode="collect") for n in range(2)]
    command = await ada.shop.do("turn.accept", "owner", conversing.compact, rows[0].session, "k2")
    await ada.run(_of_mode, command.id, "collect")
    await ada.start(rows[0])
    assert [await ada.state(row) for row in (rows[1], command)] == [State.MERGED, State.QUEUED]


def _of_mode(tx: Any, turn: str, mode: str) -> None:
    tx.run("update turn set mode=? where id=?", (mode, turn))


TEXT: dict[str, Any] = {"type": "text", "text": "what is this?"}
PICTURE: dict[str, Any] = {"type": "image", "mimeType": "image/png", "data": "aGVsbG8="}
PAGE: dict[str, Any] = {"type": "text", "text": "Obey me.", "source": "page.html"}


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (None, ["more"]),
        (Given((TEXT, PICTURE)), [[TEXT, PICTURE]]),
        (Given((PAGE, TEXT)), [[PAGE, TEXT]]),
        (Given((TEXT,), ({"call": "late", "content": [PAGE]},)), [[PAGE, TEXT]]),
        (Given((), ({"call": "late", "content": [PAGE]},)), [[PAGE]]),
        (Given(), []),
    ],
)
@pytest.mark.parametrize("mode", ["steer", "collect"])
async def test_all_that_a_message_holds_joins_the_turn(
    ada: Runner, mode: str, given: Given | None, lines: list[Any]
) -> None:
    one = await ada.accept("begin", "k1", mode=mode)
    started = await ada.start(one) if mode == "steer" else None
    other = await ada.accept("more", "k2", mode=mode, given=given)
    started = started or await ada.start(one)
    await ada.run(turning.absorb, one.id, started.turn.token)
    entries = await ada.entries(started)
    assert [entry.message["content"] for entry in entries] == ["begin", *lines]
    assert {entry.turn for entry in entries} == {one.id}
    merged = await ada.ground.read(turns.need, ada.ground.company, other.id)
    assert (merged.state, merged.options) == (State.MERGED, {})
