"""Plain progress: one line for each change, and none where nothing changed."""

from typing import Any

from homarus.demo.progress import Lines


def task(number: int, state: str, agent: str | None = None) -> dict[str, Any]:
    return {
        "id": f"id-{number}",
        "number": f"T-{number}",
        "title": f"Task {number}",
        "canonicalState": state,
        "assignedAgentId": agent,
    }


def test_lines() -> None:
    said: list[str] = []
    lines = Lines(said.append, lambda: 7.0)
    names = {"a": "pm"}
    lines.show([task(1, "queued"), task(2, "queued")], names)
    lines.show([task(1, "in_progress", "a"), task(2, "queued")], names)
    lines.show([task(1, "in_progress", "a"), task(2, "queued")], names)
    lines.show([task(1, "done", "a"), task(2, "in_progress", "x")], names)
    assert said == [
        "   0.0 s  T-1   in_progress  pm        Task 1\n",
        "   0.0 s  T-1   done         pm        Task 1\n",
        "   0.0 s  T-2   in_progress            Task 2\n",
    ]
