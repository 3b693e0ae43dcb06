"""A backup, and the way back from it."""

import shutil
from pathlib import Path

import pytest

from homarus.demo.children import Daemon
from tests.support.commands import Running, Terminal


@pytest.fixture
def backup(running: Running) -> Path:
    """A backup of a home with one agent more than the last."""
    running.json("agent", "create", f"agent-{len(running.json('agent', 'list')['agents'])}")
    return Path(running.json("backup")["backup"]["path"])


def test_a_backup_is_whole_and_listed(running: Running, backup: Path) -> None:
    assert running("restore", "--check", str(backup)).code == 0
    listed = running.json("backup", "--list")["backups"]
    assert str(backup) in [row["path"] for row in listed]
    by_wire = running.json("--url", running.daemon.ready.url, "backup", "--list")["backups"]
    assert by_wire == listed


def test_the_list_needs_no_daemon(backup: Path, tmp_path: Path) -> None:
    """That is just when one restores."""
    home = Terminal(tmp_path / "home")
    assert home("backup", "--list").out == "No backup yet.\n"
    shutil.copytree(backup, home.home / "backups" / backup.name)
    (home.home / "backups" / "torn").mkdir()
    (row,) = home.json("backup", "--list")["backups"]
    assert row["path"] == str(home.home / "backups" / backup.name)
    assert row["path"] in home("backup", "--list").out


def test_a_copy_that_is_started_held_does_nothing_of_its_own(
    running: Running, backup: Path, tmp_path: Path
) -> None:
    assert running.json("stop", "list")["stops"] == []
    copy = Terminal(tmp_path / "copy")
    copy.json("restore", str(backup))
    for _ in range(2):  # a second start changes nothing
        daemon = Daemon(copy.home, tmp_path / "log", "0", "--held")
        try:
            (stop,) = copy.json("stop", "list")["stops"]
            assert (stop["scope"], stop["reason"]) == ("company", "started with --held")
            assert copy.json("audit", "verify")["ok"]
        finally:
            daemon.stop()
    daemon = Daemon(copy.home, tmp_path / "log")
    try:
        copy.json("stop", "lift", stop["id"])
        assert copy.json("stop", "list")["stops"] == []
    finally:
        daemon.stop()


def test_what_was_there_comes_back(running: Running, backup: Path, tmp_path: Path) -> None:
    names = {agent["name"] for agent in running.json("agent", "list")["agents"]}
    other = Terminal(tmp_path / "home")
    assert other("restore", str(backup)).code == 0
    daemon = Daemon(other.home, tmp_path / "log")
    try:
        assert {agent["name"] for agent in other.json("agent", "list")["agents"]} == names
        assert other.json("audit", "verify")["ok"]
    finally:
        daemon.stop()


def test_a_running_home_is_not_touched(running: Running, backup: Path) -> None:
    done = running("restore", str(backup), "--force")
    assert (done.code, done.error) == (1, "store.locked")
    assert "Stop it" in done.err and "Use that one" not in done.err
    assert running("status").code == 0


def test_a_store_that_is_there_is_kept(backup: Path, tmp_path: Path) -> None:
    home = Terminal(tmp_path / "home")
    home.json("restore", str(backup))
    assert (home("restore", str(backup)).code, home("restore", str(backup)).error) == (
        5,
        "restore.store_exists",
    )
    aside = Path(home.json("restore", str(backup), "--force")["aside"])
    assert (aside / "local-ssot" / "ssot.db").exists()


def test_a_torn_backup_is_refused(backup: Path, tmp_path: Path) -> None:
    (backup / "ssot.db").write_bytes((backup / "ssot.db").read_bytes()[:-1])
    home = Terminal(tmp_path / "home")
    assert home("restore", "--check", str(backup)).code == 7
    done = home("restore", str(backup))
    assert (done.code, done.error) == (1, "backup.file_changed")
    assert not (home.home / "local-ssot").exists()
