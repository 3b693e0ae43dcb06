"""`--chaos`: whom to kill, and when. Decides only; the runner strikes.

First an agent in the middle of a task, then the daemon in the middle of another one, each after
some work is done and while some is left.
"""

from dataclasses import dataclass
from typing import Any, Final

from homarus.demo.checks import Check

DONE_BEFORE_AGENT: Final = 2
DONE_BEFORE_DAEMON: Final = 4
DONE_BEFORE_ANY: Final = 7
"""From here on the daemon is killed in the middle of whatever is in progress."""
STRIKES: Final = 2

Tasks = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Victim:
    agent: str
    task: str

    def __str__(self) -> str:
        return f"{self.agent} in the middle of {self.task}"


class Chaos:
    """`told`: what was done, for people. `over`: no more strikes."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.over = False
        self._first = ""

    def agent_to_kill(self, tasks: Tasks, names: dict[str, str]) -> Victim | None:
        if self.told or _done(tasks) < DONE_BEFORE_AGENT:
            return None
        return _at_work(tasks, names)

    def daemon_to_kill(self, tasks: Tasks, names: dict[str, str]) -> Victim | None:
        """Somebody is at work, at first on another task than the one that lost its agent."""
        if len(self.told) != 1 or _done(tasks) < DONE_BEFORE_DAEMON:
            return None
        late = _done(tasks) >= DONE_BEFORE_ANY
        return _at_work([t for t in tasks if late or t["number"] != self._first], names)

    def struck(self, victim: Victim, text: str) -> str:
        self._first = self._first or victim.task
        self.told.append(text)
        self.over = len(self.told) == STRIKES
        return text

    def give_up_when_finished(self, tasks: Tasks) -> None:
        """No strike is possible any more; the check will say so."""
        if _done(tasks) == len(tasks):
            self.over = True

    def check(self) -> Check:
        missing = STRIKES - len(self.told)
        return Check(
            "an agent and the daemon were killed in the middle",
            missing == 0,
            f"{missing} of {STRIKES} found nothing in the middle: the work was over too soon"
            if missing
            else "",
        )


def _done(tasks: Tasks) -> int:
    return sum(task["canonicalState"] == "done" for task in tasks)


def _at_work(tasks: Tasks, names: dict[str, str]) -> Victim | None:
    for task in tasks:
        name = names.get(task.get("assignedAgentId") or "")
        if task["canonicalState"] == "in_progress" and name is not None:
            return Victim(name, str(task["number"]))
    return None
