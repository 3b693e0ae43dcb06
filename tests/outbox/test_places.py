"""No two mirrors of vaults write into each other: equal places, and places below one another."""

from pathlib import Path
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.flows import mirror_acts
from homarus.outbox.vault import KIND
from homarus.outbox.vault.place import spelling
from homarus.testing.shop import OWNER
from tests.support.mirrored import Mirrored, mirrored


async def add(m: Mirrored, name: str, path: Path) -> None:
    config = {"path": str(path)}
    place, manifest = KIND.check(config, m.ground.home), KIND.manifest
    checked = mirror_acts.Checked(
        manifest.target_type, place.key, place.hosts, place.secrets, manifest.entities, 0,
        place.nests,
    )  # fmt: skip
    new = mirror_acts.NewMirror(name, config, "", checked)
    await m.shop.do("mirror.add", OWNER, mirror_acts.add, new)


@pytest.mark.parametrize(
    "there, asked, taken",
    [
        ("a", "a", True),
        ("a", "a/b", True),
        ("a", "a/b/c", True),
        ("a/b/c", "a", True),
        ("a", "to-a", True),
        ("a", "to-b", True),
        ("to-b", "a", True),
        ("a/b", "a-b", False),
        ("a", "ab", False),
        ("a/b", "a/bc", False),
    ],
)
async def test_vaults_do_not_nest(tmp_path: Path, there: str, asked: str, taken: bool) -> None:
    vaults = tmp_path / "vaults"
    for name in ("a/b/c", "a/bc", "ab", "a-b"):
        (vaults / name).mkdir(parents=True)
    (vaults / "to-a").symlink_to(vaults / "a")
    (vaults / "to-b").symlink_to(vaults / "a/b")
    async with mirrored(tmp_path / "home") as m:
        await add(m, "one", vaults / there)
        if not taken:
            await add(m, "two", vaults / asked)
            return
        with pytest.raises(HomarusError) as refused:
            await add(m, "two", vaults / asked)
        assert refused.value.code == "mirror.place" and "the mirror one" in refused.value.message
        await m.shop.do("mirror.remove", OWNER, _remove, "one")
        await add(m, "two", vaults / asked)


def _remove(tx: Any, name: str) -> None:
    mirror_acts.remove(tx, name, drop="bye")


def _without_case(one: Path, other: Path) -> bool:
    return str(one).casefold() == str(other).casefold()


def _below_users(one: Path, other: Path) -> bool:
    return str(one).startswith("/Users/") and _without_case(one, other)


@pytest.mark.parametrize(
    "path, same, expected",
    [
        ("/Users/Mia/Vault", lambda one, other: False, "/Users/Mia/Vault"),
        ("/Users/Mia/Vault", _without_case, "/users/mia/vault"),
        ("/Users/Mia/VAULT", _without_case, "/users/mia/vault"),
        ("/Users/Mia/Vault", _below_users, "/Users/mia/vault"),
        ("/Users/1/2", _without_case, "/users/1/2"),
        ("/", _without_case, "/"),
    ],
)
def test_one_spelling_where_case_makes_no_difference(path: str, same: Any, expected: str) -> None:
    assert spelling(Path(path), same) == expected


def test_a_file_system_that_tells_cases_apart_keeps_them(tmp_path: Path) -> None:
    for name in ("Vault", "vAULT"):
        (tmp_path / name).mkdir(exist_ok=True)
    one, other = (spelling((tmp_path / name).resolve()) for name in ("Vault", "vAULT"))
    assert (one == other) == (tmp_path / "Vault").samefile(tmp_path / "vAULT")
