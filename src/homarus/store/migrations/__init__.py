"""Numbered SQL per dialect, forward only. A file that has been released never changes."""

import hashlib
from importlib import resources
from typing import Final, NamedTuple

from homarus.base.errors import Unavailable

OLDEST_CODE: Final = 1
"""Schema generation of this code. A store that names a higher one is refused (design, 4)."""


class Migration(NamedTuple):
    no: int
    name: str
    sql: str
    sha256: str


def load(dialect: str) -> list[Migration]:
    """All migrations of a dialect (`sqlite`, `postgres`), in order."""
    found = []
    for entry in resources.files(__package__).joinpath(dialect).iterdir():
        if entry.name.endswith(".sql"):
            sql = entry.read_text(encoding="utf-8")
            number, _, name = entry.name.removesuffix(".sql").partition("_")
            sha = hashlib.sha256(sql.encode()).hexdigest()
            found.append(Migration(int(number), name, sql, sha))
    return sorted(found)


def verify(have: dict[int, str], oldest_code: int | None, known: list[Migration]) -> None:
    """Whether this code may open a store that has had the migrations `have` (number → hash).

    Raises `store.newer` or `store.migration_changed`.
    """
    if oldest_code is not None and oldest_code > OLDEST_CODE:
        raise Unavailable(
            "store.newer",
            f"this store was written by a newer Homarus (needs code {oldest_code}, "
            f"this is {OLDEST_CODE})",
            "Install the newer version again. The store was left as it is.",
        )
    for migration in known:
        sha = have.get(migration.no)
        if sha is not None and sha != migration.sha256:
            raise Unavailable(
                "store.migration_changed",
                f"migration {migration.no} of this store differs from the one installed",
                "Install the version that made this store. The store was left as it is.",
            )
