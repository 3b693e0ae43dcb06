"""Folders under random operations and restarts, beside a plain tree of names."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from homarus.base.errors import HomarusError
from homarus.records import artifacts, emptying, folders
from homarus.records.artifact_fields import ArtifactChange, Content, NewArtifact
from homarus.records.folders import MAX_DEPTH, FolderChange, Scope
from homarus.records.versions import MAX_VERSIONS
from homarus.testing.ground import Ground, ManualClock, ground
from homarus.testing.recount import recount

NAMES = st.sampled_from(["a", "b", "c"])
PICK = st.integers(-3, 3)
"""One of the folders (or files) made so far: of the oldest, or below 0 of the newest; one that is
not there means none, which is the top."""
FIRST = [
    ("create", "a", 3), ("create", "b", 0), ("create", "c", 1),
    ("create", "b", 3), ("create", "c", 3),
    ("file", 5, 2), ("file", 6, 4), ("file", 7, 0), ("file", 8, 9),
]  # fmt: skip
"""a/b/c and b/c, with a file in each bottom, in `a`, and in none: what random steps begin with."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), NAMES, PICK),
        st.tuples(st.just("create"), NAMES, PICK),
        st.tuples(st.just("rename"), NAMES, PICK),
        st.tuples(st.just("move"), PICK, PICK),
        st.tuples(st.just("remove"), PICK, PICK),
        st.tuples(st.just("file"), st.integers(0, 20), PICK),
        st.tuples(st.just("put"), PICK, PICK),
        st.tuples(st.just("replace"), PICK, st.integers(0, 20)),
        st.tuples(st.sampled_from(["empty", "restart"]), PICK, PICK),
    ),
    max_size=30,
)


class Model:
    """`parents` and `names` of live folders by id, in the order of their making; `files`: folder
    and sizes, newest first, of live artifacts by id."""

    def __init__(self) -> None:
        self.parents: dict[str, str | None] = {}
        self.names: dict[str, str] = {}
        self.files: dict[str, tuple[str | None, list[int]]] = {}

    def folder(self, n: int) -> str | None:
        return list(self.parents)[n] if -len(self.parents) <= n < len(self.parents) else None

    def above(self, folder: str | None) -> list[str]:
        found = []
        while folder is not None:
            found.append(folder)
            folder = self.parents[folder]
        return found

    def path(self, folder: str) -> str:
        return "/".join(self.names[one] for one in reversed(self.above(folder)))

    def height(self, folder: str) -> int:
        return max(len(self.above(one)) for one in self.parents if folder in self.above(one)) - len(
            self.above(folder)
        )

    def refusal(
        self, name: str, parent: str | None, height: int = 0, by: str | None = None
    ) -> str | None:
        """Why a folder of this name and height (`by`: its id) may not be in `parent`."""
        moved = by is None or self.parents[by] != parent
        if by is not None and moved and by in self.above(parent):
            return "folder.cycle"
        if moved and len(self.above(parent)) + 1 + height > MAX_DEPTH:
            return "folder.depth"
        place = [one for one in self.parents if self.parents[one] == parent and one != by]
        return "folder.exists" if name in [self.names[one] for one in place] else None

    def remove(self, folder: str) -> None:
        gone = {one for one in self.parents if folder in self.above(one)}
        self.files = {k: v for k, v in self.files.items() if v[0] not in gone}
        for one in gone:
            del self.parents[one], self.names[one]


async def _step(g: Ground, model: Model, step: str, x: Any, n: int) -> None:
    folder = model.folder(n)
    match step:
        case "create":
            refusal = model.refusal(x, folder)
            row = await _tried(g, refusal, "folder.create", folders.create, x, folder, Scope())
            if row:
                model.parents[row.id], model.names[row.id] = folder, x
        case "rename" if folder:
            refusal = model.refusal(x, model.parents[folder], by=folder)
            change = FolderChange(name=x)
            if await _tried(g, refusal, "folder.update", folders.update, folder, change):
                model.names[folder] = x
        case "move" if folder:
            into = model.folder(x)
            refusal = model.refusal(model.names[folder], into, model.height(folder), folder)
            change = FolderChange(parent=into)
            if await _tried(g, refusal, "folder.update", folders.update, folder, change):
                model.parents[folder] = into
        case "remove" if folder:
            await g.write("folder.delete", folders.remove, folder)
            model.remove(folder)
        case "file":
            new = NewArtifact(
                kind="f", content_type="a/b", filename="f", sha256=f"{x:064x}", size_bytes=x,
                stored=True, folder=folder,
            )  # fmt: skip
            row = await g.write("artifact.create", artifacts.create, new)
            model.files[row.id] = (folder, [x])
        case "put" if model.files:
            file = list(model.files)[x % len(model.files)]
            await g.write("artifact.update", artifacts.update, file, ArtifactChange(folder=folder))
            model.files[file] = (folder, model.files[file][1])
        case "replace" if model.files:
            file = list(model.files)[x % len(model.files)]
            folder, sizes = model.files[file]
            content = Content(f"{n:064x}", n, "a/b", "f", None)
            await g.write("artifact.update", artifacts.replace, file, content)
            if sizes[0] != n:
                model.files[file] = (folder, [n, *sizes][: MAX_VERSIONS + 1])
        case "empty":
            await g.write("folder.empty", emptying.some, 2)


async def _tried(g: Ground, refusal: str | None, capability: str, fn: Any, *args: Any) -> Any:
    """The row; None where the store refuses for the reason that the model has."""
    try:
        row = await g.write(capability, fn, *args)
    except HomarusError as error:
        assert error.code == refusal, error
        return None
    assert refusal is None, args
    return row


async def _agrees(g: Ground, model: Model) -> None:
    rows = await g.read(lambda rx: folders.listed(rx, g.company, {}, limit=500))
    paths = await g.read(folders.paths, g.company, [row.id for row in rows])
    assert paths == {one: model.path(one) for one in model.parents}
    for row in rows:
        if row.id in model.parents:
            assert (row.parent, row.height) == (model.parents[row.id], model.height(row.id))


async def _emptied(g: Ground, model: Model) -> None:
    """When all is removed that is to be: what the model has, and nothing else."""
    while (await g.write("folder.empty", emptying.some, 3)).rows:
        pass
    rows = await g.read(lambda rx: folders.listed(rx, g.company, {}, limit=500))
    assert {row.id for row in rows} == set(model.parents)
    files = await g.read(lambda rx: artifacts.listed(rx, g.company, {}, limit=500))
    assert {row.id: row.folder for row in files} == {k: v[0] for k, v in model.files.items()}
    used = await g.read(lambda rx: rx.one("select bytes from artifact_usage"))
    assert (used or (0,))[0] == sum(sum(sizes) for _, sizes in model.files.values())
    assert await g.read(recount, g.company) == []


async def _play(steps: list[tuple[str, Any, int]]) -> None:
    clock, model, left = ManualClock(), Model(), [*FIRST, *steps]
    with tempfile.TemporaryDirectory() as home:
        while True:
            async with ground(Path(home), clock) as g:
                while left:
                    step, x, n = left.pop(0)
                    if step == "restart":
                        break
                    await _step(g, model, step, x, n)
                    await _agrees(g, model)
                else:
                    await _emptied(g, model)
                    return


@given(steps=STEPS)
def test_whatever_happens_folders_are_a_tree_of_names(steps: list[tuple[str, Any, int]]) -> None:
    asyncio.run(_play(steps))
