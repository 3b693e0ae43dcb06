"""Largest files: the few that take the most room."""

import heapq
from pathlib import Path

from homarus.demo.jobs._job import Result, count, main, show, size
from homarus.demo.jobs._walk import Walk

LARGEST = 50


def work(root: Path) -> Result:
    walk = Walk(root)
    files = list(walk)
    top = heapq.nsmallest(LARGEST, files, key=lambda file: (-file.size, file.path))
    whole, held = sum(file.size for file in files), sum(file.size for file in top)
    summary = "no files"
    if top:
        share = 100 * held / whole if whole else 0
        summary = (
            f"the largest is {show(top[0].path)} with {size(top[0].size)}; "
            f"the first {count(len(top), 'file')} hold {share:.0f} % of all bytes"
        )
    return Result(
        summary,
        [{"path": show(file.path), "bytes": file.size} for file in top],
        {"files": len(files), "bytes": whole, "bytes_of_rows": held},
        walk.skipped,
    )


if __name__ == "__main__":
    raise SystemExit(main("largest", work))
