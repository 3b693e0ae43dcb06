"""Open ends: the lines that say TODO, FIXME, HACK or XXX."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import Result, count, main, show
from homarus.demo.jobs._walk import Walk, lines_of

TAGS = ("FIXME", "TODO", "HACK", "XXX")
"""The more urgent first."""
TEXT_CHARS_MAX = 200
_TAG = re.compile(rf"\b({'|'.join(TAGS)})\b")


def work(root: Path) -> Result:
    walk = Walk(root)
    rows: list[dict[str, Any]] = []
    for file in walk:
        text = walk.text(file)
        if text is None or not _TAG.search(text):
            continue
        for number, line in enumerate(lines_of(text), 1):
            if match := _TAG.search(line):
                said = line[match.start() :].strip()[:TEXT_CHARS_MAX]
                rows.append(
                    {"tag": match[1], "path": show(file.path), "line": number, "text": said}
                )
    tags = Counter(row["tag"] for row in rows)
    files = len({row["path"] for row in rows})
    summary = "no open ends"
    if rows:
        each = ", ".join(f"{tags[tag]} {tag}" for tag in TAGS if tags[tag])
        summary = f"{count(len(rows), 'line')} in {count(files, 'file')}: {each}"
    return Result(
        summary,
        sorted(rows, key=lambda row: (TAGS.index(str(row["tag"])), row["path"], row["line"])),
        {"lines": len(rows), "files": files, **{tag: tags[tag] for tag in TAGS}},
        walk.skipped,
    )


if __name__ == "__main__":
    raise SystemExit(main("todos", work))
