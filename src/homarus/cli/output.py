"""What commands print: tables on a terminal, plain lines in a pipe, one JSON document on demand.

Results go to stdout, everything else to stderr. Text that came from agents is shown with its
control characters escaped, so that it cannot steer the terminal; the output of a program is so on a
terminal alone.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from homarus.base.errors import HomarusError

GAP: Final = "  "
NONE: Final = "-"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


RED, PLAIN = "\x1b[31m", "\x1b[0m"


class Output:
    """`json`: the caller asked for one JSON document."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json

    def document(self, value: Any) -> None:
        """The JSON form of the whole result; nothing without --json."""
        if self.json:
            indent = 2 if sys.stdout.isatty() else None
            _print(json.dumps(value, ensure_ascii=False, indent=indent))

    def line(self, text: str = "") -> None:
        """One line for people; nothing with --json."""
        if not self.json:
            _print(clean(text))

    def alert(self, text: str) -> None:
        """A line that must not be overlooked: red on a terminal."""
        if not self.json:
            shown = clean(text)
            _print(f"{RED}{shown}{PLAIN}" if sys.stdout.isatty() else shown)

    def passed(self, text: str, *, err: bool = False) -> None:
        """The output of a program, as it is, to stdout or stderr; nothing with --json."""
        if text and not self.json:
            stream = sys.stderr if err else sys.stdout
            stream.write(clean(text) if stream.isatty() else _encodable(text, stream.encoding))
            stream.flush()

    def fields(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Name and value, one a line; absent values are left out."""
        shown = [(name, cell(value)) for name, value in pairs if value not in (None, "", [], {})]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(f"{name:<{width}}{GAP}{value}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
        """`empty` is what to say instead of a table without rows."""
        if self.json:
            return
        cells = [[cell(value) for value in row] for row in rows]
        if not cells:
            self.line(empty)
        elif sys.stdout.isatty():
            _rich_table(columns, cells)
        else:
            for text in plain_table(columns, cells):
                _print(text)


def cell(value: Any) -> str:
    """A value as one line of text."""
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value) or NONE
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    if _TIME.fullmatch(text):
        text = f"{text[:10]} {text[11:19]}Z"
    return clean(text.replace("\n", " "))


def clean(text: str) -> str:
    """Control characters (but newline and tab) and lone surrogates, made visible."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def _encodable(text: str, encoding: str) -> str:
    """What the stream cannot hold (lone surrogates), made visible; nothing else changes."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns, header first, no trailing blanks."""
    lines = [list(columns), *([*row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return [
        GAP.join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    Console().print(table)


def error(problem: HomarusError, *, as_json: bool) -> None:
    """`code: what happened`, then what to do; with --json an object with the same fields."""
    if as_json:
        body: dict[str, Any] = {"error": problem.message, "code": problem.code}
        if problem.remedy:
            body["remedy"] = problem.remedy
        body.update((k, v) for k, v in problem.details.items() if v is not None and k not in body)
        text = json.dumps(body, ensure_ascii=False, default=str)
    else:
        text = f"{problem.code}: {problem.message}"
        if problem.remedy:
            text += f"\n{problem.remedy}"
        missing = problem.details.get("missingFields")
        if missing:
            text += f"\nMissing: {', '.join(map(str, missing))}"
    sys.stderr.write(clean(text) + "\n")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
