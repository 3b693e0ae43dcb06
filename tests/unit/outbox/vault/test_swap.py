"""One write while a person saves at its worst moment, with the swap in one step and without."""

import asyncio
from pathlib import Path

import pytest

from homarus.outbox.port import Done, Later
from homarus.outbox.vault.swap import MAX_SWAPS, BusyError, Disk, strays
from homarus.testing.vaults import VaultBench

MODES = pytest.mark.parametrize("exchange", [None, False], ids=["in one step", "looked at late"])


def ours(content: bytes) -> bytes:
    """What we make of any content: our word before the person's."""
    return b"ours " + content.removeprefix(b"ours ")


@MODES
@pytest.mark.parametrize("saves", [0, 1, 3, MAX_SWAPS - 1])
def test_what_was_saved_in_between_is_merged(
    tmp_path: Path, exchange: bool | None, saves: int
) -> None:
    left = list(range(saves))

    def save(point: str, path: Path) -> None:
        if point == "swap" and left:
            path.write_bytes(b"saved %d" % left.pop())

    path = tmp_path / "note.md"
    path.write_bytes(b"theirs")
    path.chmod(0o640)
    after = Disk(save, exchange=exchange).update(path, b"theirs", ours)
    assert after == path.read_bytes() == (b"ours saved 0" if saves else b"ours theirs")
    assert [entry.name for entry in tmp_path.iterdir()] == ["note.md"]
    assert path.stat().st_mode & 0o777 == 0o640


@MODES
def test_who_saves_all_the_time_is_left_to_it(tmp_path: Path, exchange: bool | None) -> None:
    count = 0

    def save(point: str, path: Path) -> None:
        nonlocal count
        if point == "swap":
            count += 1
            path.write_bytes(b"saved %d" % count)

    path = tmp_path / "note.md"
    path.write_bytes(b"theirs")
    with pytest.raises(BusyError):
        Disk(save, exchange=exchange).update(path, b"theirs", ours)
    left = [path.read_bytes(), *(content for _, content in strays(tmp_path))]
    assert any(b"saved %d" % count in content for content in left)


@MODES
async def test_a_push_meets_one_who_saves_all_the_time(
    tmp_path: Path, exchange: bool | None
) -> None:
    """His last text is in a note that he sees, and the push is tried again later."""
    words: list[str] = []

    def save(point: str, path: Path) -> None:
        if point == "swap" and len(words) < 2 * MAX_SWAPS:
            words.append(f"word{len(words)}\n")
            bench.save(path, path.read_bytes() + words[-1].encode(), age_s=0)

    bench = VaultBench(tmp_path, save, exchange)
    await bench.push("task", 1, title="One")
    assert isinstance(await bench.push("task", 1, title="Two"), Later)
    seen = b"".join(bench.files().values()).decode()
    assert all(word in seen for word in words)
    assert not any("/.homarus" in name for name in bench.files())
    words += [""] * 2 * MAX_SWAPS
    bench.clock.advance(10_000)
    assert isinstance(await bench.push("task", 1, title="Two"), Done)
    assert "# Two\n" in bench.note("task", 1).read_text("utf-8")
    seen = b"".join(bench.files().values()).decode()
    assert all(word in seen for word in words)


async def test_who_saves_twice_upon_what_we_wrote_loses_neither(tmp_path: Path) -> None:
    """The second save is made of our text, before the first was merged into it."""

    def save(point: str, path: Path) -> None:
        if words:
            bench.save(path, path.read_bytes() + words.pop().encode(), age_s=0)

    words: list[str] = []
    bench = VaultBench(tmp_path, save)
    await bench.push("task", 1, title="One")
    words += ["third\n", "second\n", "first\n"]
    assert isinstance(await bench.push("task", 1, title="Two"), Done)
    seen = b"".join(bench.files().values()).decode()
    assert all(word in seen for word in ("first\n", "second\n", "third\n"))


@MODES
def test_nothing_is_written_over(tmp_path: Path, exchange: bool | None) -> None:
    disk = Disk(exchange=exchange)
    old, new = tmp_path / "old.md", tmp_path / "deep" / "new.md"
    assert disk.create(old, b"a") and not disk.create(old, b"b")
    assert disk.move(old, new) and not disk.move(old, new)
    assert disk.create(old, b"c") and not disk.move(old, new)
    assert (old.read_bytes(), new.read_bytes()) == (b"c", b"a")
    assert disk.update(tmp_path / "none.md", b"x", ours) is None
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["deep", "new.md", "old.md"]


def test_of_strays_only_what_holds_a_persons_text_is_left(tmp_path: Path) -> None:
    disk = Disk()
    path = tmp_path / "note.md"
    disk.create(path, b"theirs")
    whole = disk._staged(tmp_path, b"ours")
    (tmp_path / ".homarus-1.part").write_bytes(b"torn")
    (tmp_path / ".homarus-2.tmp").write_bytes(b"theirs")
    (tmp_path / ".other").write_bytes(b"not ours")
    assert [(stray.name, content) for stray, content in strays(tmp_path)] == [
        (".homarus-2.tmp", b"theirs")
    ]
    assert not whole.exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        ".homarus-2.tmp", ".other", "note.md",
    ]  # fmt: skip


@MODES
async def test_pushes_side_by_side(tmp_path: Path, exchange: bool | None) -> None:
    """Waits for the disk overlap; each entity has its note, each link leads to one."""

    def fields(no: int, title: str) -> dict[str, str]:
        return {"title": f"{title} {no}", "after": f"T-{no % 7 + 1}"}

    bench = VaultBench(tmp_path, lambda point, path: None, exchange)
    for title in ("One", "Two"):
        pushes = (bench.push("task", no, **fields(no, title)) for no in range(1, 31))
        assert all(isinstance(outcome, Done) for outcome in await asyncio.gather(*pushes))
    await bench.restart()
    before = bench.files()
    for no in range(1, 31):
        assert await bench.push("task", no, **fields(no, "Two")) == Done(bench.receipts[f"T-{no}"])
        assert f"|Two {no % 7 + 1}]]" in bench.note("task", no).read_text("utf-8")
    assert bench.files() == before and len(before) == 32
    assert bench.notes == []
