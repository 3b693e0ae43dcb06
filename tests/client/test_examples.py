"""The examples of docs/how-to/python-client.md run as they stand."""

import re
from itertools import count
from typing import Any

import pytest

from docs.generate import ROOT
from tests.support.commands import Running, running

__all__ = ["running"]

PAGE = ROOT / "docs" / "how-to" / "python-client.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
NAMES = count(1)


def token_and_project(running: Running) -> tuple[str, str]:
    """A company of its own: a runtime's token, and a project."""
    slug = f"example-{next(NAMES)}"
    with running.client() as instance:
        instance.post("/companies", {"slug": slug, "name": slug, "template": "studio"})
    with running.client(company=slug) as owner:
        project = owner.post("/projects", {"goal": "Count the boats"})["project"]["id"]
        token = owner.post_once("/tokens", {"kind": "runtime", "name": "script"})["secret"]
    return token, project


def test_the_page_has_its_examples() -> None:
    assert len(BLOCKS) == 5


def test_every_example_runs(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token, project = token_and_project(running)
    monkeypatch.setenv("HOMARUS_URL", running.daemon.ready.url)
    monkeypatch.setenv("HOMARUS_TOKEN", token)
    world: dict[str, Any] = {"PROJECT": project, "__name__": "example"}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), world)
    number, done, refused, same, heard = capsys.readouterr().out.splitlines()
    assert (number, done, same, heard) == ("T-1 inbox", "done", "True", "Any boats?")
    assert refused.startswith("task.illegal_move See ")
    assert isinstance(world["cursor"], int)
