"""The example of docs/how-to/channels.md runs as it stands there."""

import re
from pathlib import Path

import pytest

from tests.support.commands import Terminal

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "channels.md"
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
ASKS = """
    assert homarus("pairing", "list").error == "daemon.not_running"
    told = {"HOMARUS_URL": daemon.url, "HOMARUS_TOKEN": daemon.owner_token}
    listed = homarus("channels", "status", env=told)
    assert listed.code == 0 and "running" in listed.out, listed
"""


def test_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    exec(compile(EXAMPLE, str(PAGE), "exec"), {})
    assert "hello" in capsys.readouterr().out


def test_commands_reach_it_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    exec(compile(EXAMPLE + ASKS, str(PAGE), "exec"), {"homarus": Terminal(tmp_path / "elsewhere")})
