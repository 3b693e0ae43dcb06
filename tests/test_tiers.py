"""Imports go down the tiers (ARCHITECTURE.md), and the walk that checks it finds what it must."""

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.tiers import DOMAIN_TIER, SAME_TIER, TIER, violations

SOURCE = Path(__file__).parents[1] / "src"


def test_source_keeps_to_the_tiers() -> None:
    assert violations(SOURCE) == []


def test_exceptions_stay_within_a_tier_without_cycle_and_outside_the_domains() -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported in SAME_TIER:
        assert TIER[importer] == TIER[imported] != DOMAIN_TIER
        graph.setdefault(importer, set()).add(imported)
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("path", "code", "expected"),
    [
        ("tasks/rules.py", "from homarus.base import ids", None),
        ("tasks/rules.py", "from .model import Task", None),
        ("tasks/rules.py", "from homarus import __version__", None),
        ("tasks/rules.py", "import json", None),
        ("kernel/admit.py", "from homarus.store.port import Tx", None),
        ("app.py", "from homarus.store.sqlite import engine", None),
        ("cli/main.py", "from homarus.client import api", None),
        ("tasks/rules.py", "from homarus.company import model", "own tier 3"),
        ("tasks/rules.py", "from ..company import model", "own tier 3"),
        ("tasks/rules.py", "from homarus import company", "own tier 3"),
        ("tasks/rules.py", "from homarus.flows.claim import claim", "imports go down"),
        ("store/port.py", "from homarus.kernel.admit import admit", "imports go down"),
        ("store/port.py", "def f():\n    import homarus.kernel", "imports go down"),
        (
            "store/port.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from homarus import kernel",
            "imports go down",
        ),
        (
            "store/port.py",
            "import importlib\nimportlib.import_module('homarus.kernel')",
            "imports go down",
        ),
        ("base/ids.py", "from homarus.config import settings", "own tier 0"),
        ("flows/claim.py", "from homarus.store.sqlite import engine", "use the port"),
        ("client/api.py", "from homarus.tasks import model", "may import only ['base']"),
        ("helpers/x.py", "import json", "has no tier"),
        ("tasks/rules.py", "from homarus.helpers import x", "no known package"),
        ("__init__.py", "from homarus.base import ids", "holds the version only"),
    ],
)
def test_the_walk(tmp_path: Path, path: str, code: str, expected: str | None) -> None:
    file = tmp_path / "homarus" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code, "utf-8")
    found = violations(tmp_path)
    if expected is None:
        assert found == []
    else:
        [line] = found
        assert line.startswith(f"homarus/{path}:{1 + code.count(chr(10))}: ") and expected in line
