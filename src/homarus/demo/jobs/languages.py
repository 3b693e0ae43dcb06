"""Lines of code per language: code, comment and blank. A docstring counts as code."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import Result, count, main
from homarus.demo.jobs._languages import BY_NAME, BY_SUFFIX, Language, language_of
from homarus.demo.jobs._walk import Walk, lines_of


def work(root: Path) -> Result:
    walk = Walk(root)
    found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for file in walk:
        if file.suffix and file.suffix not in BY_SUFFIX and file.name.lower() not in BY_NAME:
            walk.skipped["no known language"] += 1
            continue
        text = walk.text(file)
        if text is None:
            continue
        language = language_of(file, text.partition("\n")[0])
        if language is None:
            walk.skipped["no known language"] += 1
        else:
            found[language.name].append(lines_by_kind(text, language))
    rows: list[dict[str, Any]] = []
    for name, files in found.items():
        code, comment, blank = (sum(kind) for kind in zip(*files, strict=True))
        rows.append(
            {"language": name, "files": len(files)}
            | {"code": code, "comment": comment, "blank": blank}
        )
    rows.sort(key=lambda row: (-row["code"], row["language"]))
    kinds = ("files", "code", "comment", "blank")
    totals = {kind: sum(row[kind] for row in rows) for kind in kinds}
    summary = "no source code"
    if rows:
        summary = (
            f"{count(totals['code'], 'line')} of code in {count(len(rows), 'language')}, "
            f"most of it {rows[0]['language']} ({rows[0]['code']:,})"
        )
    return Result(summary, rows, totals, walk.skipped)


def lines_by_kind(text: str, language: Language) -> tuple[int, int, int]:
    """How many lines are code, comment, blank. A line with both code and comment is code."""
    code = comment = blank = 0
    within = False
    for line in lines_of(text):
        bare = line.strip()
        if not bare:
            blank += 1
        elif within:
            comment += 1
            within = language.block is not None and language.block[1] not in bare
        elif language.block is not None and bare.startswith(language.block[0]):
            opened, closed = language.block
            _, end, rest = bare[len(opened) :].partition(closed)
            within = not end
            if end and rest.strip():
                code += 1
            else:
                comment += 1
        elif bare.startswith(language.line):
            comment += 1
        else:
            code += 1
    return code, comment, blank


if __name__ == "__main__":
    raise SystemExit(main("languages", work))
