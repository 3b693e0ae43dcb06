"""What the daemon last wrote into a main space: one small file per company in `run/`.

It is about this machine's disk, so it is no row. Lost, it is found again: files that equal a kept
version are ours.
"""

from pathlib import Path
from typing import Final

import msgspec

from homarus.base import private
from homarus.mainspace.rules import Written

MAX_BYTES: Final = 8_388_608


class State(msgspec.Struct):
    """`written` and `committed` by path; `clean_ms` when all was last found as it should be."""

    written: dict[str, Written] = {}
    committed: dict[str, int] = {}
    clean_ms: int = 0


_decode = msgspec.json.Decoder(State).decode


def path_of(run_folder: Path, slug: str) -> Path:
    return run_folder / f"mainspace-{slug}.json"


def load(path: Path) -> State:
    """An empty one where there is none, or none that can be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return State()
        return _decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return State()


def save(path: Path, state: State) -> None:
    private.write(path, msgspec.json.encode(state).decode())
