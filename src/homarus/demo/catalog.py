"""The demo's work as data: the tasks of the project, who does them, and after what.

Each job is a `command` capability. Its template's slots are declared inputs (`path` with a root),
so a task gives paths below the directory that the owner named, never another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPORT = "report"


@dataclass(frozen=True, slots=True)
class Job:
    """`role`: who fits. `depends_on`: jobs that must be done before. `out`: the result's file name
    in the workspace, `media_type` what it is as an artifact."""

    name: str
    title: str
    description: str
    role: str
    depends_on: tuple[str, ...] = ()
    out: str = ""
    media_type: str = "application/json"

    @property
    def capability(self) -> str:
        return f"demo.{self.name}"

    def argv(self, python: str) -> list[str]:
        """The template. `-P` and `-s` keep the workspace and the user's packages off the path."""
        module = f"homarus.demo.jobs.{self.name}"
        return [python, "-B", "-P", "-s", "-m", module, "--input", "{input}", "--out", "{out}"]

    def slots(self, root: Path) -> Mapping[str, Any]:
        """`root`: the directory to look at; for the report, the directory of the results."""
        return {
            "input": {"type": "path", "root": str(root), "default": "."},
            "out": {"type": "path", "default": self.out},
        }


def _job(name: str, title: str, description: str, role: str, *after: str) -> Job:
    return Job(name, title, description, role, after, f"{name}.json")


_WORK = (
    _job(
        "inventory",
        "Take an inventory of the files",
        "Count the files and add up their sizes, by type and by size.",
        "scoder",
    ),
    _job(
        "git_activity",
        "Sum up the git activity",
        "Commits by author and week, and the files that changed most.",
        "pm",
    ),
    _job(
        "dependencies",
        "List the dependencies",
        "What the manifests of Python, Node, Rust and Go declare.",
        "pm",
    ),
    _job(
        "largest",
        "Find the largest files",
        "The fifty that take the most room.",
        "scoder",
        "inventory",
    ),
    _job(
        "duplicates",
        "Find duplicate files",
        "The same contents under several names, by hash.",
        "scoder",
        "inventory",
    ),
    _job(
        "languages",
        "Count the lines of code",
        "Code, comment and blank lines per language.",
        "scoder",
        "inventory",
    ),
    _job(
        "words",
        "Count the words of the documents",
        "Words and lines of each Markdown, reStructuredText and text file.",
        "marketer",
        "inventory",
    ),
    _job(
        "todos",
        "List the open ends",
        "The lines that say TODO, FIXME, HACK or XXX.",
        "pm",
        "languages",
    ),
    _job(
        "licences",
        "Check the licence headers",
        "Which source files say under what licence they stand.",
        "marketer",
        "languages",
    ),
    _job(
        "secrets",
        "Look for secrets",
        "Keys and passwords that should not be there; values stay masked.",
        "scoder",
        "inventory",
    ),
)

JOBS = (
    *_WORK,
    Job(
        REPORT,
        "Write the final report",
        "One page from the results of all the other work.",
        "pm",
        tuple(job.name for job in _WORK),
        "report.md",
        "text/markdown",
    ),
)
"""In an order in which they can be done."""
