"""The five minutes of docs/how-to/connect-a-runtime.md, as a reader does them."""

import os
import subprocess
import sys
from pathlib import Path

from docs.generate import ROOT
from homarus.demo.children import environment
from tests.support.commands import Running, running

__all__ = ["running"]

PAGE = ROOT / "docs" / "how-to" / "connect-a-runtime.md"


def blocks() -> list[str]:
    """The indented blocks of the section."""
    section = PAGE.read_text("utf-8").split("## Five minutes", 1)[1].split("\n## ", 1)[0]
    found: list[list[str]] = [[]]
    for line in section.splitlines():
        if line.startswith("    "):
            found[-1].append(line[4:])
        elif found[-1]:
            found.append([])
    return ["\n".join(lines) + "\n" for lines in found if lines]


def test_five_minutes(running: Running, tmp_path: Path) -> None:
    program, commands = blocks()
    (tmp_path / "count.py").write_text(program)
    env = environment() | {
        "HOMARUS_HOME": str(running.home),
        "EMPEROR_CLAW_COMPANION_DIR": str(tmp_path / "companion"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=tmp_path, env=env, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"letters": 15' in done.stdout
    assert "done" in done.stdout.rpartition("state")[2].splitlines()[0]
    assert (tmp_path / "companion" / "state" / "bridge-state.json").exists()
