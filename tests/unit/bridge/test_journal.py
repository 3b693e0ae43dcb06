"""The journal: fields of the contract, whole or absent, one holder, windows, what is foreign."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from homarus.bridge.journal import (
    STARTED,
    VERSION,
    WINDOW,
    Journal,
    Letter,
    Operation,
    Outcome,
    Window,
    Work,
)
from tests.support.refusals import refused


def written(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text("utf-8"))
    assert isinstance(value, dict)
    return value


def test_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state" / "bridge-state.json"
    with Journal(path) as journal:
        assert journal.lost == "missing"
        journal.state.last_agent_id = "a"
        journal.own.operations["claim:1"] = Operation("a")
        journal.save()
    fields = written(path)
    assert fields["version"] == VERSION
    assert fields["pendingOperationIds"] == ["claim:1"]
    assert fields["lastAgentId"] == "a"
    assert fields["updatedAt"] >= fields["createdAt"] > "2020"
    assert {
        "version", "createdAt", "updatedAt", "backoffSec", "reconnectAttempt", "lastSeenAt",
        "lastSyncAt", "lastRuntimeId", "lastSessionId", "lastAgentId", "recentMessageIds",
        "recentTaskFingerprints", "pendingOperationIds",
    } <= fields.keys()  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_saved_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "j.json"
    work = Work("t", 4, "T-1", "p", "tr", STARTED, Outcome("done", "ok", {"n": 1}), ["l"])
    letter = Letter("m", "th", "hello", reply="hi")
    with Journal(path) as journal:
        journal.own.tasks["t"] = work
        journal.own.letters.append(letter)
        journal.messages.add("msg:m")
        journal.frames.add("task:t:done:x")
        journal.handed_back.add("u")
        journal.own.feed_seq, journal.own.message_seq = 7, 3
        journal.own.adopted = True
        journal.save()
    with Journal(path) as journal:
        assert journal.lost == ""
        assert journal.own.tasks == {"t": work}
        assert journal.own.letters == [letter]
        assert (journal.own.feed_seq, journal.own.message_seq) == (7, 3)
        assert "msg:m" in journal.messages
        assert "task:t:done:x" in journal.frames
        assert "u" in journal.handed_back


@pytest.mark.parametrize(
    "text, lost",
    [
        ("", "torn"),
        ('{"version": 1, "created', "torn"),
        ("[]", "torn"),
        ("\x00" * 64, "torn"),
        ('{"version": 1, "recentMessageIds": 4}', "torn"),
        ('{"version": 1, "homarus": {"tasks": [1]}}', "torn"),
        ('{"version": 2}', "foreign"),
        ('{"version": "1"}', "foreign"),
        ('{"version": true}', "foreign"),
        ("{}", "foreign"),
    ],
)
def test_what_cannot_be_read_is_kept_beside(tmp_path: Path, text: str, lost: str) -> None:
    path = tmp_path / "j.json"
    path.write_text(text)
    with Journal(path) as journal:
        assert journal.lost == lost
        assert journal.own.tasks == {}
        journal.save()
    assert (tmp_path / f"j.json.{lost}").read_text() == text
    assert written(path)["version"] == VERSION


def test_a_journal_of_the_original_is_taken_over(tmp_path: Path) -> None:
    """Its cursor of time, identity and windows hold; what we do not know is kept."""
    path = tmp_path / "j.json"
    theirs = {
        "version": 1, "createdAt": "2026-01-02T03:04:05.678Z", "backoffMs": 4_000,
        "lastSeenAt": "2026-01-02T03:04:05.678Z", "lastAgentId": "a", "lastRuntimeId": "r",
        "recentMessageIds": ["msg:1"], "threadOwners": {"t": "a"}, "localBrainSessionId": "b",
    }  # fmt: skip
    path.write_text(json.dumps(theirs))
    with Journal(path) as journal:
        assert journal.lost == "taken_over", "what it had in hand is not known"
        assert (journal.state.last_agent_id, journal.state.last_runtime_id) == ("a", "r")
        assert "msg:1" in journal.messages
        journal.save()
    fields = written(path)
    assert fields["threadOwners"] == {"t": "a"}
    assert (fields["backoffMs"], fields["createdAt"]) == (4_000, theirs["createdAt"])


def test_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "j.json"
    with Journal(path), refused("bridge.journal_locked"):
        Journal(path)
    Journal(path).close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused("bridge.journal"):
        Journal(tmp_path / "file" / "j.json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_place(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with Journal(place / "j.json") as journal:
        place.chmod(0o500)
        with refused("bridge.journal"):
            journal.save()
        place.chmod(0o700)


def test_another_agent_begins_anew(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.json") as journal:
        journal.messages.add("msg:1")
        journal.own.feed_seq = 9
        journal.save()
        journal.forget()
        assert "msg:1" not in journal.messages
        assert journal.own.feed_seq is None
        journal.save()
    assert written(tmp_path / "j.json.other")["homarus"]["feedSeq"] == 9


@pytest.mark.parametrize("size, kept", [(3, ["b", "c", "d"]), (1, ["d"]), (9, list("abcd"))])
def test_a_window_forgets_the_oldest(size: int, kept: list[str]) -> None:
    keys: list[str] = []
    window = Window(keys, size)
    assert [window.add(key) for key in "abcd"] == [True] * 4
    assert keys == kept
    assert window.add("d") is False
    assert ("a" in window) is ("a" in kept)


def test_a_window_that_was_too_long() -> None:
    keys = [str(n) for n in range(WINDOW + 5)]
    window = Window(keys)
    assert len(keys) == WINDOW
    assert "4" not in window
    assert "5" in window


class Lives(RuleBasedStateMachine):
    """Random changes, saves, torn drafts and deaths: a new life finds the last save, whole."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "j.json"
        self.journal = Journal(self.path)
        self.saved = self.fields()
        self.was_saved = False

    def fields(self) -> tuple[Any, ...]:
        own = self.journal.own
        return (
            {key: (w.token, w.phase) for key, w in own.tasks.items()},
            [letter.id for letter in own.letters],
            [*own.operations],
            list(self.journal.state.recent_message_ids),
            own.feed_seq,
            own.adopted,
        )

    @rule(key=st.sampled_from("abc"), token=st.integers(1, 9))
    def take_task(self, key: str, token: int) -> None:
        self.journal.own.tasks[key] = Work(key, token)

    @rule(key=st.sampled_from("abc"))
    def start_or_drop_task(self, key: str) -> None:
        work = self.journal.own.tasks.get(key)
        if work is None or work.phase == STARTED:
            self.journal.own.tasks.pop(key, None)
        else:
            work.phase = STARTED

    @rule(text=st.text(max_size=20), key=st.integers(0, 40))
    def take_message(self, text: str, key: int) -> None:
        if self.journal.messages.add(f"msg:{key}"):
            self.journal.own.letters.append(Letter(str(key), "th", text))

    @rule(key=st.integers(0, 9))
    def ask(self, key: int) -> None:
        self.journal.own.operations[f"claim:{key}"] = Operation("a", None, 60)

    @rule(seq=st.integers(0, 2**62))
    def move_cursor(self, seq: int) -> None:
        self.journal.own.feed_seq = seq

    @rule()
    def adopt(self) -> None:
        self.journal.own.adopted = True

    @rule()
    def save(self) -> None:
        self.journal.save()
        self.saved, self.was_saved = self.fields(), True

    @rule(draft=st.binary(max_size=50))
    def die(self, draft: bytes) -> None:
        """With a half-written draft beside it, as a kill in the middle of a save leaves it."""
        self.journal.close()
        (self.path.parent / f".{self.path.name}.new").write_bytes(draft)
        self.journal = Journal(self.path)
        adopted = self.journal.own.adopted
        assert self.journal.lost == (
            "" if adopted else "unfinished" if self.was_saved else "missing"
        )
        assert self.fields() == self.saved

    @precondition(lambda self: self.was_saved)
    @invariant()
    def the_file_is_whole(self) -> None:
        fields = written(self.path)
        assert fields["pendingOperationIds"] == [*fields["homarus"]["operations"]]

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


TestLives = Lives.TestCase
