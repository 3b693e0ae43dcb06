"""Numbered SQL per dialect, forward only. A file that has been released never changes."""

import hashlib
from importlib import resources
from typing import Final, NamedTuple

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
