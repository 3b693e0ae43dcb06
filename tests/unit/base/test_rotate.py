"""The log begins anew when it is large or old; what is kept is not lost, and it is bounded."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from homarus.base.rotate import RotatingFile, generations

DAY_S = 86_400.0


class Log:
    """A log with a clock that a test moves."""

    def __init__(self, folder: Path, *, max_bytes: int = 10_000, kept: int = 3) -> None:
        self.now_s = 1_800_000_000.0
        self.path = folder / "homarus.log"
        self.max_bytes, self.kept = max_bytes, kept
        self.open()

    def open(self) -> None:
        self.handler = RotatingFile(
            self.path, max_bytes=self.max_bytes, max_age_s=DAY_S, kept=self.kept,
            clock=lambda: self.now_s,
        )  # fmt: skip

    def write(self, text: str) -> None:
        at = datetime.fromtimestamp(self.now_s, UTC).isoformat().replace("+00:00", "Z")
        line = json.dumps({"event": text, "at": at})
        self.handler.handle(logging.LogRecord("x", logging.INFO, "", 0, line, None, None))

    def files(self) -> list[list[str]]:
        """Events by file, oldest file first."""
        return [
            [json.loads(line)["event"] for line in path.read_text().splitlines()]
            for path in generations(self.path)
        ]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_by_size_and_never_within_a_line(tmp_path: Path) -> None:
    log = Log(tmp_path, max_bytes=120)
    for n in range(6):
        log.write(f"event {n}")
    assert log.files() == [["event 0", "event 1", "event 2"], ["event 3", "event 4", "event 5"]]
    assert [p.name for p in generations(log.path)] == ["homarus.log.1", "homarus.log"]
    assert {p.stat().st_mode & 0o777 for p in generations(log.path)} == {0o600}


def test_by_age(log: Log) -> None:
    log.write("first")
    log.now_s += DAY_S - 1
    log.write("same day")
    log.now_s += 1
    log.write("next day")
    assert log.files() == [["first", "same day"], ["next day"]]


def test_age_counts_from_the_first_line_also_after_a_restart(log: Log) -> None:
    log.write("first")
    log.handler.close()
    log.now_s += DAY_S / 2
    log.open()
    log.write("same day")
    log.now_s += DAY_S / 2
    log.write("next day")
    assert log.files() == [["first", "same day"], ["next day"]]


def test_an_old_file_without_lines_is_not_rotated(log: Log) -> None:
    log.now_s += 3 * DAY_S
    log.write("first")
    assert log.files() == [["first"]]


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_the_number_of_files_is_bounded(tmp_path: Path, kept: int) -> None:
    log = Log(tmp_path, max_bytes=1, kept=kept)
    for n in range(9):
        log.write(str(n))
    assert log.files() == [[str(n)] for n in range(8 - kept, 9)]


def test_files_beyond_the_number_go_and_others_stay(tmp_path: Path) -> None:
    others = ["homarus.log.1.gz", "homarus.log.01", "homarus.log.old", "homarus.logs.1"]
    for name in ("homarus.log.7", *others):
        (tmp_path / name).write_text("")
    log = Log(tmp_path, max_bytes=1, kept=2)
    log.write("a")
    log.write("b")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["homarus.log", "homarus.log.1", *others]
    )


@pytest.mark.parametrize("how", ["moved", "removed"])
def test_a_file_that_somebody_else_took_away_is_opened_again(log: Log, how: str) -> None:
    log.write("before")
    if how == "moved":
        log.path.rename(log.path.with_name("elsewhere"))
    else:
        log.path.unlink()
    log.write("after")
    assert log.files() == [["after"]]


def test_a_log_that_cannot_begin_anew_goes_on_in_the_old_file(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write("before")
    moved = log.path.parent.rename(log.path.parent.with_name("moved"))
    log.write("after")
    assert [json.loads(x)["event"] for x in (moved / "homarus.log").open()] == ["before", "after"]
    assert "FileNotFoundError" in capsys.readouterr().err
