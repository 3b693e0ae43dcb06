"""`homarus mirror` and `homarus outbox` against a running daemon and a receiver on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from homarus.testing.hook_receiver import Receiver
from homarus.testing.waiting import seen
from tests.support.commands import Ran, Running

KEY = "a key of thirty-two characters ..."


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver(KEY.encode()) as made:
        yield made


@pytest.fixture(scope="module")
def board(
    running: Running, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Running:
    """A company with a secret for the receiver, and one task."""
    folder = tmp_path_factory.mktemp("secret")
    (folder / "key").write_text(KEY)
    (folder / "config").write_text(json.dumps({"hosts": [f"127.0.0.1:{receiver.port}"]}))
    made = running(
        "resource", "create", "board-hook", "--type", "secret", "--provider", "webhook",
        "--text", str(folder / "config"), "--secret", str(folder / "key"),
    )  # fmt: skip
    assert made.code == 0, made.err
    assert running("project", "create", "launch").code == 0
    made = task(running, "first")
    assert made.code == 0, made.err
    return running


def task(board: Running, title: str) -> Ran:
    return board(
        "task", "create", title, "--project", "launch", "--type", "test_task", "--underspecified"
    )


def config(receiver: Receiver, **more: object) -> str:
    return json.dumps({"url": receiver.url, "secret": "secret://board-hook"} | more)


def test_a_mirror_from_its_first_check_to_its_removal(
    board: Running, receiver: Receiver, tmp_path: Path
) -> None:
    mapping = tmp_path / "board.yaml"
    mapping.write_text("entities: {task: {fields: {Title: title, State: state}}}")
    words = ("--type", "webhook", "--config", config(receiver), "--mapping", str(mapping))
    checked = board("mirror", "check", *words)
    assert checked.code == 0, checked.err
    assert "'Title': 'first'" in checked.out
    assert board("mirror", "list").out.startswith("No mirror yet")
    added = board("mirror", "add", "board", *words, "--delay", "0")
    assert added.code == 0, added.err
    assert receiver.until("homarus:task:T-1", Title="first")
    assert "well" in board("mirror", "check", "board").out
    assert task(board, "second").code == 0
    assert receiver.until("homarus:task:T-2", Title="second")
    shown = board.json("mirror", "list")["mirrors"]
    assert [(m["name"], m["state"], m["held"]) for m in shown] == [("board", "active", None)]
    assert "board" in board("status").out
    receiver.answers.append(422)
    assert task(board, "refused").code == 0
    seen(lambda: board.json("mirror", "status", "board")["mirror"]["troubles"])
    (trouble,) = board.json("mirror", "status", "board")["mirror"]["troubles"]
    assert (trouble["status"], trouble["number"]) == ("pending", "T-3")
    told = f"T-3 since {trouble['createdAt']}: the receiver answered 422"
    assert told in board("mirror", "status", "board").out
    assert board("outbox", "retry", trouble["row"]).code == 0
    assert receiver.until("homarus:task:T-3", Title="refused")
    assert board("mirror", "pause", "board", "--reason", "moving").out == "board rests.\n"
    assert task(board, "third").code == 0
    refused = board("mirror", "remove", "board")
    assert (refused.code, "1 changes wait" in refused.err) == (5, True)
    (row,) = board.json("outbox", "list", "--status", "pending")["rows"]
    assert row["action"] == "create"
    assert board("outbox", "show", row["id"]).code == 0
    assert board("outbox", "drop", row["id"], "--reason", "not needed").code == 0
    assert board.json("outbox", "retry", row["id"])["row"]["status"] == "pending"
    assert board("mirror", "resume", "board").code == 0
    assert receiver.until("homarus:task:T-4", Title="third")
    assert board("mirror", "resync", "board").code == 0
    assert board("mirror", "conflicts", "board").out == "No conflict is open.\n"
    assert board("mirror", "resolve", "7").code == 3
    assert board("mirror", "pause", "board").code == 0
    # what the resync had in flight when it was paused comes down first
    seen(lambda: board("mirror", "remove", "board", "--drop", "done with it").code == 0)
    assert board("outbox", "drop", "--mirror", "board", "--reason", "x").code == 3


@pytest.mark.parametrize(
    "more, mapping, said",
    [
        ({"url": "http://example.com/x"}, "", "config.url"),
        ({"secret": "clear text"}, "", "config.secret"),
        ({"secret": "secret://nothing"}, "", "no resource 'nothing'"),
        ({"lokup": False}, "", "Did you mean lookup"),
        ({"perMinute": 0}, "", "config.perMinute"),
        ({}, "entities: {task: {fields: {Title: titel}}}", "entities.task.fields.Title"),
        ({}, "entities: {task: {fields: {P: {from: priority, as: date}}}}", "`as: number or text`"),
        ({}, "entities: {tasks: {fields: {T: title}}}", "Did you mean task"),
        ({}, "entities: [", "mapping:2:1"),
        ({}, "entities: {}", "it names none"),
        ({}, "a: &a [*a]", "alias"),
    ],
)
def test_what_is_refused(
    board: Running, receiver: Receiver, tmp_path: Path, more: dict[str, object], mapping: str,
    said: str,
) -> None:  # fmt: skip
    path = tmp_path / "m.yaml"
    path.write_text(mapping)
    words = ("--type", "webhook", "--config", config(receiver, **more), "--mapping", str(path))
    ran = board("mirror", "add", "other", *words)
    assert (ran.code, said in ran.err) == (2, True), ran.err


def test_two_mirrors_on_one_target_and_other_targets(board: Running, receiver: Receiver) -> None:
    words = ("--type", "webhook", "--config", config(receiver))
    assert board("mirror", "add", "one", *words, "--delay", "3600").code == 0
    refused = board("mirror", "add", "two", *words)
    assert (refused.code, "already writes there" in refused.err) == (5, True)
    assert board("mirror", "add", "one", "--type", "webhook", "--config",
                 config(receiver, url=f"{receiver.url}/b")).code == 5  # fmt: skip
    assert board("mirror", "add", "x", "--type", "fax").code == 2
    assert board("mirror", "check").code == 2
    assert board("mirror", "remove", "one", "--drop", "x").code == 0
