"""`homarus query`: its exit codes, and that --task keeps the answer."""

from typing import Any

import pytest

from tests.support.commands import Running


@pytest.fixture(scope="module")
def office() -> str:
    return "query-office"


def found(running: Running, slug: str) -> Any:
    running("company", "create", slug)
    running("--company", slug, "agent", "create", "pm", "--role", "pm")
    running("--company", slug, "agent", "create", "scoder", "--role", "scoder",
            "--skill", "architecture", "--skill", "design")  # fmt: skip
    running("--company", slug, "capability", "register", "--title", "Edit the openclaw config file",
            "openclaw-config.editor", "--", "true")  # fmt: skip
    running("--company", slug, "capability", "register", "--title", "Close the books", "--grant",
            "role:finance", "ledger.close", "--", "true")  # fmt: skip


@pytest.mark.parametrize(
    ("intent", "agent", "code", "verdict"),
    [
        ("modify openclaw config file", "pm", 0, "hit"),
        ("brew some coffee", "pm", 3, "none"),
        ("close the books", "pm", 4, "not_permitted"),
        ("design an architecture", "pm", 5, "other"),
        ("design an architecture", "scoder", 3, "none"),
    ],
)
def test_exit_codes(
    running: Running, office: str, intent: str, agent: str, code: int, verdict: str
) -> None:
    found(running, office)
    told = running("--company", office, "query", "--intent", intent, "--agent", agent)
    assert told.code == code
    assert verdict.replace("_", " ") in told.out
    as_json = running("--company", office, "query", "--intent", intent, "--agent", agent, "--json")
    assert (as_json.code, f'"verdict": "{verdict}"' in as_json.out) == (code, True)


def test_an_unknown_agent_is_a_usage_error(running: Running, office: str) -> None:
    found(running, office)
    assert running("--company", office, "query", "--intent", "x", "--agent", "nobody").code == 2
    assert running("--company", office, "query").code == 2


def test_for_a_task_it_is_kept(running: Running, office: str) -> None:
    found(running, office)
    running.json("--company", office, "project", "create", "Know")
    running.json(
        "--company", office, "task", "create", "Config", "--project", "P-1", "--type", "edit_file",
        "--description", "d", "--done-when", "done", "--deliverable", "a file",
    )  # fmt: skip
    row = running.json(
        "--company", office, "query", "--intent", "modify openclaw config file", "--agent", "pm",
        "--task", "T-1",
    )  # fmt: skip
    assert (row["status"], row["kind"]) == ("live", "query")


def test_the_checklist_names_every_item(running: Running, office: str) -> None:
    found(running, office)
    told = running("--company", office, "checklist", "pm")
    assert told.code == 0
    assert [line.split()[0] for line in told.out.splitlines()][1:4] == ["A1", "A2", "A3"]
    assert running("--company", office, "checklist", "nobody").code == 3
    items = running.json("--company", office, "checklist", "pm", "--task", "T-1")
    assert items["checklist"]["items"][-1]["id"] == "P9"


def test_a_new_agent_is_taken_through_its_course(running: Running, office: str) -> None:
    found(running, office)
    shown = running("--company", office, "agent", "onboard", "pm")
    assert (shown.code, "Basic ideas" in shown.out) == (0, True)
    opened = running("--company", office, "agent", "onboard", "pm", "--week", "1")
    assert "1.1" in opened.out and "b)" in opened.out
    wrong = running(
        "--company", office, "agent", "onboard", "pm", "--week", "1", "--answers", "a,c,a,b"
    )
    assert "wrong: 1.1" in wrong.out
    short = running("--company", office, "agent", "onboard", "pm", "--week", "1", "--answers", "b")
    assert short.code == 2
    assert running("--company", office, "agent", "onboard", "pm", "--answers", "b").code == 2
    assert running("--company", office, "agent", "onboard", "pm", "--week", "2").code == 5
