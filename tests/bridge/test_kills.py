"""kill -9 of bridge and daemon at seeded points: every task is done once, no message is answered
twice, the journal is whole.

A strike is one of three: the daemon from outside, the bridge from outside, or the bridge at a named
failpoint. Tasks and messages go on meanwhile; whoever was killed is started again on the same home,
port and journal.
"""

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from homarus.bridge.journal import Journal
from homarus.client.http import Client
from homarus.client.retry import Retry
from homarus.demo.children import Child, Daemon
from homarus.testing.waiting import seen
from tests.support.commands import homarus
from tests.support.profile import chosen_profile

PROFILE = chosen_profile()
KILLS = PROFILE.pick(ci=6, full=20)
TASKS = PROFILE.pick(ci=15, full=50)
SEEDS = PROFILE.pick(ci=1, full=3)
FAILED_SEEDS: tuple[int, ...] = ()
"""Seeds that once failed stay here."""
KILLED = -9
WAIT_S = 60.0
PATIENCE = Retry(attempts=1_000, first_s=0.05, cap_s=0.3, patience_s=WAIT_S)
POINTS = (
    "claiming", "claimed", "noted", "started", "ran", "finished", "reported", "heard",
    "remembered", "answering", "answered", "written", "sent",
)  # fmt: skip
WORK = """
import json, sys, time
task = json.load(sys.stdin)["task"]
with open({log!r}, "a") as log:
    log.write(task["id"] + "\\n")
time.sleep(0.05)
print(json.dumps({{"output": {{"title": task["title"]}}}}))
"""
ANSWER = """
import json, sys, time
message = json.load(sys.stdin)["message"]
time.sleep(0.05)
print("You said: " + message["text"])
"""

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(900)]


