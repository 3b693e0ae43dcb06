"""What the file system refuses: of one note, of the whole vault, of what is remembered of it."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.outbox.port import Later
from homarus.outbox.vault.swap import Disk
from homarus.testing.vaults import VaultBench


@pytest.fixture
def bench(tmp_path: Path) -> VaultBench:
    return VaultBench(tmp_path)


class Refusing(Disk):
    """Reading a file of this name is refused."""

    name = ""
    code = 0

    def read(self, path: Path) -> bytes | None:
        if path.name == self.name:
            raise OSError(self.code, os.strerror(self.code), str(path))
        return super().read(path)


@pytest.mark.parametrize(
    "code, alone",
    [(errno.EACCES, True), (errno.EPERM, True), (errno.EIO, False), (errno.ENOSPC, False),
     (errno.EROFS, False)],
)  # fmt: skip
async def test_a_note_that_is_refused_waits_alone(tmp_path: Path, code: int, alone: bool) -> None:
    disk = Refusing()
    bench = VaultBench(tmp_path, disk=disk)
    await bench.push("task", 1, title="One")
    await bench.push("task", 2, title="Two")
    disk.name, disk.code = bench.note("task", 1).name, code
    said = Later(f"{os.strerror(code)}: {bench.note('task', 1)}", 30.0, alone=alone)
    assert await bench.push("task", 1, title="One more") == said
    change: Any = bench.change("task", 1, title="One")
    assert await bench.mirror.lookup(change) == said
    disk.name = ""


async def test_a_folder_that_went_bad_is_the_whole_vaults_matter(bench: VaultBench) -> None:
    await bench.push("task", 1, title="One")
    folder = bench.note("task", 1).parent
    bench.note("task", 1).unlink()
    folder.rmdir()
    folder.write_text("no folder")
    outcome = await bench.push("task", 1, title="One")
    assert isinstance(outcome, Later) and not outcome.alone
    assert "Tasks is no folder" in outcome.why


@pytest.mark.parametrize("what", ["not to be read", "torn and not to be mended"])
async def test_a_memory_that_cannot_be_used_is_said(bench: VaultBench, what: str) -> None:
    bench.manifest.parent.mkdir(parents=True)
    if what == "not to be read":
        bench.manifest.mkdir()
    else:
        bench.manifest.write_bytes(b'{"torn')
        bench.manifest.with_suffix(".new").mkdir()
    with pytest.raises(HomarusError) as refused:
        bench.open()
    assert (refused.value.code, str(bench.manifest) in refused.value.message) == (
        "mirror.memory", True,
    )  # fmt: skip
