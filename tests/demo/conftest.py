"""A small directory with something for every job to find."""

import hashlib
from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name, text in {
        "README.md": "# A tree\n\nFive words are in here.\n",
        "src/app.py": "# TODO: finish\nimport os\n\n\ndef main():\n    return os.sep\n",
        "src/copy.py": "# TODO: finish\nimport os\n\n\ndef main():\n    return os.sep\n",
        "src/licensed.py": "# SPDX-License-Identifier: Apache-2.0\nx = 1\n",
        "pyproject.toml": '[project]\nname = "tree"\ndependencies = ["click>=8", "rich"]\n',
        "notes.txt": "one two three\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "big.bin").write_bytes(bytes(range(256)) * 400)
    return root


def state(root: Path) -> dict[str, str]:
    """Every file with the hash of its content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