class Scene:
    """One daemon, one bridge, their lives one after the other."""

    def __init__(self, place: Path, seed: int, *, idempotent: bool) -> None:
        self.place = place
        self.choice = random.Random(seed)
        self.idempotent = idempotent
        self.log = place / "program.log"
        self.journal = place / "bridge-state.json"
        self.home = place / "home"
        self.daemon = Daemon(self.home, place / "daemon.log")
        self.port = self.daemon.ready.port
        owner = (self.home / "run" / "owner.token").read_text().strip()
        with Client(self.daemon.ready.url, owner) as instance:
            instance.post("/companies", {"slug": "acme", "name": "Acme", "template": "studio"})
        self.api = Client(self.daemon.ready.url, owner, "acme", retry=PATIENCE)
        token = self.api.post_once("/tokens", {"kind": "runtime", "name": "bridge"})
        self.token = str(token["secret"])
        self.project = self.api.post("/projects", {"goal": "g"})["project"]["id"]
        self.messages: list[str] = []
        self.bridge = self.start_bridge()
        seen(lambda: self.api.get("/agents")["agents"], WAIT_S)

    def start_bridge(self, point: str = "") -> Child:
        options = [
            *("--url", self.daemon.ready.url, "--agent", "tally", "--json", "--sync", "0.5"),
            *("--bridge-state-path", str(self.journal), "--heartbeat", "1"),
            *("--config", str(self.place / "bridge.config.json")),
            *(["--idempotent"] if self.idempotent else []),
            *("--exec", "--", sys.executable, "-c", WORK.format(log=str(self.log))),
            *("--reply", "--", sys.executable, "-c", ANSWER),
        ]
        policy = {"baseDelayMs": 50, "maxDelayMs": 300}
        (self.place / "bridge.config.json").write_text(json.dumps({"reconnectPolicy": policy}))
        log = self.place / "bridge.log"
        self.begun = log.stat().st_size if log.exists() else 0
        env = {"HOMARUS_TOKEN": self.token, "HOMARUS_FAILPOINT": point}
        return Child(["homarus.cli.main", "bridge", *options], log, env)

    def said(self) -> bytes:
        """What the bridge of now has said."""
        return (self.place / "bridge.log").read_bytes()[self.begun :]

    def give(self, number: int) -> None:
        for n in range(number):
            body = {"projectId": self.project, "taskType": "some_work", "title": f"t{n}",
                    "allowUnderspecified": True}  # fmt: skip
            self.api.post("/tasks", body)

    def say(self) -> None:
        said = {"text": f"m{len(self.messages)}", "targetAgentId": "tally"}
        self.messages.append(str(self.api.post("/messages/send", said)["message_id"]))

    def tasks(self) -> list[dict[str, Any]]:
        return list(self.api.pages("/tasks", "tasks", projectId=self.project))

    def settled(self) -> int:
        return sum(task["canonicalState"] in ("done", "review") for task in self.tasks())

    def strike(self, tasks: int) -> str:
        """New work, then kill somebody at a point of this seed; both run again afterwards."""
        how = self.choice.choice(("daemon", "bridge", "failpoint"))
        if how == "failpoint":
            point = self.choice.choice(POINTS)
            self.bridge.kill()
            self.bridge = self.start_bridge(f"bridge.{point}:1")
            self.give(tasks)
            self.say()
            assert self.bridge.wait(WAIT_S) == KILLED, (point, self.bridge.tail())
            self.bridge = self.start_bridge()
            return point
        self.give(tasks)
        self.say()
        time.sleep(self.choice.random() * 0.3)  # the point: anywhere in the middle
        if how == "daemon":
            self.daemon.kill()
            self.daemon = Daemon(self.home, self.place / "daemon.log", self.port)
        else:
            self.bridge.kill()
            self.bridge = self.start_bridge()
        return how

    def replies(self) -> Counter[str]:
        """How often each message was answered, by its id."""
        found: Counter[str] = Counter()
        seq, more = 0, True
        while more:
            page = self.api.get("/messages/sync", mode="all", sinceSeq=seq)
            seq, more = page["nextSeq"], page["hasMore"]
            found.update(
                m["metadataJson"]["inReplyTo"] for m in page["messages"]
                if m["senderType"] == "agent"
            )  # fmt: skip
        return found

    def end(self) -> int:
        """In an orderly way, once it listens; how it ended."""
        seen(lambda: b'"connected"' in self.said(), WAIT_S)
        self.bridge.stop()
        return self.bridge.wait(WAIT_S)

    def close(self) -> None:
        self.bridge.stop()
        self.daemon.stop()
        self.api.close()


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("seed", sorted({*range(SEEDS), *FAILED_SEEDS}))
def test_each_task_is_done_once_and_no_message_is_answered_twice(
    tmp_path: Path, seed: int, idempotent: bool
) -> None:
    scene = Scene(tmp_path, seed, idempotent=idempotent)
    try:
        struck = []
        batch = TASKS // (KILLS + 1)
        given = 0
        for _ in range(KILLS):
            struck.append(scene.strike(batch))
            given += batch
        scene.give(TASKS - given)
        told = f"seed {seed}: {struck}"
        seen(lambda: scene.settled() == TASKS, WAIT_S)
        seen(lambda: len(scene.replies()) == len(scene.messages), WAIT_S)
        assert scene.end() == 0, scene.bridge.tail()

        tasks = scene.tasks()
        states = Counter(task["canonicalState"] for task in tasks)
        assert len(tasks) == TASKS, told
        done = Counter[str]()
        for task in tasks:
            kinds = [e["eventType"] for e in scene.api.get(f"/tasks/{task['id']}/notes")["events"]]
            done[task["id"]] = kinds.count("task_done")
            assert kinds.count("task_handoff") == kinds.count("task_claimed"), (told, kinds)
        ran = Counter(scene.log.read_text().split())
        if idempotent:
            assert states == {"done": TASKS}, told
            assert {*done.values()} == {1}, told
        else:
            assert max(ran.values()) == 1, told
            assert {*done.values()} <= {0, 1}, told
            assert states["done"] + states["review"] == TASKS, told
            for task in tasks:
                if task["canonicalState"] == "review":
                    assert done[task["id"]] == 0, told
        assert scene.replies() == Counter(scene.messages), told
        with Journal(scene.journal) as journal:
            assert journal.lost == ""
            own = journal.own
            assert (own.tasks, own.letters, own.operations) == ({}, [], {}), told
        checked = homarus(scene.home, "audit", "verify", "--company", "acme")
        assert checked.code == 0, (told, checked.out, checked.err)
    finally:
        scene.close()


@pytest.mark.parametrize("point", PROFILE.pick(ci=POINTS[::3], full=POINTS))
def test_killed_at(tmp_path: Path, point: str) -> None:
    """Each step alone: the next life finishes what the one before began."""
    scene = Scene(tmp_path, 0, idempotent=True)
    try:
        scene.bridge.kill()
        scene.bridge = scene.start_bridge(f"bridge.{point}:1")
        scene.say()
        scene.give(1)
        assert scene.bridge.wait(WAIT_S) == KILLED, scene.bridge.tail()
        scene.bridge = scene.start_bridge()
        seen(lambda: scene.settled() == 1 and len(scene.replies()) == 1, WAIT_S)
        assert scene.end() == 0
        (task,) = scene.tasks()
        kinds = [e["eventType"] for e in scene.api.get(f"/tasks/{task['id']}/notes")["events"]]
        assert kinds == ["task_generated", "task_claimed", "task_handoff", "task_done"]
        assert scene.replies() == Counter(scene.messages)
        agents = scene.api.get("/agents")["agents"]
        memory = scene.api.get(f"/agents/{agents[0]['id']}/memory")["entries"]
        assert [entry["kind"] for entry in memory] == ["thread_observation"]
    finally:
        scene.close()
