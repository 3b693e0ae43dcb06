"""Words per document: Markdown, reStructuredText, plain text. Spaces set words apart."""

from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import Result, count, main, show
from homarus.demo.jobs._walk import Walk, lines_of

DOCUMENTS = frozenset({".md", ".markdown", ".rst", ".txt"})


def work(root: Path) -> Result:
    walk = Walk(root)
    rows: list[dict[str, Any]] = []
    for file in walk:
        if file.suffix not in DOCUMENTS:
            continue
        text = walk.text(file)
        if text is not None:
            words, lines = len(text.split()), len(lines_of(text))
            rows.append({"path": show(file.path), "words": words, "lines": lines})
    whole = sum(row["words"] for row in rows)
    return Result(
        f"{count(whole, 'word')} in {count(len(rows), 'document')}",
        sorted(rows, key=lambda row: (-row["words"], row["path"])),
        {"documents": len(rows), "words": whole},
        walk.skipped,
    )


if __name__ == "__main__":
    raise SystemExit(main("words", work))
