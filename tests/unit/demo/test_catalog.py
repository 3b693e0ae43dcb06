"""The catalog, and all of its work for real: each job by its template, in the sandbox."""

import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from homarus.backends.layers import SandboxLayers, probe
from homarus.backends.local import CommandResult, SandboxedCommand, interpreter, run_command
from homarus.demo.catalog import JOBS, REPORT, Job
from homarus.demo.jobs.report import SECTIONS
from homarus.kernel.argv import Template
from tests.support.requires import requires

ROLES = {"coo", "pm", "scoder", "marketer"}


def test_the_order_is_one_in_which_the_work_can_be_done() -> None:
    done: set[str] = set()
    for job in JOBS:
        assert set(job.depends_on) <= done, job.name
        done.add(job.name)
    TopologicalSorter({job.name: job.depends_on for job in JOBS}).prepare()


def test_the_report_comes_after_all_others() -> None:
    *others, last = JOBS
    assert last.name == REPORT
    assert set(last.depends_on) == {job.name for job in others} == {at.job for at in SECTIONS}


def test_the_catalog_is_enough_for_a_company() -> None:
    assert len(JOBS) >= 10
    assert len({job.name for job in JOBS}) == len({job.out for job in JOBS}) == len(JOBS)
    assert {job.role for job in JOBS} <= ROLES
    assert len({job.role for job in JOBS}) >= 3
    assert all(job.title and job.description for job in JOBS)
    assert sum(bool(job.depends_on) for job in JOBS[:-1]) >= 3


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_templates_are_what_a_capability_takes(job: Job, tmp_path: Path) -> None:
    capability = json.loads(json.dumps([job.argv("/py"), job.slots(tmp_path)]))
    template = Template.parse(*capability)
    assert template.inputs == (tmp_path,)
    assert template.render({})[-4:] == ["--input", str(tmp_path), "--out", f"./{job.out}"]
    assert template.render({"input": "docs"})[-3] == str(tmp_path / "docs")


async def do(
    job: Job, root: Path, workspace: Path, layers: SandboxLayers, trusted: bool
) -> CommandResult:
    template = Template.parse(job.argv(interpreter().python), job.slots(root))
    argv = tuple(template.render({}, workspace))
    command = SandboxedCommand(argv, workspace, inputs=template.inputs)
    return await run_command(command, layers, trusted=trusted)


@pytest.mark.parametrize("sandbox", ["bwrap", "none"])
async def test_all_the_work(tree: Path, tmp_path: Path, sandbox: str) -> None:
    if sandbox == "bwrap":
        requires("bubblewrap")
        layers = probe()
    else:
        layers = SandboxLayers(())
    results = tmp_path / "results"
    results.mkdir()
    for job in JOBS:
        workspace = tmp_path / "workspaces" / job.name
        workspace.mkdir(parents=True)
        root = results if job.name == REPORT else tree
        result = await do(job, root, workspace, layers, trusted=sandbox == "none")
        assert result.ok, (job.name, result.stderr.decode())
        assert result.sandbox == sandbox
        assert [at.name for at in workspace.iterdir()] == [job.out]
        (workspace / job.out).rename(results / job.out)
    for job in JOBS[:-1]:
        content = json.loads((results / job.out).read_text())
        assert content["job"] == job.name
        assert content["summary"]
    assert "10 of 10 pieces of work gave a result." in (results / "report.md").read_text()


async def test_what_may_not_be_read_is_counted(tree: Path, tmp_path: Path) -> None:
    """In the sandbox even root has no right to what is closed."""
    requires("bubblewrap")
    (tree / "docs" / "guide.rst").chmod(0)
    (tree / "src").chmod(0)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    try:
        for name, expected in (("words", 2), ("todos", 2), ("inventory", 1)):
            job = next(job for job in JOBS if job.name == name)
            result = await do(job, tree, workspace, probe(), trusted=False)
            assert result.ok, result.stderr
            content = json.loads((workspace / job.out).read_text())
            assert content["skipped"]["unreadable"] == expected
    finally:
        (tree / "src").chmod(0o755)


def test_the_same_files_give_the_same_result(tree: Path, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        for job in JOBS[:-1]:
            out = tmp_path / f"{job.name}.{seed}"
            argv = [sys.executable, *job.argv("")[1:6], "--input", str(tree), "--out", str(out)]
            env = {**interpreter().env, "PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]}
            subprocess.run(argv, check=True, env=env, capture_output=True)
    for job in JOBS[:-1]:
        first, second = (tmp_path / f"{job.name}.{seed}" for seed in ("1", "2"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--input", "/no/such/directory", "--out", "x"], "is not a directory"),
        (["--out", "x"], "--input"),
        (["--inp", ".", "--out", "x"], "--input"),
    ],
)
@pytest.mark.parametrize("name", ["inventory", "report"])
def test_bad_arguments_end_with_2(
    tmp_path: Path, name: str, arguments: list[str], said: str
) -> None:
    argv = [sys.executable, "-m", f"homarus.demo.jobs.{name}", *arguments]
    done = subprocess.run(
        argv, env=dict(interpreter().env), cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, said in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_the_work_needs_the_standard_library_alone(tmp_path: Path) -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {[job.name for job in JOBS]!r}:\n"
        "    importlib.import_module('homarus.demo.jobs.' + name)\n"
        "own = {at.partition('.')[0] for at in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(at for at in own if not at.startswith('_')))\n"
    )
    done = subprocess.run(
        [interpreter().python, "-S", "-c", code], env=dict(interpreter().env), capture_output=True
    )
    assert (done.stdout.strip(), done.stderr) == (b"['homarus']", b"")
