"""Inventory, largest, duplicates, words and open ends: against what other means say."""

import hashlib
import os
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from homarus.demo.jobs import duplicates, inventory, largest, todos, words
from homarus.demo.jobs._job import ROWS_MAX, Result, count, show, size
from tests.unit.demo.conftest import write

SOURCE = Path(inventory.__file__).parents[3]
"""Our own source: a tree that nobody made for these tests."""


def by_hand(root: Path) -> dict[str, bytes]:
    """Path -> contents of all regular files outside the tools' directories, found by `find`."""
    tools = (".git", ".venv", "node_modules", "__pycache__", "any-name", ".mypy_cache")
    skipped = [word for name in tools for word in ("-name", name, "-o")][:-1]
    argv = ["find", ".", "(", *skipped, ")", "-prune", "-o", "-type", "f", "-print0"]
    out = subprocess.run(argv, cwd=root, capture_output=True, check=True).stdout
    names = [os.fsdecode(name.removeprefix(b"./")) for name in out.split(b"\0") if name]
    return {name: (root / name).read_bytes() for name in names}


@pytest.fixture(params=["tree", "source"])
def root(request: pytest.FixtureRequest, tree: Path) -> Path:
    return tree if request.param == "tree" else SOURCE


def test_inventory(root: Path) -> None:
    files = by_hand(root)
    result = inventory.work(root)
    assert result.totals["files"] == len(files) == sum(row["files"] for row in result.rows)
    assert result.totals["bytes"] == sum(map(len, files.values()))
    python = [content for name, content in files.items() if name.endswith(".py")]
    row = next(row for row in result.rows if row["type"] == ".py")
    assert (row["files"], row["bytes"]) == (len(python), sum(map(len, python)))
    assert row["largest_bytes"] == max(map(len, python))
    assert [row["bytes"] for row in result.rows] == sorted(
        (row["bytes"] for row in result.rows), reverse=True
    )
    sizes = result.more["sizes"]
    assert sum(row["files"] for row in sizes) == len(files)
    small = [content for content in files.values() if 0 < len(content) <= 1024]
    assert sizes[1] == {
        "size": "up to 1 KiB",
        "files": len(small),
        "bytes": sum(map(len, small)),
    }


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "empty"),
        (1, "up to 1 KiB"),
        (1024, "up to 1 KiB"),
        (1025, "up to 10 KiB"),
        (100 * 1024**2, "up to 100 MiB"),
        (100 * 1024**2 + 1, "larger"),
    ],
)
def test_size_classes(number: int, expected: str) -> None:
    assert inventory.size_class(number) == expected


def test_largest(root: Path) -> None:
    files = by_hand(root)
    expected = sorted((-len(content), name) for name, content in files.items())[:50]
    rows = [(-row["bytes"], row["path"]) for row in largest.work(root).rows]
    assert rows == [(number, show(name)) for number, name in expected]


def test_duplicates(root: Path) -> None:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, content in sorted(by_hand(root).items(), key=lambda at: os.fsencode(at[0])):
        if content:
            groups[hashlib.sha256(content).hexdigest()].append(show(name))
    expected = {digest: names for digest, names in groups.items() if len(names) > 1}
    result = duplicates.work(root)
    assert {row["sha256"]: sorted(row["paths"]) for row in result.rows} == {
        digest: sorted(names) for digest, names in expected.items()
    }


def test_hard_links_take_no_room(tmp_path: Path) -> None:
    write(tmp_path, "a", "12345")
    os.link(tmp_path / "a", tmp_path / "b")
    assert duplicates.work(tmp_path).rows[0]["wasted_bytes"] == 0
    write(tmp_path, "c", "12345")
    row = duplicates.work(tmp_path).rows[0]
    assert (row["wasted_bytes"], row["copies"], row["paths"]) == (5, 3, ["a", "b", "c"])


def test_words(root: Path) -> None:
    result = words.work(root)
    for row in result.rows:
        if "\\x" in row["path"]:
            continue
        argv = ["wc", "-w", "-l", root / row["path"]]
        env = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}
        said = subprocess.run(argv, capture_output=True, check=True, env=env).stdout.split()
        assert (row["lines"], row["words"]) == (int(said[0]), int(said[1]))
    endings = (".md", ".MD", ".rst", ".txt")
    documents = [name for name in by_hand(root) if name.endswith(endings)]
    assert result.totals["documents"] == len(documents)
    assert result.totals["words"] == sum(row["words"] for row in result.rows)


def test_todos(tree: Path) -> None:
    result = todos.work(tree)
    argv = ["grep", "-rnwIE", "--exclude-dir=.git", "--exclude-dir=.venv", "--exclude-dir=any-name"]
    argv += ["--exclude-dir=node_modules", "--exclude-dir=__pycache__", "-D", "skip"]
    out = subprocess.run([*argv, "TODO|FIXME|HACK|XXX", "."], cwd=tree, capture_output=True).stdout
    found = {tuple(line.split(b":")[:2]) for line in out.splitlines()}
    assert {(b"./src/app.py", b"4"), (b"./src/app.py", b"5")} <= found
    assert [(row["tag"], row["path"], row["line"], row["text"]) for row in result.rows] == [
        ("FIXME", "src/app.py", 5, "FIXME no"),
        ("TODO", "odd/not-utf8-\\xff.txt", 1, "TODO"),
        ("TODO", "src/app.py", 4, "TODO: two"),
    ]
    assert result.summary == "3 lines in 2 files: 1 FIXME, 2 TODO"


def test_todos_are_whole_words(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "TODOS\nMASTODON TO DO todo\nXXXX\nTODO\nx = 1 // HACK(me): y\n")
    found = [(row["tag"], row["line"]) for row in todos.work(tmp_path).rows]
    assert found == [("TODO", 4), ("HACK", 5)]


@pytest.mark.parametrize("job", [inventory, largest, duplicates, todos, words])
def test_an_empty_directory(tmp_path: Path, job: object) -> None:
    result = job.work(tmp_path)  # type: ignore[attr-defined]
    assert list(result.rows) == []
    assert result.summary


def test_rows_beyond_the_bound_are_counted(tmp_path: Path) -> None:
    rows = [{"n": number} for number in range(ROWS_MAX + 5)]
    said = Result("s", rows, skipped={"links": 0, "binary": 2}).as_json("j", tmp_path)
    assert (len(said["rows"]), said["rows_left_out"]) == (ROWS_MAX, 5)
    assert said["skipped"] == {"binary": 2}


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 bytes"), (1, "1 byte"), (1023, "1,023 bytes"), (1536, "1.5 KiB"), (1024**3, "1.0 GiB")],
)
def test_sizes_for_people(number: int, expected: str) -> None:
    assert size(number) == expected


def test_counts_for_people() -> None:
    assert [count(1, "file"), count(2, "file"), count(1000, "box", "boxes")] == [
        "1 file",
        "2 files",
        "1,000 boxes",
    ]
