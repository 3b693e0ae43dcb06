"""Executors on the command line: configured at creation, looked after by `homarus doctor`."""

import pytest

from homarus.cli.agent import NAMES
from homarus.company import executors
from tests.support.commands import Running


def test_the_command_line_offers_every_executor() -> None:
    assert NAMES == executors.NAMES


def test_agents_with_executors_and_what_doctor_says_of_them(running: Running) -> None:
    made = running.json(
        "agent", "create", "gina", "--executor", "openresponses", "--executor-config",
        '{"url": "http://127.0.0.1:9"}',
    )  # fmt: skip
    assert made["agent"]["executorConfig"] == {"url": "http://127.0.0.1:9"}
    running.json("agent", "create", "lea", "--executor", "llm")
    running.json("agent", "create", "sam", "--executor", "llm", "--model", "scripted")
    running.json(
        "agent", "create", "cody", "--executor", "claude_code",
        "--executor-config", '{"program": "no-such-program"}',
    )  # fmt: skip
    checks = {c["name"]: c for c in running("--json", "doctor").json["checks"]}
    found = {name: checks[f"agent: {name}"] for name in ("gina", "lea", "sam", "cody")}
    assert {name: check["verdict"] for name, check in found.items()} == {
        "gina": "warn", "lea": "warn", "sam": "ok", "cody": "fail",
    }  # fmt: skip
    assert "homarus model add" in found["lea"]["remedy"]
    assert "no-such-program" in found["cody"]["detail"]


@pytest.mark.parametrize("config", ["{", "[]", "7"])
def test_a_configuration_that_is_none(running: Running, config: str) -> None:
    ran = running("agent", "create", "x", "--executor", "llm", "--executor-config", config)
    assert ran.code == 2 and "--executor-config" in ran.err


def test_help_says_what_the_executors_are(running: Running) -> None:
    for command in ("create", "update"):
        told = running("agent", command, "--help").out
        assert "claude_code    an installed Claude Code CLI" in told
