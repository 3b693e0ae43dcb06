"""dev.py on machines that lack something: each time it says what to do."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHILD_TIMEOUT_S = 90


def run_dev(
    folder: Path, *arguments: str, before: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """dev.py of `folder` in a child process, after the Python statements `before`."""
    code = (
        f"import runpy, sys; {before or 'pass'}; sys.argv = {['dev.py', *arguments]!r}; "
        f"runpy.run_path({str(folder / 'dev.py')!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=CHILD_TIMEOUT_S,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with dev.py and what it reads, without a .venv."""
    for name in ("dev.py", "pyproject.toml", "requirements/core.lock", "requirements/build.lock"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path


def test_an_old_python_can_read_it() -> None:
    ast.parse((ROOT / "dev.py").read_text("utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("command", ["demo", "test"])
def test_old_python(clone: Path, command: str) -> None:
    done = run_dev(clone, command, before="sys.version_info = (3, 9, 2, 'final', 0)")
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed; found 3.9.2 at " in done.stderr
    assert f" dev.py {command}" in done.stderr
    assert not (clone / ".venv").exists()


def test_old_python_and_no_newer_one(clone: Path) -> None:
    before = "sys.version_info = (3, 9, 2, 'final', 0)"
    done = run_dev(clone, "demo", before=before, PATH=str(clone))
    assert "Install one" in done.stderr and "python3.12 dev.py demo" in done.stderr


@pytest.mark.parametrize("command", ["demo", "test"])
def test_no_venv_module(clone: Path, command: str) -> None:
    done = run_dev(clone, command, before="sys.modules['ensurepip'] = None")
    assert done.returncode == 2
    assert "ensurepip is missing" in done.stderr and "apt-get install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.slow
def test_no_network_and_no_home(clone: Path) -> None:
    """pip's last lines are shown, then what to do; the environment made so far is kept."""
    done = run_dev(
        clone, "demo", HOME="", PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull
    )
    assert done.returncode == 2
    assert "making .venv" in done.stdout and "No matching distribution" in done.stderr
    assert "needs a network" in done.stderr
    assert (clone / ".venv" / "pyvenv.cfg").exists()


@pytest.mark.parametrize(("command", "code"), [("help", 0), ("nonsense", 2)])
def test_usage(clone: Path, command: str, code: int) -> None:
    done = run_dev(clone, command)
    assert done.returncode == code and "dev.py demo" in done.stdout
