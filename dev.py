#!/usr/bin/env python3
"""Sets up a clone of Homarus and runs it. Needs Python 3.11 and the standard library only.

    python3 dev.py demo [PATH] [--chaos]    a small company works on the files of PATH
    python3 dev.py test [pytest options]    the tests
    python3 dev.py lint | types | tiers     one check (a nox session)
    python3 dev.py setup                    everything for development, then nothing
    python3 dev.py system                   as root on Debian: the programs some tests need

The first run of each makes or completes `.venv` from `requirements/*.lock` and needs the network;
later runs install nothing until a lock file or pyproject.toml changes.

This file is written so that Python 3.6 can parse it: an old Python must get as far as the
sentence that says which one to use. So no syntax newer than 3.6 here.
"""

import glob
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
STATE = os.path.join(VENV, "homarus-dev.json")
LOCKS = {
    "core": ("requirements/core.lock", "requirements/build.lock"),
    "test": ("requirements/test.lock",),  # holds core and build too, at the same versions
}
NOX_SESSIONS = ("lint", "types", "tiers")
PIP_LINES_SHOWN = 15

# Programs outside Python: our name for each -> Debian package, what goes untested without it.
SYSTEM_TOOLS = {
    "bubblewrap": ("bubblewrap", "the sandbox"),
    "postgresql": ("postgresql", "the PostgreSQL engine"),
    "chromium": ("chromium", "the dashboard in a browser"),
    "nodejs": ("nodejs", "the launchers that clients download"),
    "systemd-analyze": ("systemd", "the unit of the service, read by systemd"),
    "npm": ("npm", "the wires to models, against a stub by others"),
}


class SetupError(Exception):
    """What went wrong and what to do about it, for a person."""


def say(line):
    print("dev: " + line, flush=True)


# --- Python ---------------------------------------------------------------------------------


def found_python():
    return "{}.{}.{} at {}".format(*sys.version_info[:3], sys.executable)


def check_python():
    if sys.version_info >= NEEDED:
        return
    command = " ".join(sys.argv[1:]) or "demo"
    newer = newer_python()
    if newer:
        remedy = "Run: {} dev.py {}".format(newer, command)
    else:
        remedy = (
            "Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv; "
            "macOS: brew install python@3.12; others: python.org), "
            "then run: python3.12 dev.py {}".format(command)
        )
    raise SetupError(
        "Python {}.{} or newer is needed; found {}.\n{}".format(
            NEEDED[0], NEEDED[1], found_python(), remedy
        )
    )


def newer_python():
    """Name of a Python on PATH that is new enough and starts, or None."""
    for minor in range(14, NEEDED[1] - 1, -1):
        name = "python3.{}".format(minor)
        if shutil.which(name) and quiet([name, "-c", "import ensurepip, venv"]) == 0:
            return name
    return None


