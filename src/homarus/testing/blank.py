"""A blank store for a test: migrated once in a process and copied, not made anew for each.

All migrations cost ten times what a copy does; that they make the store of a first start is for
the tests of the engine, which begin with none.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from homarus.store.sqlite import files

PLACE: Final = "local-ssot/ssot.db"


def lay(home: Path) -> None:
    """Put one in `home`, where there is no store yet."""
    path = home / PLACE
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(0o600)
    path.write_bytes(_blank())


@cache
def _blank() -> bytes:
    with tempfile.TemporaryDirectory(prefix="homarus-blank-") as folder:
        path = Path(folder) / "ssot.db"
        files.create(path)
        return path.read_bytes()
