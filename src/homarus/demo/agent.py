"""One agent of the demo as a process of its own: `python -m homarus.demo.agent`.

    claim -> fetch what earlier tasks made -> run the command -> upload -> note -> result

It is an `external` executor: it knows the daemon by HTTP alone, with its own agent token, and may
be killed at any point. Its next life re-adopts the task that it held. Keys: a claim and a result
carry a fresh one that their repeats keep; those of note and artifact are made from the task, so
that a task has one of each however often it was begun.
"""

import argparse
import asyncio
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from homarus.backends.layers import SandboxLayers, probe
from homarus.base.errors import Conflict, HomarusError
from homarus.base.failpoint import failpoint
from homarus.client.errors import Unreachable
from homarus.client.http import Client
from homarus.client.retry import Retry
from homarus.demo.work import Done, Work

PATIENCE: Final = Retry(attempts=1_000, first_s=0.05, cap_s=0.5, patience_s=60.0)
"""How long an agent waits for a daemon that is away."""
BEAT: Final = Retry(attempts=1)
IDLE_S: Final = 0.15
"""Between two looks for work when nothing fits."""
LEASE_S: Final = 60
LIFE_S: Final = 3_600.0
MAX_ROWS: Final = 1_000
FINAL: Final = frozenset({"done", "failed", "dead_letter", "archived"})
BROKEN: Final = FINAL - {"done"}


@dataclass(frozen=True, slots=True)
class Options:
    """`hidden`: a directory that no command may see, the daemon's home."""

    url: str
    token: str
    name: str
    project: str
    workplace: Path
    hidden: Path
    lease_s: int = LEASE_S


class Agent:
    """Claims and does tasks of one project, one at a time, until nothing is left."""

    def __init__(self, options: Options, layers: SandboxLayers) -> None:
        self._options = options
        self._layers = layers
        self._api = Client(options.url, options.token, retry=PATIENCE)
        self._work = Work(self._api, options.workplace, options.hidden, layers)

    def run(self) -> None:
        until = time.monotonic() + LIFE_S
        while time.monotonic() < until:
            task = self._claim()
            if task is not None:
                failpoint("demo.claimed")
                self._do(task)
            elif self._nothing_left():
                return
            else:
                time.sleep(IDLE_S)

    def _claim(self) -> dict[str, Any] | None:
        """The task that this agent held in an earlier life, or the next fitting one."""
        body = {
            "agentId": self._options.name,
            "leaseSeconds": self._options.lease_s,
            "readopt": True,
        }
        task: dict[str, Any] | None = self._api.post("/tasks/claim", body).get("task")
        return task

    def _nothing_left(self) -> bool:
        """True when no task can become claimable any more."""
        pages = self._api.pages("/tasks", "tasks", limit=MAX_ROWS, projectId=self._options.project)
        states = [task["canonicalState"] for task in pages]
        if all(state in FINAL for state in states):
            return True
        return "in_progress" not in states and any(state in BROKEN for state in states)

    def _do(self, task: dict[str, Any]) -> None:
        say(f"{task['number']} {task['title']}")
        try:
            with Heartbeat(self._options, str(task["id"])):
                done = asyncio.run(self._work.run(task))
            self._report(task, done)
        except Unreachable:
            raise
        except Conflict as error:
            say(f"{task['number']} is no longer ours: {error}")
        except HomarusError as error:
            say(f"{task['number']} failed: {error}")
            self._result(task, "failed", {"error": error.code}, str(error))

    def _report(self, task: dict[str, Any], done: Done) -> None:
        if not done.ok:
            self._result(task, "failed", done.output, done.summary)
            return
        note = {"note": done.summary, "agentId": self._options.name}
        self._api.post(f"/tasks/{task['id']}/notes", note, key=f"note:{task['id']}")
        failpoint("demo.noted")
        self._result(task, "done", done.output, done.summary)
        failpoint("demo.reported")
        say(f"{task['number']} done: {done.summary}")

    def _result(
        self, task: dict[str, Any], state: str, output: dict[str, Any], comment: str
    ) -> None:
        body = {
            "state": state,
            "agentId": self._options.name,
            "outputJson": output,
            "comment": comment,
            "leaseToken": task["leaseToken"],
        }
        self._api.post(f"/tasks/{task['id']}/result", body)


class Heartbeat:
    """Renews the lease from a thread of its own while the block runs."""

    def __init__(self, options: Options, task: str) -> None:
        self._options = options
        self._body = {"agentId": options.name, "currentLoad": 1, "taskId": task}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        """A beat that fails is followed by another one; the lease outlives several."""
        with Client(self._options.url, self._options.token, retry=BEAT, timeout_s=5.0) as api:
            while not self._over.wait(self._options.lease_s / 4):
                try:
                    api.post("/agents/heartbeat", self._body)
                except HomarusError as error:
                    say(f"heartbeat: {error}")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m homarus.demo.agent")
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--workplace", required=True, type=Path)
    parser.add_argument("--hidden", required=True, type=Path)
    given = parser.parse_args()
    token = os.environ.pop("HOMARUS_TOKEN", "")
    options = Options(token=token, **vars(given))
    try:
        Agent(options, probe()).run()
    except HomarusError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
