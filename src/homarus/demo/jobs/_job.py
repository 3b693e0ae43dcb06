"""What every job of the demo shares: its arguments, and the one JSON object that it writes."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROWS_MAX = 1000
"""Rows in one list of a result; `rows_left_out` counts the others."""
EXIT_BAD_INPUT = 2

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """`rows` are sorted, the most important first. `more` holds what one job alone has."""

    summary: str
    rows: Sequence[Row]
    totals: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self, job: str, root: Path) -> dict[str, Any]:
        return {
            "job": job,
            "input": show(str(root)),
            "summary": self.summary,
            "rows": list(self.rows[:ROWS_MAX]),
            "rows_left_out": max(0, len(self.rows) - ROWS_MAX),
            "totals": dict(self.totals),
            "skipped": {name: count for name, count in self.skipped.items() if count},
            **self.more,
        }


def show(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def main(job: str, work: Callable[[Path], Result], argv: Sequence[str] | None = None) -> int:
    """Run `work` on --input and write its result to --out. Returns the exit code."""
    root, out = arguments(job, argv)
    result = work(root)
    text = json.dumps(result.as_json(job, root), indent=1, sort_keys=True, ensure_ascii=False)
    write(out, text + "\n")
    sys.stdout.write(f"{job}: {result.summary}\n")
    return 0


def arguments(job: str, argv: Sequence[str] | None) -> tuple[Path, Path]:
    parser = argparse.ArgumentParser(prog=f"python -m homarus.demo.jobs.{job}", allow_abbrev=False)
    parser.add_argument("--input", required=True, type=Path, metavar="DIR", help="what to look at")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="what to write")
    given = parser.parse_args(argv)
    if not given.input.is_dir():
        parser.exit(EXIT_BAD_INPUT, f"{job}: {show(str(given.input))} is not a directory\n")
    return given.input.absolute(), given.out.absolute()


def write(out: Path, text: str) -> None:
    """Whole or not at all: a job that is killed leaves no torn result."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(out)


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 file`, `2 files`, `1,000 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int) -> str:
    """Bytes for people: `512 bytes`, `1.5 KiB`."""
    value, unit = float(number), 0
    while value >= 1024 and unit < 5:
        value, unit = value / 1024, unit + 1
    return count(number, "byte") if unit == 0 else f"{value:.1f} {'KMGTP'[unit - 1]}iB"
