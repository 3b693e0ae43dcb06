"""What commands leave in the state directory: last-{doctor,sync,repair}.json."""

import json
from pathlib import Path
from typing import Any, Final

from homarus.companion import files

DOCTOR: Final = "last-doctor.json"
SYNC: Final = "last-sync.json"
REPAIR: Final = "last-repair.json"
MAX_BYTES: Final = 4 * 1024 * 1024


def write(state_dir: Path, name: str, report: dict[str, Any]) -> Path:
    """Raises `companion.link`, `companion.directory`."""
    files.folder(state_dir, own=True)
    path = state_dir / name
    files.replace(path, (json.dumps(report, ensure_ascii=False, indent=2) + "\n").encode())
    return path


def read(path: Path) -> dict[str, Any] | None:
    """None: there is none, or it is torn or no object. Raises OSError."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MAX_BYTES))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
