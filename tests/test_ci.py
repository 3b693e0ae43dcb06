"""`.ci/run` over a stand-in for Python: what is run, and which end it comes to."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AGAIN = "--last-failed"

STAND_IN = """#!/bin/sh
echo "$@" >> calls
case "$*" in
    *{again}*) exit "$(cat again)" ;;
    *"test -n"*) mkdir -p .pytest_cache/v/cache; cp failed .pytest_cache/v/cache/lastfailed
        exit "$(cat first)" ;;
    *{broken}*) exit 1 ;;
esac
"""


def run(
    folder: Path, *, first: int = 0, failed: int = 0, again: int = 0, broken: str = "nothing",
    name: str = "tests/test_a.py::test_{}",
):  # fmt: skip
    """Its exit code, and what it asked of `dev.py`."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    stand_in = folder / "python"
    stand_in.write_text(STAND_IN.format(again=AGAIN, broken=broken))
    stand_in.chmod(0o755)
    (folder / "first").write_text(str(first))
    (folder / "again").write_text(str(again))
    names = ",\n".join(f'  "{name.format(n)}": true' for n in range(failed))
    (folder / "failed").write_text(f"{{\n{names}\n}}" if failed else "{}")
    done = subprocess.run(
        [folder / ".ci" / "run"], env={"PYTHON": str(stand_in), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, (folder / "calls").read_text()


@pytest.mark.parametrize(
    ("first", "failed", "again", "ends", "is_run_again"),
    [
        (0, 0, 1, 0, False),
        (1, 1, 0, 0, True),
        (1, 3, 0, 0, True),
        (1, 2, 1, 1, True),
        (1, 4, 0, 1, False),
        (1, 0, 0, 1, False),
        (2, 1, 0, 2, False),
        (3, 1, 0, 3, False),
        (5, 0, 0, 5, False),
    ],
)
def test_what_fails_beside_others_runs_once_more(
    tmp_path: Path, first: int, failed: int, again: int, ends: int, is_run_again: bool
) -> None:
    code, calls = run(tmp_path, first=first, failed=failed, again=again)
    assert (code, calls.count(AGAIN + " ")) == (ends, int(is_run_again))


def test_what_could_not_be_collected_is_not_run_again(tmp_path: Path) -> None:
    code, calls = run(tmp_path, first=1, failed=2, name="gw{}")
    assert (code, calls.count(AGAIN + " ")) == (1, 0)


@pytest.mark.parametrize("broken", ["system", "lint", "types", "tiers", "--collect-only"])
def test_each_check_holds_a_change_up(tmp_path: Path, broken: str) -> None:
    code, calls = run(tmp_path, broken=broken)
    assert code != 0 and "test -n" not in calls
