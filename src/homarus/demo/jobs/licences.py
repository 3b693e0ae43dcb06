"""Licence headers: which source files say under what licence they stand, and which say nothing."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import Result, count, main, show
from homarus.demo.jobs._languages import DATA, language_of
from homarus.demo.jobs._walk import Walk

HEADER_LINES = 40
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|unlicense)([.-].*)?", re.IGNORECASE)
_SPDX = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9][A-Za-z0-9.+() -]*)")
_COPYRIGHT = re.compile(r"\bcopyright\b|\(c\)\s*\d{4}|©", re.IGNORECASE)
PHRASES = (
    ("Apache-2.0", "apache license, version 2.0"),
    ("Apache-2.0", "apache license version 2.0"),
    ("AGPL", "gnu affero general public license"),
    ("LGPL", "gnu lesser general public license"),
    ("GPL", "gnu general public license"),
    ("MPL-2.0", "mozilla public license"),
    ("MIT", "permission is hereby granted, free of charge"),
    ("MIT", "mit license"),
    ("BSD", "redistribution and use in source and binary forms"),
    ("BSD", "bsd license"),
    ("ISC", "isc license"),
    ("Unlicense", "released into the public domain"),
)
"""What licences say of themselves, the more particular first."""


def work(root: Path) -> Result:
    walk = Walk(root)
    rows: list[dict[str, Any]] = []
    licence_files: list[dict[str, Any]] = []
    for file in walk:
        if LICENCE_FILE.fullmatch(file.name):
            text = walk.text(file) or ""
            licence_files.append({"path": show(file.path), "licence": licence_of(text)})
            continue
        text = "" if file.suffix and language_of(file) is None else walk.text(file) or ""
        language = language_of(file, text.partition("\n")[0])
        if language is None or language.name in DATA or not text.strip():
            continue
        header = "\n".join(text.split("\n", HEADER_LINES)[:HEADER_LINES])
        said = _COPYRIGHT.search(header) is not None
        rows.append({"path": show(file.path), "licence": licence_of(header), "copyright": said})
    named = Counter(row["licence"] for row in rows if row["licence"])
    lacking = len(rows) - named.total()
    summary = f"{lacking:,} of {count(len(rows), 'source file')} have no licence header"
    if named:
        each = sorted(named.items(), key=lambda at: (-at[1], at[0]))
        summary += "; the others: " + ", ".join(f"{name} ({number:,})" for name, number in each)
    return Result(
        summary,
        sorted(rows, key=lambda row: (row["licence"] is not None, row["path"])),
        {"source_files": len(rows), "with_header": named.total(), "without_header": lacking},
        walk.skipped,
        {"licence_files": licence_files},
    )


def licence_of(text: str) -> str | None:
    """The SPDX identifier that `text` names, or the family that its words belong to."""
    if match := _SPDX.search(text):
        return match[1].strip()
    plain = " ".join(re.sub(r"[#*/;!<>-]+", " ", text).lower().split())
    return next((name for name, phrase in PHRASES if phrase in plain), None)


if __name__ == "__main__":
    raise SystemExit(main("licences", work))
