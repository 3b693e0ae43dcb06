"""Duplicate files: the same contents under several names, found by size first, then by SHA-256."""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import Result, count, main, show, size
from homarus.demo.jobs._walk import File, Walk

HASHED_BYTES_MAX = 16 * 1024**3
"""Bytes hashed in one run; what is left over is counted as skipped."""


def work(root: Path) -> Result:
    walk = Walk(root)
    by_size: dict[int, list[File]] = defaultdict(list)
    for file in walk:
        if file.size:
            by_size[file.size].append(file)
        else:
            walk.skipped["empty"] += 1
    rows: list[dict[str, Any]] = []
    left = HASHED_BYTES_MAX
    for number, files in sorted(by_size.items()):
        if len(files) < 2:
            continue
        if left < number * len(files):
            walk.skipped["too much to hash"] += len(files)
            continue
        left -= number * len(files)
        for digest, same in _by_hash(walk, files).items():
            if len(same) > 1:
                rows.append(_row(digest, number, same))
    wasted = sum(row["wasted_bytes"] for row in rows)
    copies = sum(row["copies"] for row in rows)
    return Result(
        f"{count(len(rows), 'group')} of equal files with {count(copies, 'file')}; "
        f"{size(wasted)} could be saved",
        sorted(rows, key=lambda row: (-row["wasted_bytes"], row["paths"])),
        {"groups": len(rows), "files": copies, "wasted_bytes": wasted},
        walk.skipped,
    )


def _by_hash(walk: Walk, files: list[File]) -> dict[str, list[File]]:
    found: dict[str, list[File]] = defaultdict(list)
    for file in files:
        digest, seen = hashlib.sha256(), 0
        for block in walk.read(file):
            digest.update(block)
            seen += len(block)
        if seen == file.size:  # else it was unreadable, or changed under our eyes
            found[digest.hexdigest()].append(file)
    return found


def _row(digest: str, number: int, same: list[File]) -> dict[str, Any]:
    stored = len({file.inode for file in same})  # hard links share one copy
    return {
        "sha256": digest,
        "bytes": number,
        "copies": len(same),
        "wasted_bytes": number * (stored - 1),
        "paths": [show(file.path) for file in same],
    }


if __name__ == "__main__":
    raise SystemExit(main("duplicates", work))
