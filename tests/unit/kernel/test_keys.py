"""The home's master key: made once, whole, for its owner only."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from homarus.base.errors import Unavailable
from homarus.kernel.keys import MASTER_BYTES, MasterKey

ABOUT = b"test"


def test_the_first_start_makes_it_and_the_next_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "master.key"
    sealed = MasterKey.from_file(path).seal(b"clear", ABOUT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]
    assert MasterKey.from_file(path).unseal(sealed, ABOUT) == b"clear"


def test_processes_that_start_at_once_agree_on_one(tmp_path: Path) -> None:
    path = tmp_path / "run" / "master.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: MasterKey.from_file(path), range(8)))
    sealed = MasterKey.from_file(path).seal(b"clear", ABOUT)
    assert [key.unseal(sealed, ABOUT) for key in keys] == [b"clear"] * 8


@pytest.mark.parametrize("text", ["", "00", "xyz", "00" * (MASTER_BYTES + 1), "\x00\xff"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(Unavailable) as caught:
        MasterKey.from_file(path)
    assert caught.value.code == "keys.master"
    assert path.read_text(encoding="latin-1") == text


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(Unavailable) as caught:
        MasterKey.from_file(tmp_path / "run" / "master.key")
    assert caught.value.code == "keys.unreadable"


def test_a_secret_sealed_for_one_use_opens_for_no_other() -> None:
    key = MasterKey(b"k" * MASTER_BYTES)
    sealed = key.seal(b"clear", b"company-key:1")
    with pytest.raises(Unavailable) as caught:
        key.unseal(sealed, b"company-key:2")
    assert caught.value.code == "keys.unseal"
