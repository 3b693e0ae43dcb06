"""The repository keeps its own word: commands, links, locks and versions agree with each other."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import dev
import homarus

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TEXT_BYTES_MAX = 2_000_000
# In two pieces, so that this file passes its own test.
INDEX_HOSTS = ("pypi." + "org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        [
            "git",
            "-C",
            str(ROOT),
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][\w.-]*(?:\[[\w,]+\])?)==(\S+)", lock.read_text(), re.M))


def test_readme_names_the_two_commands_that_dev_and_ci_know() -> None:
    usage = subprocess.run([sys.executable, "dev.py"], cwd=ROOT, capture_output=True, text=True)
    known = set(re.findall(r"dev\.py (\w+)", usage.stdout))
    named = re.findall(r"^    python3 dev\.py (\w+)", read("README.md"), re.M)
    assert named == ["demo", "test"] and set(named) <= known
    assert '"$PYTHON" dev.py test' in read(".ci/run").splitlines()[-1]


def test_ci_fails_for_missing_programs_and_is_executable() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "HOMARUS_REQUIRE_SYSTEM=1" in script.read_text()
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_docs_name_nox_sessions_and_dev_commands_that_exist() -> None:
    sessions = set(re.findall(r"@nox\.session\ndef (\w+)", read("noxfile.py")))
    commands = {"demo", "test", "setup", "system", *dev.NOX_SESSIONS}
    for page in PAGES:
        text = page.read_text("utf-8")
        for names in re.findall(r"`nox -s ([\w ]+)", text):
            assert set(names.split()) <= sessions, page
        assert set(re.findall(r"dev\.py (\w+)", text)) <= commands, page


def test_no_file_names_a_package_index_or_this_machine() -> None:
    unwanted = list(INDEX_HOSTS)
    if len(ROOT.parts) > 2:
        unwanted.append(f"{ROOT}/")
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in tracked_files()
        if path.stat().st_size < TEXT_BYTES_MAX
        for word in unwanted
        if word.encode() in path.read_bytes()
    ]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_locks_pin_with_hashes_and_name_no_source(lock: Path) -> None:
    text = lock.read_text("utf-8")
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert entries and all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    assert re.findall(r"^\s*(?:--(?:extra-)?index-url|-i|--find-links|-f)\b|://", text, re.M) == []


def test_locks_agree_and_hold_what_the_project_names() -> None:
    core, build, test = (
        pins(ROOT / "requirements" / f"{n}.lock") for n in ("core", "build", "test")
    )
    assert core.items() <= test.items() and build.items() <= test.items()
    named = {re.split(r"[\[<>=!~; ]", line)[0].lower() for line in PROJECT["dependencies"]}
    assert named <= {name.lower() for name in core}


def test_versions_agree() -> None:
    newest = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.M)
    assert newest is not None
    assert homarus.__version__ == newest[1] == version("homarus")
    needed = ".".join(str(part) for part in dev.NEEDED)
    assert PROJECT["requires-python"] == f">={needed}"
    assert f"Python {needed} or newer" in read("README.md")
