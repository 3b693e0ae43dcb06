"""Inventory: how many files there are and how large they are, by type and by size."""

from collections import defaultdict
from pathlib import Path

from homarus.demo.jobs._job import Result, count, main, show, size
from homarus.demo.jobs._walk import Walk

SIZES = (
    ("empty", 0),
    ("up to 1 KiB", 1024),
    ("up to 10 KiB", 10 * 1024),
    ("up to 100 KiB", 100 * 1024),
    ("up to 1 MiB", 1024**2),
    ("up to 10 MiB", 10 * 1024**2),
    ("up to 100 MiB", 100 * 1024**2),
    ("larger", None),
)


def work(root: Path) -> Result:
    walk = Walk(root)
    types: dict[str, list[int]] = defaultdict(list)
    sizes: dict[str, list[int]] = {name: [] for name, _ in SIZES}
    for file in walk:
        types[show(file.suffix) or "(none)"].append(file.size)
        sizes[size_class(file.size)].append(file.size)
    rows = [
        {"type": name, "files": len(found), "bytes": sum(found), "largest_bytes": max(found)}
        for name, found in types.items()
    ]
    totals = {
        "files": sum(map(len, types.values())),
        "bytes": sum(map(sum, types.values())),
        "directories": walk.directories,
        "types": len(types),
    }
    return Result(
        f"{count(totals['files'], 'file')} of {count(len(types), 'type')} in "
        f"{count(walk.directories, 'directory', 'directories')}, {size(totals['bytes'])}",
        sorted(rows, key=lambda row: (-row["bytes"], row["type"])),
        totals,
        walk.skipped,
        {
            "sizes": [
                {"size": name, "files": len(found), "bytes": sum(found)}
                for name, found in sizes.items()
            ]
        },
    )


def size_class(number: int) -> str:
    return next(name for name, most in SIZES if most is None or number <= most)


if __name__ == "__main__":
    raise SystemExit(main("inventory", work))
