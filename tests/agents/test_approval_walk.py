"""An approval that is asked in a chat, from the question to the answer, over the end of the daemon.

The daemon is a process, and so is the terminal in which the approval is answered. Only the provider
of the model is scripted.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from homarus.backends.local import interpreter
from homarus.client.http import Client
from homarus.demo.children import Daemon
from homarus.testing.model_server import ModelServer
from homarus.testing.obedient import DONE, Obedient, order
from tests.support.commands import Terminal, homarus

COMMAND = "site.publish"
EFFECT = "published.txt"
ACT = f"open({EFFECT!r}, 'a').write('published\\n')"
TEXT = f"Please publish the site. {order('exec', capability=COMMAND, wait_s=60)}"


class Walk:
    """A home, its daemon while one runs, and a terminal in the company `acme`."""

    def __init__(self, place: Path, provider: ModelServer) -> None:
        self.home = place / "home"
        self.log = place / "log"
        self.daemon = Daemon(self.home, self.log)
        self._found(provider)

    def again(self) -> None:
        self.daemon = Daemon(self.home, self.log)

    def client(self, company: str | None = "acme") -> Client:
        token = (self.home / "run" / "owner.token").read_text().strip()
        return Client(self.daemon.ready.url, token, company)

    def type(self, *arguments: str, other: bool = False) -> str:
        """What a command says. `other`: in another terminal, a process of its own."""
        terminal = partial(homarus, self.home) if other else Terminal(self.home)
        ran = terminal("--company", "acme", *arguments)
        assert ran.code == 0, ran.err
        return ran.out

    def _found(self, provider: ModelServer) -> None:
        with self.client(None) as instance:
            body = {"slug": "acme", "name": "Acme", "template": "studio"}
            instance.post("/companies", body)
        with self.client() as owner:
            url = provider.base_url("openai")
            owner.post("/models", {"dialect": "openai", "baseUrl": url, "model": "m-1"})
            owner.post("/projects", {"goal": "Ship the release"})
            owner.post("/agents", {"name": "ada", "role": "coder", "executor": "llm"})
            argv = [interpreter().python, "-c", ACT]
            body = {"id": COMMAND, "title": "Publish the site", "argv": argv, "trusted": True}
            owner.post("/capabilities", body | {"approval": True})

    def get(self, path: str, **query: Any) -> Any:
        with self.client() as owner:
            return owner.get(path, **query)

    def until(self, turn: str, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The turn once `good` holds of it; its own stream tells."""
        with self.client() as owner:
            for _, row in owner.events(f"/turns/{turn}/events"):
                if "state" in row and good(row):
                    return row  # type: ignore[no-any-return]
        raise AssertionError("the stream ended before that")

    def effects(self) -> list[str]:
        return [line for file in (self.home / "agents").rglob(EFFECT)
                for line in file.read_text().splitlines()]  # fmt: skip


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    with ModelServer(Obedient()) as provider:
        made = Walk(tmp_path, provider)
        yield made
        made.daemon.stop()


@pytest.mark.parametrize("end", ["SIGTERM", "kill -9"])
def test_asked_in_a_chat_answered_after_a_restart_done_once(walk: Walk, end: str) -> None:
    walk.type("agent", "message", "ada", TEXT)
    (asked,) = walk.get("/turns")["turns"]
    parked = walk.until(asked["id"], lambda row: row["state"] == "parked")
    (number,) = parked["waitsFor"]
    made = walk.get("/receipts", task=parked["taskId"])["receipts"]
    assert [row["capability"] for row in made if row["verdict"] == "allow"][::-1][:2] == [
        "task.create", "task.claim",
    ]  # fmt: skip
    assert walk.effects() == []

    if end == "SIGTERM":
        walk.daemon.stop()
    else:
        walk.daemon.kill()
    walk.again()

    assert walk.get(f"/turns/{asked['id']}")["turn"]["state"] == "parked"
    walk.type("approval", "approve", number, "--note", "go ahead", other=True)
    turn = walk.until(asked["id"], lambda row: row["endedAt"] is not None)

    assert (turn["state"], turn["outcome"]["text"]) == ("done", DONE)
    assert walk.effects() == ["published"]
    task = walk.get(f"/tasks/{parked['taskId']}")["task"]
    assert task["state"] == "done"
    thread = walk.get("/sessions/agent:ada:main")["session"]["threadId"]
    said = walk.get(f"/threads/{thread}/messages", limit=50)["messages"]
    assert [(m["senderType"], m["text"]) for m in said] == [("human", TEXT), ("agent", DONE)]

    (act,) = [row for row in walk.get("/receipts", capability=COMMAND)["receipts"]
              if row["verdict"] == "allow" and row.get("of") is None]  # fmt: skip
    why = walk.type("why", act["id"])
    answer, _, chain = why.partition("\n\n")
    for named in (act["id"], COMMAND, task["id"], f"{number} (used), answered by owner"):
        assert named in answer
    rows = [line.split() for line in chain.splitlines()]
    asker = asked["askedBy"]
    for words in ({asker, "turn.accept"}, {asker, "approval.decide", f"approval:{number}"},
                  {COMMAND, "refuse", "approval"}):  # fmt: skip
        assert any(words <= set(row) for row in rows), chain
