"""Lives of the child of `homarus.testing.crash`, and what must hold in the home that it leaves."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homarus.store import backup, restore
from homarus.store.port import Rx
from homarus.testing.ground import START_MS, ManualClock, ground
from homarus.testing.recount import recount, verify
from homarus.testing.stores import postgres_store, sqlite_store

CHILD_S = 60
DAY_MS = 86_400_000
Fact = dict[str, Any]


@dataclass(frozen=True)
class Home:
    """Where the children live one after the other. `url`: of its database, if it has one."""

    folder: Path
    url: str = ""

    def start(self, seed: int, life: int, point: str) -> "subprocess.Popen[bytes]":
        at_ms = START_MS + life * DAY_MS
        arguments = [str(self.folder), str(seed), str(at_ms), *([self.url] if self.url else [])]
        return subprocess.Popen(
            [sys.executable, "-m", "homarus.testing.crash", *arguments],
            env=os.environ | {"HOMARUS_FAILPOINT": point},
            stdout=subprocess.PIPE,
            stderr=(self.folder.parent / "stderr").open("wb"),
        )  # fmt: skip

    def killed_at(self, point: str, seed: int, life: int = 0) -> list[Fact]:
        """What a life acknowledged until it died at the failpoint (or ended before)."""
        child = self.start(seed, life, point)
        out, _ = child.communicate(timeout=CHILD_S)
        self._died(child)
        return _facts(out)

    def killed_after(self, lines: int, choice: random.Random, seed: int, life: int) -> list[Fact]:
        """The same for a kill from outside, a moment after so many acknowledgements."""
        child = self.start(seed, life, "")
        assert child.stdout is not None
        out = b"".join(child.stdout.readline() for _ in range(lines))
        for _ in range(choice.randrange(200_000)):
            pass  # a few milliseconds of the child's life
        child.kill()
        rest, _ = child.communicate(timeout=CHILD_S)
        self._died(child)
        return _facts(out + rest)

    def _died(self, child: "subprocess.Popen[bytes]") -> None:
        log = (self.folder.parent / "stderr").read_text("utf-8", "replace")
        assert child.returncode in (0, -signal.SIGKILL), log[-2000:]

    async def examine(self, told: list[Fact]) -> list[str]:
        """What is wrong after all that was acknowledged."""
        opener = postgres_store(self.url) if self.url else sqlite_store
        async with ground(self.folder, ManualClock(START_MS + 9 * DAY_MS), opener) as g:
            wrong = await g.read(recount, g.company) + await g.read(verify, g.company)
            rows = await g.read(_rows)
            seals = dict(await g.read(_seals, g.company_no))
        wrong += rows.twice()
        wrong += [f"lost or changed: {fact}" for fact in told if not rows.holds(fact, seals)]
        wrong += _held_twice(told)
        wrong += _expiries(rows, told)
        wrong += [f"no content {sha}" for sha in rows.contents() if not self._sound(sha)]
        made = [fact["path"] for fact in told if fact["act"] == "backup"]
        names = {*made, *(path.name for path, _ in backup.listed(self.folder))}
        folder = self.folder / "backups"
        return wrong + [f"backup {name}" for name in names if restore.verify(folder / name)[1]]

    def _sound(self, sha: str) -> bool:
        path = self.folder / "blobs" / sha[:2] / sha
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha


def _facts(out: bytes) -> list[Fact]:
    """Whole lines only: one that was cut was not heard."""
    return [json.loads(line) for line in out.split(b"\n")[:-1]]


@dataclass(frozen=True)
class Rows:
    tasks: dict[str, tuple[str, int, int]]
    titles: dict[str, str]
    outputs: dict[str, str | None]
    messages: dict[str, str]
    files: dict[str, tuple[str, str]]
    done: Counter[bytes]

    def twice(self) -> list[str]:
        """One key has one effect, and a task is done once."""
        found = []
        for what, names in (
            ("task", self.titles.values()),
            ("message", self.messages.values()),
            ("file", [title for title, _ in self.files.values()]),
            ("done", self.done.elements()),
        ):
            found += [f"{what} {name!r} {n} times" for name, n in Counter(names).items() if n > 1]
        return found

    def contents(self) -> set[str]:
        return {sha for _, sha in self.files.values()}

    def holds(self, fact: Fact, seals: dict[int, str]) -> bool:
        look: dict[str, Callable[[], bool]] = {
            "create": lambda: self.titles.get(fact["task"]) == fact["title"],
            "claim": lambda: self.tasks[fact["task"]][1] >= fact["token"],
            "done": lambda: (
                self.tasks[fact["task"]][0] == "done"
                and self.outputs.get(fact["task"]) == json.dumps(fact["output"])
            ),
            "message": lambda: self.messages.get(fact["id"]) == fact["text"],
            "upload": lambda: self.files.get(fact["id"]) == (fact["title"], fact["sha256"]),
            "sealed": lambda: fact["no"] == 0 or seals.get(fact["no"]) == fact["hash"],
        }
        return look.get(fact["act"], lambda: True)()


def _rows(rx: Rx) -> Rows:
    return Rows(
        tasks={r[0]: r[1:] for r in rx.all("select id, state, token, retries from task")},
        titles={
            task: json.loads(text)["title"]
            for task, text in rx.all("select task, input from task_spec")
        },
        outputs=dict(rx.all("select task, output from task_result")),
        messages=dict(rx.all("select id, text from message")),
        files={r[0]: r[1:] for r in rx.all("select id, title, sha256 from artifact")},
        done=Counter(
            bytes(r[0]) for r in rx.all("select subject from event where kind='task_done'")
        ),
    )


def _seals(rx: Rx, company_no: int) -> list[tuple[int, str]]:
    rows = rx.all("select no, hash from seal where company_no=?", (company_no,))
    return [(no, bytes(digest).hex()) for no, digest in rows]


def _held_twice(told: list[Fact]) -> list[str]:
    """A fence belongs to one agent."""
    claims = Counter((f["task"], f["token"]) for f in told if f["act"] == "claim")
    return [f"claimed twice under one fence: {claim}" for claim, n in claims.items() if n > 1]


def _expiries(rows: Rows, told: list[Fact]) -> list[str]:
    """Each expiry that was acknowledged cost a retry, or the task its life."""
    there = sum(n for _, _, n in rows.tasks.values())
    there += sum(state == "dead_letter" for state, _, _ in rows.tasks.values())
    heard = sum(fact["n"] for fact in told if fact["act"] == "expired")
    return [] if there >= heard else [f"{heard} leases expired, {there} are on record"]
