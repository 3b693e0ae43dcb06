"""How the demo shows its work: a live table on a terminal, one line a change elsewhere."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

Task = dict[str, Any]
MARKS: Final = {"done": "✓", "in_progress": "▶", "failed": "✗", "dead_letter": "✗"}


class Progress(Protocol):
    """`tasks` in the order of their numbers; `names` of agents by id."""

    def show(self, tasks: Sequence[Task], names: dict[str, str]) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    """For --json."""

    def show(self, tasks: Sequence[Task], names: dict[str, str]) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class Lines:
    """One line for each change of a task."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._began = clock()
        self._known: dict[str, str] = {}

    def show(self, tasks: Sequence[Task], names: dict[str, str]) -> None:
        for task in tasks:
            state = str(task["canonicalState"])
            if self._known.get(task["id"], "queued") != state:
                self._known[task["id"]] = state
                self.say(f"{task['number']:<5} {state:<12} {_by(task, names):<9} {task['title']}")

    def say(self, text: str) -> None:
        self._write(f"{self._clock() - self._began:6.1f} s  {text}\n")

    def close(self) -> None:
        pass


class Live:
    """A table that is drawn anew in place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._console = Console()
        self._live = RichLive(console=self._console, refresh_per_second=8, transient=False)
        self._live.start()

    def show(self, tasks: Sequence[Task], names: dict[str, str]) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        done = sum(task["canonicalState"] == "done" for task in tasks)
        table = Table(box=box.SIMPLE_HEAD, caption=f"{done} of {len(tasks)} done")
        for column in ("", "task", "what", "state", "agent"):
            table.add_column(column)
        for task in tasks:
            state = str(task["canonicalState"])
            cells = (MARKS.get(state, "·"), task["number"], task["title"], state, _by(task, names))
            style = {"done": "green", "in_progress": "yellow", "failed": "red"}.get(state, "dim")
            table.add_row(*(Text(str(cell)) for cell in cells), style=style)
        self._live.update(table)

    def say(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text))

    def close(self) -> None:
        self._live.stop()


def _by(task: Task, names: dict[str, str]) -> str:
    return names.get(task.get("assignedAgentId") or "", "")


def chosen(*, quiet: bool) -> Progress:
    if quiet:
        return Silent()
    return Live() if sys.stdout.isatty() else Lines(_write, time.monotonic)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
