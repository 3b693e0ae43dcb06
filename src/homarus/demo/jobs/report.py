"""The final report: the results of all other jobs as one Markdown page.

--input is the directory of their results (`inventory.json`, …). A result that is missing or torn is
named in the report, not passed over.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import arguments, size, write

RESULT_BYTES_MAX = 16 * 1024 * 1024
ROWS_SHOWN = 10
CELL_CHARS_MAX = 120


@dataclass(frozen=True, slots=True)
class Section:
    """`columns` are (heading, field) of the tables; `tables` are (heading, list in the result)."""

    job: str
    title: str
    columns: Sequence[tuple[str, str]]
    more: Sequence[tuple[str, str, Sequence[tuple[str, str]]]] = ()


SECTIONS = (
    Section(
        "inventory",
        "Inventory",
        (("Type", "type"), ("Files", "files"), ("Size", "bytes"), ("Largest", "largest_bytes")),
        (("By size", "sizes", (("Files of", "size"), ("Files", "files"), ("Size", "bytes"))),),
    ),
    Section("languages", "Languages", (
        ("Language", "language"), ("Files", "files"), ("Code", "code"), ("Comment", "comment"),
        ("Blank", "blank"),
    )),
    Section("largest", "Largest files", (("File", "path"), ("Size", "bytes"))),
    Section("duplicates", "Duplicate files", (
        ("Files", "paths"), ("Size of each", "bytes"), ("Could be saved", "wasted_bytes"),
    )),
    Section("todos", "Open ends", (
        ("Tag", "tag"), ("File", "path"), ("Line", "line"), ("Text", "text"),
    )),
    Section("dependencies", "Dependencies", (
        ("Ecosystem", "ecosystem"), ("Name", "name"), ("Constraint", "constraint"),
        ("Scope", "scope"), ("Manifest", "path"),
    ), (("Manifests that could not be read", "problems", (
        ("Manifest", "path"), ("Problem", "problem"),
    )),)),
    Section("licences", "Licence headers", (
        ("File", "path"), ("Licence", "licence"), ("Copyright line", "copyright"),
    ), (("Licence files", "licence_files", (("File", "path"), ("Licence", "licence"))),)),
    Section("git_activity", "Git activity", (
        ("Author", "author"), ("Commits", "commits"), ("First", "first"), ("Last", "last"),
    ), (
        ("Most changed files", "files", (("File", "path"), ("Commits", "commits"))),
    )),
    Section("words", "Words per document", (
        ("Document", "path"), ("Words", "words"), ("Lines", "lines"),
    )),
    Section("secrets", "Suspicious secrets", (
        ("File", "path"), ("Line", "line"), ("Rule", "rule"), ("Value", "value"),
    )),
)  # fmt: skip


def report(results: Mapping[str, Mapping[str, Any] | str]) -> str:
    """The page. `results`: job -> its result, or why there is none."""
    given = [result for result in results.values() if not isinstance(result, str)]
    about = next((str(result.get("input", "")) for result in given), "an unknown directory")
    lines = [f"# Report on {_cell(about)}", ""]
    lines.append(f"{len(given)} of {len(SECTIONS)} pieces of work gave a result.")
    lines += ["", "| Work | Result |", "|---|---|"]
    for section in SECTIONS:
        lines.append(f"| {section.title} | {_cell(_summary(results.get(section.job)))} |")
    for section in SECTIONS:
        result = results.get(section.job, "no result")
        lines += ["", f"## {section.title}", "", _cell(_summary(result), None)]
        if not isinstance(result, str):
            lines += _table(result.get("rows"), section.columns, result.get("rows_left_out", 0))
            for heading, key, columns in section.more:
                if result.get(key):
                    lines += ["", f"### {heading}", *_table(result.get(key), columns)]
            lines += _skipped(result.get("skipped"))
    return "\n".join(lines) + "\n"


def _summary(result: Mapping[str, Any] | str | None) -> str:
    if result is None or isinstance(result, str):
        return result or "no result"
    return str(result.get("summary", "no summary"))


def _table(rows: Any, columns: Sequence[tuple[str, str]], left_out: Any = 0) -> list[str]:
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if not rows:
        return []
    lines = ["", "| " + " | ".join(heading for heading, _ in columns) + " |"]
    lines.append("|" + "---|" * len(columns))
    for row in rows[:ROWS_SHOWN]:
        lines.append("| " + " | ".join(_value(row.get(key), key) for _, key in columns) + " |")
    rest = len(rows) - ROWS_SHOWN + (left_out if isinstance(left_out, int) else 0)
    return [*lines, "", f"… and {rest:,} more."] if rest > 0 else lines


def _skipped(skipped: Any) -> list[str]:
    if not isinstance(skipped, dict) or not skipped:
        return []
    each = ", ".join(f"{_cell(str(name))}: {number}" for name, number in sorted(skipped.items()))
    return ["", f"Not looked at: {each}."]


def _value(value: Any, key: str) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return size(value) if key.endswith("bytes") else f"{value:,}"
    if isinstance(value, list):
        return "<br>".join(_cell(str(each)) for each in value[:ROWS_SHOWN])
    return _cell(str(value))


def _cell(text: str, chars_max: int | None = CELL_CHARS_MAX) -> str:
    """Text of unknown origin as plain words of a table: no markup, no second line."""
    if chars_max is not None and len(text) > chars_max:
        text = text[: chars_max - 1] + "…"
    shown = "".join(at if at.isprintable() else at.encode("unicode_escape").decode() for at in text)
    for special in "\\`*_[]<>|#~&":
        shown = shown.replace(special, "\\" + special)
    return shown


def load(directory: Path) -> dict[str, Mapping[str, Any] | str]:
    """Job -> its result, or why there is none."""
    return {section.job: _load(directory, section.job) for section in SECTIONS}


def _load(directory: Path, job: str) -> Mapping[str, Any] | str:
    try:
        with (directory / f"{job}.json").open("rb") as file:
            data = file.read(RESULT_BYTES_MAX + 1)
        content = json.loads(data) if len(data) <= RESULT_BYTES_MAX else None
    except FileNotFoundError:
        return "no result"
    except (OSError, ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and content.get("job") == job:
        return content
    return "a result that cannot be read"


def main(argv: Sequence[str] | None = None) -> int:
    directory, out = arguments("report", argv)
    results = load(directory)
    write(out, report(results))
    there = sum(not isinstance(result, str) for result in results.values())
    sys.stdout.write(f"report: written from {there} of {len(SECTIONS)} results\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
