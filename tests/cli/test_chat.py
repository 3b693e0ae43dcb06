"""`homarus chat`, `agent message` and `session` against a running daemon, in a pipe."""

import json

import pytest

from tests.support.commands import Running


@pytest.fixture(scope="module")
def talking(running: Running) -> Running:
    """An agent `ada` that this daemon runs, on the scripted model."""
    assert running("agent", "create", "ada", "--role", "coder").code == 0
    made = running("agent", "update", "ada", "--executor", "llm", "--model", "scripted")
    assert made.code == 0, made.err
    return running


def test_each_line_of_a_pipe_is_a_message(talking: Running) -> None:
    ran = talking("chat", "ada", typed="Hello there\n\nAnd again\n")
    assert ran.code == 0, ran.err
    assert "ada> You said: Hello there" in ran.out
    assert "ada> You said: And again" in ran.out


def test_commands_of_the_chat(talking: Running) -> None:
    before = talking.json("session", "show", "agent:ada:main")["session"]["id"]
    typed = "Remember blue\n/history\n/new\n/history\n/stop\n/nonsense\n/quit\nnot read\n"
    ran = talking("chat", typed=typed)
    assert ran.code == 0, ran.err
    assert "you> Remember blue" in ran.out
    assert ran.out.index("A new conversation.") < ran.out.index("Nothing was under way.")
    assert "There is no /nonsense." in ran.out
    assert "not read" not in ran.out
    after = talking.json("session", "show", "agent:ada:main")["session"]
    assert (after["id"] != before, after["entries"]) == (True, 0)
    old = talking.json("session", "history", before)["entries"]
    assert any(line["message"]["content"] == "Remember blue" for line in old)


def test_one_message_and_its_answer(talking: Running) -> None:
    ran = talking("chat", "ada", "-m", "Just this")
    assert (ran.code, ran.out.startswith("ada> You said: Just this")) == (0, True)
    ran = talking("agent", "message", "ada", "And this", "--wait")
    assert (ran.code, ran.out.startswith("You said: And this")) == (0, True)
    turn = talking.json("agent", "message", "ada", "Later")["turn"]
    assert turn["state"] == "queued"


def test_json_is_a_line_an_answer(talking: Running) -> None:
    ran = talking("--json", "chat", "ada", typed="one\ntwo\n")
    texts = [json.loads(line)["turn"]["text"] for line in ran.out.splitlines()]
    assert texts == ["one", "two"]


def test_sessions_are_listed(talking: Running) -> None:
    keys = [row["key"] for row in talking.json("session", "list", "--agent", "ada")["sessions"]]
    assert keys == ["agent:ada:main"]
    assert talking("session", "abort", "agent:ada:main").out == "0 ended.\n"


def test_what_waits_is_listed_changed_and_dropped(talking: Running) -> None:
    """Behind a STOP, so that nobody begins it."""
    stop = talking.json("stop", "set", "agent", "ada")["stop"]["id"]
    turn = talking.json("agent", "message", "ada", "Wiat")["turn"]["id"]
    assert talking("session", "edit", turn, "Wait").code == 0
    assert "Wait" in talking("session", "queue", "agent:ada:main").out
    assert talking.json("session", "drop", turn)["turn"]["outcome"]["stop"] == "dropped"
    late = talking("session", "drop", turn)
    assert (late.code, "was dropped by" in late.err) == (5, True)
    assert talking("session", "queue", "agent:ada:main").out == "Nothing is under way.\n"
    assert talking("stop", "lift", stop).code == 0


def test_without_a_model_the_chat_says_so(running: Running) -> None:
    running("agent", "create", "bob")
    ran = running("chat", "bob", typed="hi\n")
    assert (ran.code, ran.error) == (5, "agent.not_run_here")
    assert "homarus agent update bob --executor llm" in ran.err
    running("agent", "update", "bob", "--executor", "llm")
    ran = running("chat", "bob", typed="hi\n")
    assert (ran.code, "model.none" in ran.out) == (1, True)
    assert "--model scripted" in ran.out
    assert running("chat", "nobody").code == 3
