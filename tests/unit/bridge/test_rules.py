"""Pure decisions of a bridge, as tables (control-plane contract, 13)."""

from typing import Any

import pytest

from homarus.bridge.rules import (
    Attention,
    attention,
    fingerprint,
    has_room,
    is_held,
    may_bring_work,
    names,
    next_waiting,
    reconnect_delay_s,
    stopped_by,
    unanswered,
)
from homarus.client.shapes import Message, Stop, Task

ME, OTHER = "agent-me", "agent-other"


@pytest.mark.parametrize(
    "attempt, chance, expected",
    [
        (0, 0.0, 2.0),
        (0, 1.0, 2.4),
        (1, 0.0, 4.0),
        (3, 0.5, 17.6),
        (4, 1.0, 38.4),
        (5, 0.0, 60.0),
        (5, 1.0, 60.0),
        (10_000, 0.0, 60.0),
    ],
)
def test_reconnect_delay(attempt: int, chance: float, expected: float) -> None:
    assert reconnect_delay_s(attempt, chance) == pytest.approx(expected)


@pytest.mark.parametrize(
    "attempt, base, cap, expected", [(0, 0.5, 10, 0.5), (2, 0.5, 10, 2.0), (9, 0.5, 10, 10.0)]
)
def test_reconnect_delay_of_a_configuration(
    attempt: int, base: float, cap: float, expected: float
) -> None:
    assert reconnect_delay_s(attempt, 0.0, base, cap) == expected


@pytest.mark.parametrize(
    "active, limit, expected", [(0, 1, True), (1, 1, False), (1, 2, True), (3, 2, False)]
)
def test_has_room(active: int, limit: int, expected: bool) -> None:
    assert has_room(active, limit) is expected


def task(id_: str = "t", state: str = "inbox", **more: Any) -> Task:
    return Task(id=id_, state=state, **more)


@pytest.mark.parametrize(
    "tasks, expected",
    [
        ([], None),
        ([task()], "t"),
        ([task(state="queued")], "t"),
        ([task(state="in_progress")], None),
        ([task(state="review")], None),
        ([task(canonical_state="queued")], "t"),
        ([task(canonical_state="inbox")], None),
        ([task(blocked_by=1)], None),
        ([task(assigned_member_id="m")], None),
        ([task(assigned_agent_id=OTHER)], None),
        ([task(assigned_agent_id=ME)], "t"),
        ([task("seen")], None),
        ([task("b", created_at="2"), task("a", created_at="1")], "a"),
        ([task("b", created_at="1"), task("a", created_at="2", priority=1)], "a"),
    ],
)
def test_what_is_waiting(tasks: list[Task], expected: str | None) -> None:
    found = next_waiting(tasks, ME, {"seen"})
    assert (found and found.id) == expected


@pytest.mark.parametrize(
    "frame, expected",
    [
        ({"state": "inbox"}, True),
        ({"state": "inbox", "assignedAgentId": ME}, True),
        ({"state": "inbox", "assignedAgentId": OTHER}, False),
        ({"state": "in_progress"}, False),
        ({"state": "review"}, False),
        ({"state": "done", "assignedAgentId": OTHER}, True),
        ({}, False),
    ],
)
def test_which_frames_are_a_reason_to_look(frame: dict[str, Any], expected: bool) -> None:
    assert may_bring_work(frame, ME) is expected


@pytest.mark.parametrize(
    "given, expected",
    [
        (task(state="in_progress", assigned_agent_id=ME), True),
        (task(state="in_progress", assigned_agent_id=OTHER), False),
        (task(state="in_progress"), False),
        (task(state="done", assigned_agent_id=ME), False),
    ],
)
def test_is_held(given: Task, expected: bool) -> None:
    assert is_held(given, ME) is expected


@pytest.mark.parametrize(
    "scope, subject, expected",
    [
        ("company", "c", True),
        ("agent", ME, True),
        ("agent", OTHER, False),
        ("project", "p", True),
        ("project", "q", False),
        ("task", "t", True),
        ("trace", "tr", True),
        ("trace", "other", False),
    ],
)
def test_stop_covers(scope: str, subject: str, expected: bool) -> None:
    stop = Stop(id="s", scope=scope, subject=subject)
    assert (stopped_by([stop], ME, "p", "t", "tr") is stop) is expected
    assert stopped_by([], ME, "p", "t", "tr") is None


def message(text: str = "hello", **more: Any) -> Message:
    return Message(**({"id": "m", "sender_type": "human", "text": text} | more))


@pytest.mark.parametrize(
    "given, mine, addressed_only, expected",
    [
        (message(), False, False, Attention.ANSWER),
        (message(), False, True, Attention.OBSERVE),
        (message("hey @Tally!"), False, True, Attention.ANSWER),
        (message("mail a@tally.example"), False, True, Attention.OBSERVE),
        (message(target_agent_id=ME), False, True, Attention.ANSWER),
        (message(target_agent_id=OTHER), False, False, Attention.IGNORE),
        (message(thread_type="direct"), True, True, Attention.ANSWER),
        (message(thread_type="direct"), False, False, Attention.IGNORE),
        (message(sender_type="agent", sender_id=ME), False, False, Attention.IGNORE),
        (message(sender_type="agent", sender_id=OTHER), False, False, Attention.IGNORE),
        (
            message(sender_type="agent", sender_id=OTHER, target_agent_id=ME),
            False, False, Attention.OBSERVE,
        ),
        (message(sender_type="system"), False, False, Attention.IGNORE),
    ],
)  # fmt: skip
def test_attention(given: Message, mine: bool, addressed_only: bool, expected: Attention) -> None:
    assert attention(given, ME, "tally", mine=mine, addressed_only=addressed_only) is expected


@pytest.mark.parametrize(
    "text, expected",
    [("@tally", True), ("@TALLY?", True), ("@tally2", False), ("x@tally", False), ("tally", False)],
)
def test_names(text: str, expected: bool) -> None:
    assert names(text, "tally") is expected


def test_unanswered_is_what_came_after_the_last_word() -> None:
    thread = [
        message("a", id="1"),
        message("mine", id="2", sender_type="agent", sender_id=ME),
        message("b", id="3", delivery_state="queued"),
        message("other", id="4", sender_type="agent", sender_id=OTHER),
        message("c", id="5", delivery_state="acting"),
        message("d", id="6", delivery_state="queued"),
    ]
    assert [m.id for m in unanswered(thread, ME)] == ["3", "6"]


def test_fingerprint() -> None:
    assert fingerprint({"id": "a", "state": "done", "updatedAt": "x"}) == "task:a:done:x"
