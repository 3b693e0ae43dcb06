"""An observation is an entry; only a snapshot is a snapshot (control-plane contract, 18.16)."""

import pytest

from homarus.base.errors import HomarusError
from homarus.company import agents, memory
from homarus.company.memory import NewEntry
from tests.support.engines import BOTH
from tests.support.surface import surface

pytestmark = BOTH


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        yield made


async def test_an_observation_leaves_the_snapshot_alone(s):
    whole = NewEntry(content="start", snapshot="I am Ada. I like tests.")
    _, first = await s.run(memory.write, s.ada, whole)
    _, still = await s.run(
        memory.write, s.ada, NewEntry(content="saw a thread", kind="thread_observation")
    )
    assert still == first
    assert (await s.read(agents.by_id, s.company, s.ada)).memory == "I am Ada. I like tests."
    _, second = await s.run(memory.write, s.ada, NewEntry(content="x", snapshot="I am new."))
    assert (second.content, second.id != first.id) == ("I am new.", True)


async def test_entries_are_the_newest_oldest_first(s):
    for n in range(30):
        await s.run(memory.write, s.ada, NewEntry(content=f"{n}"))
    rows = await s.read(lambda rx: memory.entries(rx, s.ada, limit=25))
    assert [row.content for row in rows] == [str(n) for n in range(5, 30)]


@pytest.mark.parametrize(
    "new, code",
    [
        (NewEntry(content=" "), "memory.content"),
        (NewEntry(content="x" * 200_001), "memory.content"),
        (NewEntry(content="x", snapshot="x" * 200_001), "memory.content"),
        (NewEntry(content="x", kind=""), "memory.kind"),
    ],
)
async def test_unusable_entries(s, new, code):
    with pytest.raises(HomarusError) as raised:
        await s.run(memory.write, s.ada, new)
    assert raised.value.code == code
    assert await s.read(lambda rx: memory.entries(rx, s.ada, limit=5)) == []
