"""kill -9 under an accepted request: the same key has the answer after the restart, once."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from homarus.demo.children import Child, Daemon, Ready
from homarus.testing.daemon import key

BODY = {"model": "openclaw/ada", "input": "Hello there"}
TIMEOUT_S = 30.0


class Mortal(Daemon):
    """A daemon that dies at a failpoint."""

    def __init__(self, home: Path, log: Path, point: str) -> None:
        arguments = ["homarus.cli.main", "up", "--json", "--home", str(home), "--port", "0"]
        Child.__init__(
            self, arguments, log, {"HOMARUS_FAILPOINT": point}, stdout=subprocess.PIPE
        )  # fmt: skip
        self.ready = Ready(**json.loads(self._first_line()))


def client(home: Path, ready: Ready) -> httpx2.Client:
    token = (home / "run" / "owner.token").read_text().strip()
    return httpx2.Client(
        base_url=ready.url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S
    )


def hire(home: Path, ready: Ready) -> None:
    with client(home, ready) as owner:
        made = owner.post("/api/v1/agents", json={"name": "ada"}, headers=key()).json()
        change = {"executor": "llm", "llmModel": "scripted"}
        id_ = made["agent"]["id"]
        owner.patch(f"/api/v1/agents/{id_}", json=change, headers=key()).raise_for_status()


def ask(home: Path, ready: Ready, **more: Any) -> httpx2.Response:
    with client(home, ready) as owner:
        return owner.post("/v1/responses", json=BODY | more, headers={"Idempotency-Key": "k"})


@pytest.mark.parametrize("point", ["turn.started", "turn.asked", "turn.answered", "turn.finished"])
def test_the_answer_comes_once(tmp_path: Path, point: str) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    first = Daemon(home, log)
    hire(home, first.ready)
    first.stop()
    second = Mortal(home, log, point)
    with pytest.raises(httpx2.TransportError):
        ask(home, second.ready)
    assert second.wait(TIMEOUT_S) == -9
    third = Daemon(home, log)
    try:
        answers = [ask(home, third.ready) for _ in range(2)]
        assert [reply.status_code for reply in answers] == [200, 200]
        one, other = (reply.json() for reply in answers)
        assert one == other
        assert one["output"][0]["content"][0]["text"].startswith("You said: Hello there")
        with client(home, third.ready) as owner:
            (turn,) = owner.get("/api/v1/turns").json()["turns"]
            history = owner.get(f"/api/v1/sessions/{turn['sessionKey']}/history").json()["entries"]
            (_, thread) = (None, owner.get(f"/api/v1/sessions/{turn['sessionKey']}").json())
            place = thread["session"]["threadId"]
            said = owner.get(f"/api/v1/threads/{place}/messages?sinceSeq=0").json()["messages"]
        assert [line["message"]["role"] for line in history] == ["user", "assistant"]
        assert [message["senderType"] for message in said] == ["human", "agent"]
    finally:
        third.stop()
