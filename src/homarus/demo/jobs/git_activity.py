"""Git activity: who committed how much, in which weeks, and what changed most.

Only DIR itself is asked, never a repository around it. The repository is not trusted: nothing that
its settings name is run, and nothing is fetched.
"""

import os
import subprocess
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import Result, count, main, show

COMMITS_MAX = 20_000
FILES_MAX = 100
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
GIT_WAIT_S = 120

_SAFE = (
    *("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "log.showSignature=false", "-c", "protocol.allow=never", "-c", "log.mailmap=false"),
)


class _NoAnswer(Exception):
    """git is not there, or says no."""


def work(root: Path) -> Result:
    try:
        _git(root, "rev-parse", "--git-dir")
    except _NoAnswer as exc:
        return _nothing(f"no git repository here: {exc}", repository=False)
    try:
        _git(root, "rev-parse", "--verify", "-q", "HEAD")
    except _NoAnswer:
        return _nothing("a git repository without commits", repository=True)
    try:
        commits = _commits(root)
        changes = _changes(root)
    except _NoAnswer as exc:
        return _nothing(f"the git history cannot be read: {exc}", repository=True)
    return _result(commits, changes)


def _result(commits: list[tuple[datetime, str]], changes: Counter[str]) -> Result:
    by_author: dict[str, list[datetime]] = defaultdict(list)
    for at, author in commits:
        by_author[author].append(at)
    rows: list[dict[str, Any]] = [
        {"author": author, "commits": len(times)}
        | {"first": min(times).date().isoformat(), "last": max(times).date().isoformat()}
        for author, times in by_author.items()
    ]
    weeks = Counter(at.strftime("%G-W%V") for at, _ in commits)
    most = sorted(changes.items(), key=lambda at: (-at[1], at[0]))[:FILES_MAX]
    summary = (
        f"{count(len(commits), 'commit')} by {count(len(rows), 'author')} in "
        f"{count(len(weeks), 'week')}; most changed: {show(most[0][0]) if most else 'nothing'}"
    )
    return Result(
        summary,
        sorted(rows, key=lambda row: (-row["commits"], row["author"])),
        {"commits": len(commits), "authors": len(rows), "files_changed": len(changes)},
        more={
            "repository": True,
            "weeks": [{"week": week, "commits": weeks[week]} for week in sorted(weeks)],
            "files": [{"path": show(path), "commits": number} for path, number in most],
        },
    )


def _nothing(summary: str, *, repository: bool) -> Result:
    return Result(summary, [], more={"repository": repository, "weeks": [], "files": []})


def _commits(root: Path) -> list[tuple[datetime, str]]:
    """(author's time in UTC, author's name) of each commit, the newest first."""
    out = _git(root, "log", f"--max-count={COMMITS_MAX}", "--no-color", "-z", "--format=%at %an")
    commits = []
    for line in out.decode("utf-8", "replace").split("\0"):
        at, _, author = line.strip("\n").partition(" ")
        if at:
            commits.append((_time(at), author))
    return commits


def _time(text: str) -> datetime:
    """A commit may claim any time; one that no calendar has becomes 1970."""
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _changes(root: Path) -> Counter[str]:
    """In how many commits each path was changed."""
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--name-only")
    out = _git(root, "log", f"--max-count={COMMITS_MAX}", *options, "-z", "--format=")
    return Counter(os.fsdecode(path) for path in out.split(b"\0") if path)


def _git(root: Path, *arguments: str) -> bytes:
    argv = ("git", "--no-pager", "-C", str(root), *_SAFE, *arguments)
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "GIT_CEILING_DIRECTORIES": str(root.resolve().parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
    }
    try:
        done = subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_WAIT_S,
            check=False,
        )
    except FileNotFoundError:
        raise _NoAnswer("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise _NoAnswer(f"git took longer than {GIT_WAIT_S} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _NoAnswer(said[0] if said else f"git ended with {done.returncode}")
    if len(done.stdout) > OUTPUT_BYTES_MAX:
        raise _NoAnswer(f"git said more than {OUTPUT_BYTES_MAX} bytes")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main("git_activity", work))
