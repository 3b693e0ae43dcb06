"""Could an agent's sandbox have written into a main space? Then a foreign edit is an emergency."""

import os
from pathlib import Path
from typing import Final

MAX_AGENTS: Final = 10_000


def of(home: Path, root: Path) -> bool:
    """Whether an agent's workspace, which its sandbox sees read-write, contains the main space or
    lies in it: a link that leads there counts."""
    real = Path(os.path.realpath(root))
    try:
        folders = sorted(os.scandir(home / "agents"), key=lambda e: e.name)[:MAX_AGENTS]
    except FileNotFoundError:
        return False
    for entry in folders:
        workspace = Path(os.path.realpath(Path(entry.path) / "workspace"))
        if real.is_relative_to(workspace) or workspace.is_relative_to(real):
            return True
    return False
