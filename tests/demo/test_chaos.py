"""`demo --chaos`: kill -9 in the middle; everything finishes, nothing happens twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from homarus.demo.chaos import Chaos, Victim
from tests.demo.test_demo import demo
from tests.support.profile import Profile

ROUNDS = {"ci": 1, "full": 10}
NAMES = {"a": "pm", "b": "scoder"}


def tasks(*states: str) -> list[dict[str, Any]]:
    """`T-1`, `T-2`, … ; `pm:in_progress` is assigned to pm."""
    ids = {name: ref for ref, name in NAMES.items()}
    made = []
    for n, text in enumerate(states, 1):
        agent, _, state = text.rpartition(":")
        made.append(
            {"number": f"T-{n}", "canonicalState": state, "assignedAgentId": ids.get(agent)}
        )
    return made


@pytest.mark.parametrize(
    "at, expected",
    [
        (tasks("done", "pm:in_progress", "queued"), None),
        (tasks("done", "done", "queued"), None),
        (tasks("done", "done", "pm:in_progress"), Victim("pm", "T-3")),
        (tasks("done", "scoder:in_progress", "done"), Victim("scoder", "T-2")),
    ],
)
def test_when_an_agent_is_killed(at: list[dict[str, Any]], expected: Victim | None) -> None:
    assert Chaos().agent_to_kill(at, NAMES) == expected


@pytest.mark.parametrize(
    "at, expected",
    [
        (tasks("done", "done", "done", "pm:in_progress", "scoder:in_progress"), None),
        (tasks("done", "done", "pm:in_progress", "done", "done"), None),
        (
            tasks("done", "done", "pm:in_progress", "done", "done", "scoder:in_progress"),
            Victim("scoder", "T-6"),
        ),
        (tasks(*["done"] * 2, "pm:in_progress", *["done"] * 4), None),
        (tasks(*["done"] * 2, "pm:in_progress", *["done"] * 5), Victim("pm", "T-3")),
    ],
)
def test_when_the_daemon_is_killed(at: list[dict[str, Any]], expected: Victim | None) -> None:
    chaos = Chaos()
    assert chaos.daemon_to_kill(at, NAMES) is None, "an agent comes first"
    chaos.struck(Victim("pm", "T-3"), "kill -9")
    assert chaos.agent_to_kill(at, NAMES) is None, "one agent is enough"
    assert chaos.daemon_to_kill(at, NAMES) == expected


def test_chaos_that_came_too_late_is_said() -> None:
    chaos = Chaos()
    chaos.give_up_when_finished(tasks("done", "queued"))
    assert not chaos.over
    chaos.give_up_when_finished(tasks("done", "done"))
    assert chaos.over
    assert not chaos.check().ok


@pytest.mark.crash
@pytest.mark.timeout(1_500)
def test_everything_finishes_once(tree: Path, tmp_path: Path, profile: Profile) -> None:
    for round_ in range(ROUNDS[profile.name]):
        place = tmp_path / f"place-{round_}"
        place.mkdir()
        done = demo(str(tree), "--chaos", "--json", place=place)
        assert done.returncode == 0, done.stdout + done.stderr
        outcome = json.loads(done.stdout)
        assert outcome["ok"]
        assert len(outcome["chaos"]) == 2
        assert all(check["ok"] for check in outcome["checks"])
