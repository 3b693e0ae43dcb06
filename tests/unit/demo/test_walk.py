"""Walking: order, what is skipped and counted, what survives."""

import os
from pathlib import Path

from homarus.demo.jobs._job import show
from homarus.demo.jobs._walk import DEPTH_MAX, TEXT_BYTES_MAX, File, Walk, lines_of
from tests.unit.demo.conftest import write


def test_files_in_one_order_and_the_rest_counted(tree: Path) -> None:
    walk = Walk(tree)
    assert [show(file.path) for file in walk] == [
        "README.md",
        "big.dat",
        "data.bin",
        "docs/empty.txt",
        "docs/guide.rst",
        "odd/line\nbreak.txt",
        "odd/not-utf8-\\xff.txt",
        "odd/ünï.MD",
        "src/almost.py",
        "src/app.py",
        "src/copy.py",
        "src/deep/er/copy of it.py",
    ]
    assert walk.skipped == {"links": 5, "special files": 1, "tool directories": 5}
    assert walk.directories == 6


def test_sizes_are_those_of_the_files(tree: Path) -> None:
    for file in Walk(tree):
        assert file.size == Path(file.absolute).stat().st_size


def test_a_chain_of_directories_ends_at_a_bound(tmp_path: Path) -> None:
    write(tmp_path, "d/" * DEPTH_MAX + "deepest.txt")
    write(tmp_path, "e/" * (DEPTH_MAX + 1) + "too-deep.txt")
    walk = Walk(tmp_path)
    assert [file.name for file in walk] == ["deepest.txt"]
    assert walk.skipped == {"too deep": 1}


def test_text(tmp_path: Path) -> None:
    cases = {
        "plain": (b"a\r\nb\n", "a\r\nb\n"),
        "mark": (b"\xef\xbb\xbfa", "a"),
        "latin": (b"caf\xe9", "caf\ufffd"),
        "binary": (b"a\0b", None),
        "longest": (b"x" * TEXT_BYTES_MAX, "x" * TEXT_BYTES_MAX),
        "longer": (b"x" * (TEXT_BYTES_MAX + 1), None),
    }
    for name, (data, _) in cases.items():
        write(tmp_path, name, data)
    walk = Walk(tmp_path)
    assert {file.name: walk.text(file) for file in walk} == {
        name: text for name, (_, text) in cases.items()
    }
    assert walk.skipped == {"binary": 1, "too long to read": 1}


def test_a_file_that_changes_under_our_eyes_is_counted(tmp_path: Path) -> None:
    """Listed as a file; opened, it is gone, a link, a FIFO, or grown beyond the bound."""
    names = ("gone", "link", "fifo", "grown")
    for name in names:
        write(tmp_path, name, "x")
    write(tmp_path, "target", "secret")
    walk = Walk(tmp_path)
    files = {file.name: file for file in walk}
    for name in names:
        (tmp_path / name).unlink()
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "fifo")
    write(tmp_path, "grown", b"x" * (TEXT_BYTES_MAX + 1))
    assert [walk.text(files[name]) for name in names] == [None] * 4
    assert walk.skipped == {"unreadable": 3, "too long to read": 1}


def test_names() -> None:
    def named(path: str) -> File:
        return File(path, "", 0, (0, 0))

    for path, name, suffix in (
        ("a/B.PY", "B.PY", ".py"),
        ("a.b/c", "c", ""),
        (".env", ".env", ""),
        ("x.tar.gz", "x.tar.gz", ".gz"),
    ):
        assert (named(path).name, named(path).suffix) == (name, suffix)


def test_lines_end_where_editors_end_them() -> None:
    for text, expected in (
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\n", ["a", ""]),
        ("a\r\nb", ["a", "b"]),
        ("form\ffeed\u2028x", ["form\ffeed\u2028x"]),
    ):
        assert lines_of(text) == expected
