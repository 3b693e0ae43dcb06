"""What a command imports: nothing before it is needed."""

import subprocess
import sys

import pytest

HEAVY = ("msgspec", "apsw", "structlog", "rich", "httpx2", "cryptography", "starlette", "uvicorn",
         "jinja2", "psutil", "yaml")  # fmt: skip

SCRIPT = """
import sys
sys.argv = ["homarus", *{arguments!r}]
try:
    from homarus.cli.main import main
    main()
finally:
    sys.stderr.write("|".join(name for name in {names!r} if name in sys.modules))
"""


def loaded(arguments: list[str], names: tuple[str, ...]) -> tuple[str, set[str]]:
    """What it printed, and which of `names` it imported."""
    script = SCRIPT.format(arguments=arguments, names=names)
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout, set(done.stderr.split("|")) - {""}


def test_the_version_needs_nothing_but_python() -> None:
    from homarus import __version__

    out, modules = loaded(["--version"], (*HEAVY, "click", "json", "pathlib", "homarus.cli.app"))
    assert out == f"homarus {__version__}\n"
    assert modules == set()


@pytest.mark.parametrize("arguments", [["--help"], ["task", "--help"], ["completion", "bash"]])
def test_help_needs_no_more_than_click(arguments: list[str]) -> None:
    _, modules = loaded(arguments, (*HEAVY, "http.client", "ssl"))
    assert modules == set()


def test_a_group_is_loaded_when_it_is_used() -> None:
    _, modules = loaded(["token", "--help"], ("homarus.cli.token", "homarus.cli.task"))
    assert modules == {"homarus.cli.token"}
