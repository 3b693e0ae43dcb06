"""What is wrong with a configuration: each mistake with its place, what was expected, what to do.

    Problem      one mistake
    Rejected     all mistakes of one reading; nothing of it is used

Values of settings that are secret are never in a message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homarus.base.errors import Invalid


@dataclass(frozen=True, slots=True)
class Place:
    """`file` as people call it; `line` and `column` from 1, or 0 where the whole file is meant."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(Invalid):
    """One mistake. `path`: the key, such as `gateway.port`; "" where none is to blame."""

    def __init__(
        self, code: str, message: str, remedy: str, *, place: Place | None = None, path: str = "",
        expected: str = "",
    ) -> None:  # fmt: skip
        super().__init__(code, message, remedy)
        self.place = place
        self.path = path
        self.expected = expected

    def line(self) -> str:
        """For people: place, key, what is wrong, what was expected, what to do."""
        words = [f"{self.place}:" if self.place else "", f"{self.path}:" if self.path else ""]
        wanted = f"; expected {self.expected}" if self.expected else ""
        return " ".join(
            [word for word in words if word] + [f"{self.message}{wanted}.", self.remedy]
        )

    def document(self) -> dict[str, Any]:
        """For programs: the same as plain JSON values."""
        place = self.place or Place("")
        return {
            "code": self.code, "file": place.file, "line": place.line, "column": place.column,
            "path": self.path, "message": self.message, "expected": self.expected,
            "remedy": self.remedy,
        }  # fmt: skip


class Rejected(Invalid):
    """A configuration with mistakes. `problems`: all that were found, in the order of the file;
    `files`: those that were looked at."""

    def __init__(self, problems: Sequence[Problem], files: Sequence[Path] = ()) -> None:
        first = problems[0]
        many = len(problems) > 1
        head = f"{len(problems)} mistakes in the configuration" if many else first.line()
        text = "\n".join([head, *(p.line() for p in problems)]) if many else head
        super().__init__(
            first.code,
            text.removesuffix(f" {first.remedy}") if not many else text,
            "Correct them all; nothing of it is used until then." if many else first.remedy,
            problems=[p.document() for p in problems],
            setting=first.path or None,
        )
        self.problems = tuple(problems)
        self.files = tuple(files)