def quiet(argv):
    try:
        return subprocess.call(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return 127


# --- the virtual environment ----------------------------------------------------------------


def venv_program(name):
    folder = "Scripts" if os.name == "nt" else "bin"
    return os.path.join(VENV, folder, name + (".exe" if os.name == "nt" else ""))


def read_state():
    try:
        with open(STATE, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def write_state(state):
    with open(STATE + ".new", "w", encoding="utf-8") as file:
        json.dump(state, file, indent=1)
    os.replace(STATE + ".new", STATE)


def digest(*names):
    total = hashlib.sha256()
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            total.update(file.read())
    return total.hexdigest()


def ensure_venv():
    """Makes .venv unless there is one that starts, has pip and was made at this place."""
    usable = (
        quiet(
            [
                venv_program("python"),
                "-c",
                "import pip, sys; sys.exit(%s > sys.version_info)" % (NEEDED,),
            ]
        )
        == 0
    )
    if usable and read_state().get("root", ROOT) == ROOT:
        return
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            "This Python ({}) cannot make a virtual environment: module {} is missing.\n"
            "Debian, Ubuntu: apt-get install python3-venv (or python3.{}-venv), "
            "then run the same command again.".format(
                found_python(), " and ".join(missing), sys.version_info[1]
            )
        )
    say(
        ("replacing" if os.path.exists(VENV) else "making") + " .venv with Python " + found_python()
    )
    run_quietly(
        [sys.executable, "-m", "venv", "--clear", VENV],
        "Could not make {}. On Debian and Ubuntu: apt-get install python3-venv".format(VENV),
    )


def run_quietly(argv, remedy):
    """Runs `argv` without showing its output; its last lines are in the error if it fails."""
    done = subprocess.run(
        argv, cwd=ROOT, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").splitlines()[-PIP_LINES_SHOWN:]
        raise SetupError("\n".join(["    " + line for line in lines] + [remedy]))


def child_environment():
    environment = dict(os.environ)
    home = environment.get("HOME", "")
    if os.name != "nt" and not (home and os.path.isdir(home) and os.access(home, os.W_OK)):
        environment["PIP_NO_CACHE_DIR"] = "1"
    return environment


def ensure(group):
    """Brings .venv up to `group` ("core" or "test"); installs only what changed."""
    ensure_venv()
    state = read_state()
    state["root"] = ROOT
    wanted = digest(*LOCKS[group])
    if state.get(group) != wanted:
        state.pop("core", None)
        state.pop("test", None)
        install_locks(group)
        state[group] = wanted
        if group == "test":
            state["core"] = digest(*LOCKS["core"])
        write_state(state)
    package = digest("pyproject.toml", "src/homarus/__init__.py")
    if state.get("package") != package:
        pip(
            ["--no-deps", "--no-build-isolation", "--editable", "."],
            "The package itself did not install; see the lines above.",
        )
        state["package"] = package
        write_state(state)


def install_locks(group):
    began = time.time()
    say(
        "installing {} (the first time this takes a minute or two)".format(
            " and ".join(LOCKS[group])
        )
    )
    arguments = ["--require-hashes"]
    for lock in LOCKS[group]:
        arguments += ["--requirement", lock]
    pip(
        arguments,
        "pip failed. This step needs a network that reaches your Python package index; "
        "what was fetched stays, so run the same command again.",
    )
    say("installed in {:.0f} s".format(time.time() - began))


def pip(arguments, remedy):
    argv = [venv_program("python"), "-m", "pip", "install", "--quiet", "--no-input"]
    run_quietly(argv + ["--disable-pip-version-check"] + arguments, remedy)


# --- programs outside Python ----------------------------------------------------------------


def find_tool(name):
    """Path of the program behind `name` (for postgresql: its folder of programs), or None."""
    if name == "postgresql":
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version_key, reverse=True)
        on_path = shutil.which("pg_ctl")
        if on_path:
            folders.append(os.path.dirname(os.path.realpath(on_path)))
        for folder in folders:
            if os.path.exists(os.path.join(folder, "initdb")):
                return folder
        return None
    names = {
        "bubblewrap": ("bwrap",),
        "systemd-analyze": ("systemd-analyze",),
        "chromium": ("chromium", "chromium-browser"),
        "nodejs": ("node", "nodejs"),
        "npm": ("npm",),
    }[name]
    for program in names:
        if shutil.which(program):
            return shutil.which(program)
    return None


def version_key(folder):
    major = os.path.basename(os.path.dirname(folder))
    return int(major) if major.isdigit() else 0


def missing_tools():
    return [name for name in SYSTEM_TOOLS if find_tool(name) is None]


def install_system_tools():
    packages = [SYSTEM_TOOLS[name][0] for name in missing_tools()]
    if importlib.util.find_spec("ensurepip") is None:
        packages.append("python3-venv")
    if not packages:
        return
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not (is_root and shutil.which("apt-get")):
        raise SetupError(
            "Missing: {}. This needs root and apt-get; elsewhere install them with "
            "your system's package tool.".format(", ".join(packages))
        )
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.check_call(["apt-get", "update", "-qq"], env=environment)
    apt_install([name for name in packages if name != "npm"], environment)
    if "npm" in packages and find_tool("npm") is None:  # some builds of nodejs bring it along
        apt_install(["npm"], environment)


def apt_install(packages, environment):
    if not packages:
        return
    say("apt-get install " + " ".join(packages))
    subprocess.check_call(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends"] + packages,
        env=environment,
        stdout=subprocess.DEVNULL,
    )


def note_missing(names, consequence):
    for name in names:
        package, loss = SYSTEM_TOOLS[name]
        say(
            "note: no {} here ({}): {}. To have it: apt-get install {}".format(
                name, loss, consequence, package
            )
        )


# --- commands -------------------------------------------------------------------------------


def become(program, arguments):
    """Hands the terminal and the exit code to the program."""
    argv = [program] + list(arguments)
    sys.stdout.flush()
    if os.name == "nt":
        sys.exit(subprocess.call(argv))
    os.execve(program, argv, child_environment())


def demo(arguments):
    ensure("core")
    if find_tool("bubblewrap") is None:
        note_missing(["bubblewrap"], "the demo still runs and says `sandbox: none`")
    become(venv_program("homarus"), ["demo"] + arguments)


def test(arguments):
    # Tests start the program some hundred times: it is compiled once.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if os.environ.get("HOMARUS_REQUIRE_SYSTEM") == "1":
        install_system_tools()
    ensure("test")
    note_missing(missing_tools(), "those cases skip")
    os.chdir(ROOT)
    become(venv_program("python"), ["-m", "pytest"] + arguments)


def session(name, arguments):
    ensure("test")
    os.chdir(ROOT)
    become(venv_program("python"), ["-m", "nox", "-s", name, "--"] + arguments)


def main(argv):
    command, arguments = (argv[0] if argv else "help"), argv[1:]
    try:
        check_python()
        if command == "demo":
            demo(arguments)
        elif command == "test":
            test(arguments)
        elif command in NOX_SESSIONS:
            session(command, arguments)
        elif command == "setup":
            ensure("test")
            say("ready. Try: .venv/bin/nox --list")
        elif command == "system":
            install_system_tools()
        else:
            print(__doc__.split("\n\n")[1])
            return 0 if command in ("help", "-h", "--help") else 2
    except SetupError as error:
        print("dev: " + str(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
