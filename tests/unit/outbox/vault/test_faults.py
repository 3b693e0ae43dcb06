"""What the file system refuses: of one note, of the whole vault, of what is remembered of it."""

from pathlib import Path

import pytest

from homarus.base.errors import HomarusError
from homarus.testing.vaults import VaultBench


@pytest.fixture
def bench(tmp_path: Path) -> VaultBench:
    return VaultBench(tmp_path)


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
