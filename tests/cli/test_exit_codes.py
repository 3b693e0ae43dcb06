"""How a command ends, and what it says when it fails."""

import json
from typing import Any

import pytest

from tests.support.commands import Terminal
from tests.support.scripted_http import DROP, Answer, scripted


@pytest.mark.parametrize(
    "answer, code",
    [
        (Answer(200, {"agents": []}), 0),
        (Answer(500, {"error": "no", "code": "internal"}), 1),
        (Answer(400, {"error": "no", "code": "request.schema"}), 2),
        (Answer(404, {"error": "no", "code": "agent.unknown"}), 3),
        (Answer(403, {"error": "no", "code": "stop.company", "rule": "stop"}), 4),
        (Answer(401, {"error": "no", "code": "identity.unknown"}), 4),
        (Answer(409, {"error": "no", "code": "task.lease_lost"}), 5),
        (DROP, 6),
    ],
)
def test_exit_code(homarus: Terminal, answer: Answer, code: int) -> None:
    with scripted(answer) as server:
        homarus.runs(server.url)
        assert homarus("agent", "list").code == code


BODY: dict[str, Any] = {
    "error": "your lease on T-1 ended",
    "code": "task.lease_lost",
    "remedy": "Claim another one.",
}


def test_an_error_says_what_and_what_to_do(homarus: Terminal) -> None:
    with scripted(Answer(409, BODY)) as server:
        homarus.runs(server.url)
        ran = homarus("agent", "list")
    assert ran.out == ""
    assert ran.err == "task.lease_lost: your lease on T-1 ended\nClaim another one.\n"


def test_an_error_as_json(homarus: Terminal) -> None:
    with scripted(Answer(409, {**BODY, "details": {"holder": "x"}})) as server:
        homarus.runs(server.url)
        ran = homarus("agent", "list", "--json")
    assert ran.out == ""
    assert json.loads(ran.err) == {**BODY, "holder": "x"}


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["agent", "list"], 6),
        (["nonsense"], 2),
        (["task", "claim"], 2),
        (["agent", "list", "--limit", "0"], 2),
        (["--url", "http://127.0.0.1:1", "agent", "list"], 2),
        (["--url", "ftp://h", "--token", "t", "agent", "list"], 2),
        (["sql", "select 1"], 3),
        (["token", "show"], 3),
        (["agent", "update", "x"], 2),
    ],
)
def test_without_a_daemon(homarus: Terminal, arguments: list[str], code: int) -> None:
    assert homarus(*arguments).code == code


def test_a_usage_error_as_json(homarus: Terminal) -> None:
    ran = homarus("task", "claim", "--json")
    assert json.loads(ran.err)["code"] == "cli.usage"


def test_agents_cannot_steer_the_terminal(homarus: Terminal) -> None:
    rows = [{"name": "\x1b[2Jx\u202e", "id": "i", "role": "a\nb"}]
    with scripted(Answer(200, {"agents": rows})) as server:
        homarus.runs(server.url)
        ran = homarus("agent", "list")
    assert "\x1b" not in ran.out
    assert "\\x1b[2Jx\\u202e" in ran.out
    assert len(ran.out.splitlines()) == 2
