"""Git activity against git itself; and directories that are no repository, or a hostile one."""

import os
import subprocess
from pathlib import Path

import pytest

from homarus.demo.jobs import git_activity
from tests.unit.demo.conftest import write


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, at: str = "", author: str = "Ann") -> str:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": author,
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": author,
            "GIT_COMMITTER_EMAIL": "a@example.org",
            **({"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at} if at else {}),
        }
        argv = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout

    def commit(self, at: str, author: str, **files: str) -> None:
        for name, content in files.items():
            write(self.root, name, content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x\n\nTODO", at=at, author=author)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.commit("2026-01-01T12:00:00Z", "Ann", one="1", two="1")
    made.commit("2026-01-05T12:00:00Z", "Bea | <b>", one="2")
    made.commit("2026-01-06T23:30:00-0200", "Ann", one="3")
    made.commit("2026-01-06T12:00:00Z", "Ann")
    odd = {os.fsdecode(b"line\nbreak"): "1", os.fsdecode(b"\xff"): "1"}
    made.commit("2026-02-01T12:00:00Z", "Ünï", **odd)
    return made


def test_against_git(repository: Repository) -> None:
    result = git_activity.work(repository.root)
    shortlog = repository.git("shortlog", "-sn", "HEAD").strip().splitlines()
    counted = {line.split("\t")[1]: int(line.split("\t")[0]) for line in shortlog}
    assert {row["author"]: row["commits"] for row in result.rows} == counted
    commits = int(repository.git("rev-list", "--count", "HEAD"))
    assert result.totals == {"commits": commits, "authors": 3, "files_changed": 4}
    assert sum(week["commits"] for week in result.more["weeks"]) == commits


def test_weeks_files_and_dates(repository: Repository) -> None:
    result = git_activity.work(repository.root)
    assert result.more["weeks"] == [
        {"week": "2026-W01", "commits": 1},
        {"week": "2026-W02", "commits": 3},
        {"week": "2026-W05", "commits": 1},
    ]
    assert result.more["files"] == [
        {"path": "one", "commits": 3},
        {"path": "line\nbreak", "commits": 1},
        {"path": "two", "commits": 1},
        {"path": "\\xff", "commits": 1},
    ]
    ann = result.rows[0]
    assert (ann["author"], ann["first"], ann["last"]) == ("Ann", "2026-01-01", "2026-01-07")


def test_no_repository(tmp_path: Path) -> None:
    result = git_activity.work(tmp_path)
    assert result.summary.startswith("no git repository here")
    assert result.more["repository"] is False


def test_a_repository_around_the_directory_is_not_asked(repository: Repository) -> None:
    inner = repository.root / "inner"
    inner.mkdir()
    assert git_activity.work(inner).more["repository"] is False


def test_a_repository_without_commits(tmp_path: Path) -> None:
    result = git_activity.work(Repository(tmp_path).root)
    assert (result.more["repository"], list(result.rows)) == (True, [])


def test_a_broken_repository(repository: Repository) -> None:
    for each in (repository.root / ".git" / "objects").iterdir():
        if len(each.name) == 2:
            for file in each.iterdir():
                file.chmod(0o600)
                file.write_bytes(b"")
    result = git_activity.work(repository.root)
    assert list(result.rows) == []
    assert result.summary


def test_a_hostile_repository_runs_nothing(repository: Repository, tmp_path: Path) -> None:
    mark = tmp_path / "run-by-git"
    script = write(tmp_path, "evil", f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    for setting in (
        "core.fsmonitor",
        "core.pager",
        "pager.log",
        "diff.external",
        "gpg.program",
        "core.sshCommand",
        "core.editor",
        "diff.evil.textconv",
        "diff.evil.command",
    ):
        repository.git("config", setting, str(script))
    repository.git("config", "log.showSignature", "true")
    repository.git("config", "core.hooksPath", str(tmp_path))
    write(repository.root, ".gitattributes", "* diff=evil\n")
    assert git_activity.work(repository.root).totals["commits"] == 5
    assert not mark.exists()


def test_another_owner_is_no_obstacle(repository: Repository) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for at in (repository.root, repository.root / ".git"):
        os.chown(at, 12345, 12345)
    assert git_activity.work(repository.root).totals["commits"] == 5


@pytest.mark.parametrize("text", ["99999999999999999", "-99999999999999", "x", ""])
def test_a_time_that_no_calendar_has(text: str) -> None:
    assert git_activity._time(text).year == 1970
