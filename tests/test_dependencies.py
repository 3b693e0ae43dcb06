"""The core imports core distributions only; an extra is met in its adapter or in a function."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.tiers import ROOT_PACKAGE, imports, modules

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# Modules that may import their extra at the top, because others import *them* inside functions.
ADAPTERS = {
    "homarus.store.postgres": "postgres",
    "homarus.mcp.server": "mcp",
    "homarus.mcp.stdio": "mcp",
    "homarus.agents.library": "agent",
}
# Budget of the core install (docs/adr and pyproject: a small core), platform markers counted in.
CORE_DISTRIBUTIONS_MAX = 38


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]) for line in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


CORE = names(PROJECT["dependencies"])
EXTRAS = {name: names(lines) for name, lines in PROJECT["optional-dependencies"].items()}
# psycopg[binary,pool] brings the pool as a distribution of its own.
EXTRAS["postgres"] |= {"psycopg-pool", "psycopg-binary"}
# pydantic-ai-slim[openai,anthropic] brings the clients of the dialects.
EXTRAS["agent"] |= {"openai", "anthropic"}
# mcp brings its types, and the streams of its sessions, as distributions of their own.
EXTRAS["mcp"] |= {"mcp-types", "anyio"}


def distribution_of(module: str) -> set[str]:
    top = module.split(".")[0]
    return {normal(name) for name in installed().get(top, [top])}


@cache
def installed() -> Mapping[str, list[str]]:
    return packages_distributions()


def adapter_of(module: str) -> str | None:
    for adapter in ADAPTERS:
        if module == adapter or module.startswith(adapter + "."):
            return adapter
    return None


def violations(source: Path) -> list[str]:
    """One line per import of a distribution that the importing place may not count on."""
    found = []
    any_extra = set().union(*EXTRAS.values())
    for module, path in modules(source):
        own_adapter = adapter_of(module)
        for item in imports(path, module):
            where = f"{path.relative_to(source)}:{item.line}"
            top = item.module.split(".")[0]
            if top == ROOT_PACKAGE:
                adapter = adapter_of(item.module)
                lazy = item.in_function or item.for_types
                if adapter and adapter != own_adapter and not lazy:
                    found.append(f"{where}: import {adapter} inside the function that needs it")
            elif top not in sys.stdlib_module_names:
                allowed = set(CORE)
                if own_adapter:
                    allowed |= EXTRAS[ADAPTERS[own_adapter]]
                if item.in_function or item.for_types:
                    allowed |= any_extra
                if not distribution_of(item.module) & allowed:
                    found.append(f"{where}: {top} is no core dependency")
    return found


def test_source_imports_what_it_declares() -> None:
    assert violations(SOURCE) == []


def test_core_is_small() -> None:
    lock = (ROOT / "requirements" / "core.lock").read_text("utf-8")
    pinned = [line for line in lock.splitlines() if re.match(r"[a-z0-9].*==", line)]
    assert 0 < len(pinned) <= CORE_DISTRIBUTIONS_MAX


STARTED = """
import asyncio, sys
from pathlib import Path
from homarus.testing.daemon import running

async def main():
    async with running(Path(sys.argv[1])) as daemon:
        assert (await daemon.owner.get("/api/v1/models")).status_code == 200

asyncio.run(main())
print("|".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_a_daemon_that_nobody_uses_loads_no_extra(tmp_path: Path) -> None:
    """Neither the model library and what it brings, nor the engine and server of other extras."""
    argv = [sys.executable, "-c", STARTED, str(tmp_path / "home")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.splitlines()[-1].split("|"))
    extras = {"pydantic", "pydantic_ai", "openai", "anthropic", "psycopg", "psycopg_pool", "mcp"}
    assert "homarus" in loaded
    assert loaded & extras == set()


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"]])
def test_every_dependency_has_a_floor(requirement: str) -> None:
    assert ">=" in requirement


@pytest.mark.parametrize(
    ("path", "code", "expected"),
    [
        ("base/a.py", "import json, msgspec", None),
        ("base/a.py", "import yaml", None),
        ("base/a.py", "import anyio", "anyio is no core dependency"),
        ("base/a.py", "import hypothesis", "hypothesis is no core dependency"),
        ("base/a.py", "import no_such_thing", "no_such_thing is no core dependency"),
        ("base/a.py", "import psycopg", "psycopg is no core dependency"),
        ("base/a.py", "def f():\n    import psycopg", None),
        ("base/a.py", "def f():\n    import hypothesis", "hypothesis is no core dependency"),
        ("store/postgres/engine.py", "import psycopg\nimport psycopg_pool", None),
        ("store/postgres/engine.py", "from homarus.store.postgres import sql", None),
        ("store/open.py", "def f():\n    from homarus.store.postgres import engine", None),
        ("store/open.py", "from homarus.store.postgres import engine", "inside the function"),
        ("agents/library/line.py", "import pydantic_ai\nfrom openai import AsyncOpenAI", None),
        ("agents/wires.py", "import pydantic_ai", "pydantic_ai is no core dependency"),
        ("agents/wires.py", "from homarus.agents.library import line", "inside the function"),
    ],
)
def test_the_walk(tmp_path: Path, path: str, code: str, expected: str | None) -> None:
    file = tmp_path / ROOT_PACKAGE / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code, "utf-8")
    found = violations(tmp_path)
    if expected is None:
        assert found == []
    else:
        [line] = found
        assert line.startswith(f"homarus/{path}:") and expected in line
