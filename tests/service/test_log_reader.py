"""The log is read while it is written and rotated: each line once, in order."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homarus.service import log_reader
from homarus.service.log_reader import LogReader


class Enough(Exception):
    """Ends a `follow`."""


class Writer:
    """Writes numbered lines as the daemon does, rotating when told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "homarus.log"
        self.number = 0

    def write(self, count: int = 1) -> None:
        with self.path.open("ab") as file:
            for _ in range(count):
                file.write(b"%d\n" % self.number)
                self.number += 1

    def add(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)

    def rotate(self, kept: int = 8) -> None:
        for number in range(kept, 0, -1):
            older = self.path.with_name(f"homarus.log.{number}")
            if older.exists():
                older.rename(self.path.with_name(f"homarus.log.{number + 1}"))
        self.path.with_name(f"homarus.log.{kept + 1}").unlink(missing_ok=True)
        self.path.rename(self.path.with_name("homarus.log.1"))


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def numbers(lines: list[bytes]) -> list[int]:
    return [int(line) for line in lines]


def heard(log: LogReader, *acts: Callable[[], object]) -> list[bytes]:
    """What `follow` gives while these acts happen, one at each wait."""
    left: Iterator[Callable[[], object]] = iter(acts)

    def wait() -> None:
        try:
            act = next(left)
        except StopIteration:
            raise Enough from None
        act()

    found = []
    with pytest.raises(Enough):
        for line in log.follow(wait):
            found.append(line)
    return found


@pytest.mark.parametrize("count", [0, 1, 5, 9, 10, 15, 20, 100])
def test_the_last_lines_of_all_files(writer: Writer, count: int) -> None:
    for _ in range(3):
        writer.write(5)
        writer.rotate()
    writer.write(5)
    with LogReader(writer.path) as log:
        assert numbers(log.last(count)) == list(range(max(0, 20 - count), 20))


def test_last_lines_of_a_long_file(writer: Writer) -> None:
    writer.write(100_000)
    with LogReader(writer.path) as log:
        assert numbers(log.last(30_000)) == list(range(70_000, 100_000))


def test_how_much_is_read_is_bounded(writer: Writer) -> None:
    writer.add(b"x" * log_reader.MAX_LAST_BYTES + b"\n")
    writer.write(3)
    with LogReader(writer.path) as log:
        assert numbers(log.last(50)) == [0, 1, 2]


def test_where_there_is_no_log(writer: Writer) -> None:
    with LogReader(writer.path) as log:
        assert log.last(10) == []
        assert numbers(heard(log, lambda: None, lambda: writer.write(2))) == [0, 1]


def test_a_line_is_given_when_it_is_whole(writer: Writer) -> None:
    writer.add(b"one\ntw")
    with LogReader(writer.path) as log:
        assert log.last(5) == [b"one"]
        got = heard(log, lambda: writer.add(b"o"), lambda: writer.add(b"\nthree\nfo"))
    assert got == [b"two", b"three"]


def test_it_follows_over_rotations(writer: Writer) -> None:
    writer.write(3)
    acts = [
        lambda: writer.write(2),
        writer.rotate,
        lambda: writer.write(2),
        lambda: [(writer.rotate(), writer.write(2)) for _ in range(4)],
        lambda: (writer.write(2), writer.rotate()),
        lambda: writer.write(1),
    ]
    with LogReader(writer.path) as log:
        assert numbers(log.last(1)) == [2]
        assert numbers(heard(log, *acts)) == list(range(3, writer.number))


def test_a_file_that_was_moved_elsewhere_is_not_shown_twice(writer: Writer) -> None:
    writer.write(2)
    writer.rotate()
    writer.write(2)

    def away() -> None:
        writer.write(1)
        writer.path.rename(writer.path.with_name("taken"))
        writer.write(2)

    with LogReader(writer.path) as log:
        assert numbers(log.last(4)) == [0, 1, 2, 3]
        assert numbers(heard(log, away, lambda: None)) == [4, 5, 6]


def test_a_file_that_was_cut_begins_anew(writer: Writer) -> None:
    writer.write(5)
    with LogReader(writer.path) as log:
        log.last(1)
        got = heard(log, lambda: writer.path.write_bytes(b""), lambda: writer.write(1))
    assert numbers(got) == [5]


def test_a_line_without_end_is_given_in_parts(writer: Writer) -> None:
    with LogReader(writer.path) as log:
        log.last(0)
        got = heard(log, lambda: writer.add(b"x" * (3 * log_reader.MAX_LINE_BYTES)))
    assert max(map(len, got)) <= log_reader.MAX_LINE_BYTES + log_reader.BLOCK_BYTES
    assert len(b"".join(got)) >= 2 * log_reader.MAX_LINE_BYTES


def test_waiting_only_where_nothing_is_new(writer: Writer) -> None:
    writer.write(50_000)
    waits = itertools.count()
    with LogReader(writer.path) as log:
        lines = log.follow(lambda: next(waits))
        assert numbers(list(itertools.islice(lines, 50_000))) == list(range(50_000))
    assert next(waits) == 0
