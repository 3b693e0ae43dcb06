"""A folder that becomes a link out of the vault while the daemon runs: nothing is written there."""

from pathlib import Path

import pytest

from homarus.outbox.port import Done, Later
from homarus.testing.vaults import VaultBench

MODES = pytest.mark.parametrize("exchange", [None, False])


class Folders:
    """`out()`: Tasks is moved away, and a link to a folder elsewhere, with the same files, is put
    in its place; `back()`: as it was."""

    def __init__(self, tmp_path: Path) -> None:
        self.tasks = tmp_path / "vault" / "Homarus" / "Tasks"
        self.kept = tmp_path / "kept"
        self.outside = tmp_path / "outside"

    def out(self) -> None:
        self.tasks.rename(self.kept)
        self.outside.mkdir()
        for path in self.kept.glob("*.md"):
            (self.outside / path.name).write_bytes(path.read_bytes())
        self.tasks.symlink_to(self.outside)

    def back(self) -> None:
        self.tasks.unlink()
        self.kept.rename(self.tasks)

    def seen(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.outside.iterdir()}


@MODES
@pytest.mark.parametrize(
    "act, when",
    [("make", "before"), ("make", "create"), ("change", "before"), ("change", "swap"),
     ("archive", "before")],
)  # fmt: skip
async def test_a_link_out_is_not_written_through(
    tmp_path: Path, when: str, act: str, exchange: bool | None
) -> None:
    folders, at = Folders(tmp_path), [""]

    def hook(point: str, path: Path) -> None:
        if point == at[0] and path.parent == folders.tasks:
            at[0] = ""
            folders.out()

    bench = VaultBench(tmp_path, hook, exchange)
    await bench.push("task", 1, title="One")
    if when == "before":
        folders.out()
    at[0] = when
    number = 2 if act == "make" else 1

    async def go() -> object:
        if act == "archive":
            return await bench.delete("task", number)
        return await bench.push("task", number, title="Two")

    before = bench.note("task", 1).read_bytes() if when != "before" else None
    outcome = await go()
    assert isinstance(outcome, Later) and not outcome.alone
    assert "is a link out of the vault" in outcome.why
    assert not (await bench.mirror.health()).ok
    assert set(folders.seen()) == {"T-0001 One.md"}
    assert before in (None, folders.seen()["T-0001 One.md"])
    folders.back()
    assert (await bench.mirror.health()).ok
    assert isinstance(await go(), Done)
    assert bench.notes == []
    found = bench.note("task", number)
    assert ("Archive" in found.parts) if act == "archive" else "# Two\n" in found.read_text("utf-8")


async def test_a_lookup_says_neither_yes_nor_no(tmp_path: Path) -> None:
    folders, bench = Folders(tmp_path), VaultBench(tmp_path)
    await bench.push("task", 1, title="One")
    folders.out()
    looked = await bench.mirror.lookup(bench.change("task", 1, title="One"))
    assert isinstance(looked, Later) and not looked.alone


async def test_a_persons_folder_that_leads_out_has_no_notes(tmp_path: Path) -> None:
    """Ours is made again where ours belong."""
    bench = VaultBench(tmp_path)
    await bench.push("task", 1, title="One")
    mine, outside = bench.path / "Mine", tmp_path / "outside"
    mine.mkdir()
    bench.note("task", 1).rename(mine / "T-0001 One.md")
    assert isinstance(await bench.push("task", 1, title="Two"), Done)
    mine.rename(outside)
    mine.symlink_to(outside)
    before = (outside / "T-0001 One.md").read_bytes()
    assert isinstance(await bench.push("task", 1, title="Three"), Done)
    assert (outside / "T-0001 One.md").read_bytes() == before
    made = bench.path / "Homarus/Tasks/T-0001 Three.md"
    assert "# Three\n" in made.read_text("utf-8")


async def test_a_link_within_the_vault_is_followed(tmp_path: Path) -> None:
    bench = VaultBench(tmp_path)
    await bench.push("task", 1, title="One")
    tasks = tmp_path / "vault" / "Homarus" / "Tasks"
    tasks.rename(tmp_path / "vault" / "Elsewhere")
    tasks.symlink_to(tmp_path / "vault" / "Elsewhere")
    assert isinstance(await bench.push("task", 1, title="Two"), Done)
    assert "# Two\n" in (tmp_path / "vault/Elsewhere/T-0001 One.md").read_text("utf-8")


@MODES
async def test_nothing_staged_is_left_in_a_folder_that_moved_out(
    tmp_path: Path, exchange: bool | None
) -> None:
    tasks, outside = tmp_path / "vault" / "Homarus" / "Tasks", tmp_path / "outside"

    def hook(point: str, path: Path) -> None:
        if point == "swap" and not outside.exists():
            tasks.rename(outside)
            tasks.symlink_to(outside)

    bench = VaultBench(tmp_path, hook, exchange)
    await bench.push("task", 1, title="One")
    assert isinstance(await bench.push("task", 1, title="Two"), Later)
    assert [path.name for path in outside.iterdir()] == ["T-0001 One.md"]
