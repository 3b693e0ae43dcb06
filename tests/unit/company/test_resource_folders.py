"""The tree of folders is kept, not counted: it agrees with the rows after any acts."""

import random

import pytest

from homarus.company import resources
from homarus.company.resources import ResourceChange
from homarus.testing.recount import recount
from tests.support.engines import BOTH
from tests.support.surface import surface

PATHS = ("", "a", "a/b", "c")
STEPS = 60


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        yield made


async def made(s, path, scope=None):
    change = ResourceChange(name="n", type="note", provider="p", path=path)
    kind = "company" if scope is None else "agent"
    row = await s.run(lambda tx: resources.create(tx, kind, scope, change))
    return row.id


async def tree(s, *scopes):
    return await s.read(lambda rx: resources.folders(rx, s.company, scopes))


@BOTH
async def test_a_folder_is_there_while_something_is_in_it(s):
    first = await made(s, "a/b")
    second = await made(s, "a/b", s.ada)
    assert await tree(s) == [("a", 0), ("a/b", 2)]
    assert await tree(s, s.ada) == [("a", 0), ("a/b", 1)]
    await s.run(resources.update, first, ResourceChange(path="c"))
    assert await tree(s) == [("a", 0), ("a/b", 1), ("c", 1)]
    await s.run(resources.delete, second)
    await s.run(resources.update, first, ResourceChange(path=""))
    assert await tree(s) == []


@BOTH
@pytest.mark.parametrize("seed", range(3))
async def test_any_acts_leave_tree_and_rows_in_agreement(s, seed):
    chance = random.Random(seed)
    alive = []
    for _ in range(STEPS):
        act = chance.choice(("make", "make", "move", "rename", "remove"))
        if act == "make" or not alive:
            scope = chance.choice((None, s.ada))
            alive.append(await made(s, chance.choice(PATHS), scope))
        elif act == "remove":
            await s.run(resources.delete, alive.pop(chance.randrange(len(alive))))
        else:
            change = ResourceChange(name="m")
            if act == "move":
                change = ResourceChange(path=chance.choice(PATHS))
            await s.run(resources.update, chance.choice(alive), change)
    assert await s.read(recount, s.company) == []
