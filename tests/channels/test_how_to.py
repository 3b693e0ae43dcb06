"""The example of docs/how-to/channels.md runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "channels.md"
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
ASKS = """
    from tests.support.commands import Terminal

    homarus = Terminal(Path(mkdtemp()))
    assert homarus("pairing", "list").error == "daemon.not_running"
    told = {"HOMARUS_URL": daemon.url, "HOMARUS_TOKEN": daemon.owner_token}
    listed = homarus("channels", "status", env=told)
    assert listed.code == 0 and "running" in listed.out, listed
"""
LONGEST_S = 100


def said(program: str, folder: Path) -> str:
    """What a program prints that ends well; its temporary files are in `folder`."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"TMPDIR": str(folder)},
        check=True, capture_output=True, text=True, timeout=LONGEST_S,
    ).stdout  # fmt: skip


def test_the_example(tmp_path: Path) -> None:
    assert "hello" in said(EXAMPLE, tmp_path)


def test_commands_reach_it_by_its_address(tmp_path: Path) -> None:
    assert "hello" in said(EXAMPLE + ASKS, tmp_path)
