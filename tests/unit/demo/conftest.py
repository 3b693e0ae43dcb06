"""A small tree with everything that a directory of work may hold."""

import os
from pathlib import Path

import pytest


def write(root: Path, path: str, content: str | bytes = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Twelve files that count; and links, special files, tool directories and binaries."""
    root = tmp_path / "tree"
    write(root, "README.md", "# Title\n\nThree more words\n")
    write(root, "docs/guide.rst", "Guide\n=====\n\nRead   this\tnow\n")
    write(root, "docs/empty.txt")
    write(root, "src/app.py", '# Copyright 2026 A\n"""Doc."""\n\nx = 1  # TODO: two\n# FIXME no\n')
    write(root, "src/copy.py", "same contents\n")
    write(root, "src/deep/er/copy of it.py", "same contents\n")
    write(root, "src/almost.py", "same_contents\n")
    write(root, "data.bin", b"\0TODO\xff" * 100)
    write(root, "big.dat", b"x" * 200_000)
    write(root, os.fsdecode(b"odd/line\nbreak.txt"), "one two\n")
    write(root, os.fsdecode(b"odd/not-utf8-\xff.txt"), b"caf\xe9 TODO\n")
    write(root, os.fsdecode("odd/ünï.MD".encode()), "eins\n")
    for skipped in (".git/config", ".venv/x.py", "node_modules/a/i.js", "src/__pycache__/a.pyc"):
        write(root, skipped, "TODO\n")
    write(root, "any-name/pyvenv.cfg", "home = /usr\n")
    write(root, "any-name/lib/x.py", "TODO\n")
    (root / "link-to-file").symlink_to("README.md")
    (root / "link-to-dir").symlink_to("src")
    (root / "link-out").symlink_to("/etc")
    (root / "link-loop").symlink_to(".")
    (root / "link-broken").symlink_to("nothing")
    os.mkfifo(root / "fifo")
    return root
