"""The daemon killed in the middle of writing a note: the old or the new, and no text lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from homarus.outbox.port import Done
from homarus.outbox.vault import note
from homarus.testing.vaults import VaultBench

CHILD_S = 60

pytestmark = pytest.mark.crash


def life(folder: Path, title: str, point: str = "") -> None:
    """A process that pushes the task with a title, killed at a point."""
    child = subprocess.run(
        [sys.executable, "-m", "homarus.testing.vaults", str(folder), title],
        env=os.environ | {"HOMARUS_FAILPOINT": point}, capture_output=True, timeout=CHILD_S,
        check=False,
    )  # fmt: skip
    assert child.returncode == (-signal.SIGKILL if point else 0), child.stderr[-2000:]


@pytest.mark.parametrize(
    ("point", "between"),
    [
        ("vault.staged", "nothing"),
        ("vault.staged", "an edit"),
        ("vault.swapped", "nothing"),
        ("vault.swapped", "an edit"),
        ("vault.swapped", "a lost manifest"),
        ("vault.dropping", "nothing"),
    ],
)
async def test_killed_while_writing(tmp_path: Path, point: str, between: str) -> None:
    bench = VaultBench(tmp_path)
    await bench.push("task", 1, title="One", description="About One.")
    path = bench.note("task", 1)
    bench.edit(path, "homarus:end %%\n", "homarus:end %%\nmine\n")
    old = path.read_text("utf-8")
    life(tmp_path, "Two", point)
    left = path.read_text("utf-8")
    assert left.endswith("mine\n")
    assert left == old or ("# Two\n" in left and not note.standing(note.parse(left)).touched)
    if between == "an edit":
        bench.edit(path, "mine\n", "mine\nmore\n")
    if between == "a lost manifest":
        bench.manifest.unlink()
    bench.open()
    outcome = await bench.push("task", 1, title="Two", description="About Two.")
    assert isinstance(outcome, Done)
    after = path.read_text("utf-8")
    assert "# Two\n" in after
    assert after.endswith("mine\nmore\n" if between == "an edit" else "mine\n")
    names = [name.rpartition("/")[2] for name in bench.files()]
    assert not any(name.startswith(".") or "conflict" in name for name in names)


async def test_killed_after_a_swap_took_out_what_a_person_had_just_saved(tmp_path: Path) -> None:
    """His text is in no note but in the file that the swap left: the next life keeps it."""
    bench = VaultBench(tmp_path)
    await bench.push("task", 1, title="One", description="About One.")
    path = bench.note("task", 1)
    life(tmp_path, "Two", "vault.swapped")
    [stray] = path.parent.glob(".homarus-*.tmp")
    bench.edit(stray, "homarus:end %%\n", "homarus:end %%\nsaved in between\n")
    bench.open()
    await bench.push("task", 1, title="Two", description="About Two.")
    kept = [name for name, content in bench.files().items() if b"saved in between" in content]
    assert len(kept) == 1 and "homarus conflict" in kept[0]
    assert kept[0].rpartition("/")[2] in bench.notes[-1]
    assert not list(path.parent.glob(".homarus-*"))
