"""`homarus import openclaw`: what is taken, once, whatever happens on the way."""

import json
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.port import ModelRequest, Text
from tests.importers import claw
from tests.importers.claw import answer, chain, user
from tests.importers.conftest import Office

MAIN = "agent:main:main"
GROUP = "agent:main:telegram:group:7"


def steps(report: dict[str, Any]) -> dict[str, Any]:
    """What is to be made, without what is there."""
    return {
        part: [row for row in report[part] if row["state"] != "there"]
        for part in ("agents", "sessions", "files")
    }


def not_taken(report: dict[str, Any]) -> dict[str, str]:
    return {row["what"]: row["why"] for row in report["notTaken"]}


def texts(request: ModelRequest) -> str:
    return "\n".join(p.text for m in request.messages for p in m.content if isinstance(p, Text))


@pytest.mark.parametrize("generation", ["R3", "R4"])
def test_the_dry_run_is_what_is_done_and_the_second_time_nothing(
    office: Office, tmp_path: Path, generation: str
) -> None:
    root = claw.furnished(tmp_path / "claw", generation).root
    dry = office.look(root)
    assert office.json("session", "list")["sessions"] == [], "a dry run makes nothing"
    assert [(row["key"], row["lines"]) for row in dry["sessions"]] == [(MAIN, 7), (GROUP, 2)]
    assert [row["to"] for row in dry["files"]] == ["SOUL.md", "memory/2026-03-01.md"]
    done = office.take(root)
    assert done["made"] == steps(dry)
    assert (dry["made"], done["dryRun"]) == (None, False)
    before = (office.history(MAIN), office.json("session", "list"))
    again = office.take(root)
    assert (steps(again), again["dryRun"]) == ({"agents": [], "sessions": [], "files": []}, True)
    assert (office.history(MAIN), office.json("session", "list")) == before


def test_nothing_happens_before_a_yes(office: Office, tmp_path: Path) -> None:
    root = str(claw.furnished(tmp_path / "claw").root)
    ran = office("import", "openclaw", root, typed="n\n")
    assert (ran.code, "agent main: to be made" in ran.out, "Made" in ran.out) == (0, True, False)
    assert office.json("session", "list")["sessions"] == []
    ran = office("import", "openclaw", root, typed="y\n")
    assert ran.out.endswith("Made 2 agents, 2 sessions with 9 lines, 2 files.\n")


def test_only_one_agent(office: Office, tmp_path: Path) -> None:
    root = claw.furnished(tmp_path / "claw").root
    report = office.take(root, "--agent", "scout")
    assert report["made"] == {"agents": [{"name": "scout", "state": "make"}], "sessions": [],
                              "files": []}  # fmt: skip
    ran = office("import", "openclaw", str(root), "--agent", "nobody")
    assert (ran.code, ran.error) == (3, "import.no_agent")


def test_the_conversation_goes_on_where_it_stood(office: Office, tmp_path: Path) -> None:
    office.take(claw.furnished(tmp_path / "claw").root)
    office("agent", "update", "main", "--model", "scripted")
    ran = office("chat", "main", "-m", "What is she called?")
    assert (ran.code, "Petrel." in ran.out) == (0, True), ran.err
    assert "The boat is called Petrel." in texts(office.model.requests[-1])
    assert "Petrel it is." in texts(office.model.requests[-1])
    lines = office.history(MAIN)
    assert [row["seq"] for row in lines] == list(range(1, 10))
    assert lines[3]["at"] == claw.AT


def test_the_words_of_others_are_data(office: Office, tmp_path: Path) -> None:
    office.take(claw.furnished(tmp_path / "claw").root)
    (line, _) = office.history(GROUP)
    assert line["message"]["content"] == [
        {"type": "text", "text": "hello all", "source": "somebody, before this was imported"}
    ]


def test_settings_and_counts_come_along(office: Office, tmp_path: Path) -> None:
    office.take(claw.furnished(tmp_path / "claw").root)
    row = office.json("session", "show", MAIN)["session"]
    assert (row["label"], row["thinking"], row["inputTokens"]) == ("Desk", "low", 70)
    assert row["lastInteractionAt"] == "2026-03-01T11:00:00.000Z"
    assert office.json("session", "show", GROUP)["session"]["kind"] == "group"


def test_no_credential_gets_anywhere(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    made.transcript("main", claw.MAIN, chain(user(f"my key is {claw.KEY}"), answer(claw.KEY)))
    made.write("workspace/notes.md", f"key {claw.KEY}")
    ran = office("import", "openclaw", str(made.root), "--yes")
    report = office.look(made.root)
    said = f"{ran.out}{ran.err}{report}{office.history(MAIN)}"
    assert claw.KEY not in said and "my key is [redacted]" in said
    assert "it holds a credential" in not_taken(report)[str(made.root / "workspace/notes.md")]
    assert not (office.workspace("main") / "notes.md").exists()
    where = "openclaw.json: models.providers.anthropic.apiKey"
    assert not_taken(report)[where] == "credentials are never copied"
    assert report["models"][0]["command"] == (
        "homarus model add default --dialect anthropic --base-url https://api.anthropic.com "
        "--model claude-sonnet-4 --key-stdin"
    )


def test_models_that_are_here_need_not_be_added(office: Office, tmp_path: Path) -> None:
    root = claw.furnished(tmp_path / "claw").root
    assert [row["name"] for row in office.look(root)["models"]] == ["default", "qwen3"]
    office("model", "add", "--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--no-key")
    assert [row["name"] for row in office.look(root)["models"]] == ["qwen3"]


def test_what_is_not_taken_is_named(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    found = not_taken(office.look(made.root))
    for what in ("openclaw.json: bindings", "openclaw.json: channels.telegram"):
        assert found[what], what


def test_jobs_of_its_clock_are_taken_with_the_agents(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    rows = [
        {"id": "j1", "name": "Digest", "agentId": "scout", "enabled": False,
         "schedule": {"kind": "cron", "expr": "0 8 * * *", "tz": "Europe/Paris"},
         "sessionTarget": "isolated", "payload": {"kind": "agentTurn", "message": "Sum up."}},
        {"id": "j2", "name": "Beat", "payload": {"kind": "heartbeat"},
         "schedule": {"kind": "every", "everyMs": 60_000}},
    ]  # fmt: skip
    made.write("cron/jobs.json", json.dumps({"version": 1, "jobs": rows}))
    looked = office.look(made.root)["cron"]
    assert [job["name"] for job in looked["jobs"]] == ["Digest"]
    assert [left["what"] for left in looked["left"]] == ["Beat"]
    taken = office.take(made.root)["cron"]
    assert [job["outcome"] for job in taken["jobs"]] == ["made"]
    assert "cron.scout.j1" in office("cron", "list").out
    assert office.look(made.root)["cron"]["jobs"] == []


def test_a_cron_file_that_cannot_be_read_is_a_finding(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    made.write("cron/jobs.json", "{")
    assert [left["what"] for left in office.look(made.root)["cron"]["left"]] == ["cron/jobs.json"]


def test_killed_in_between_it_goes_on(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    made.transcript("main", claw.MAIN, chain(*(user(f"line {n}") for n in range(1, 251))))
    assert office.dies("import.piece:2", "import", "openclaw", str(made.root), "--yes") == -9
    left = office.look(made.root)
    assert left["sessions"][0] == {"key": MAIN, "sourceId": claw.MAIN, "state": "go_on",
                                   "lines": 250, "toSend": 150, "live": True}  # fmt: skip
    assert office("session", "show", MAIN).code == 3, "nobody speaks into the middle of it"
    office.take(made.root)
    said = [row["message"]["content"] for row in office.history(MAIN)]
    assert said == [f"line {n}" for n in range(1, 251)]


def test_what_was_said_over_there_since_is_added(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    office.take(made.root)
    more = chain(*(user(f"line {n}") for n in range(1, 10)))
    made.transcript("main", claw.MAIN, [*claw.talk(), *more[7:]])
    assert office.take(made.root)["made"]["sessions"][0]["toSend"] == 2
    assert [row.get("message", {}).get("content") for row in office.history(MAIN)][-2:] == [
        "line 8", "line 9",
    ]  # fmt: skip


def test_nothing_is_put_between_lines_that_were_written_here(
    office: Office, tmp_path: Path
) -> None:
    made = claw.furnished(tmp_path / "claw")
    office.take(made.root)
    office("agent", "update", "main", "--model", "scripted")
    office("chat", "main", "-m", "And here?")
    made.transcript("main", claw.MAIN, chain(*(user(f"line {n}") for n in range(1, 10))))
    report = office.look(made.root)
    assert [row["key"] for row in report["sessions"]] == [GROUP]
    assert "it went on here" in str(not_taken(report))


def test_a_key_that_is_in_use_here_stays_whose_it_is(office: Office, tmp_path: Path) -> None:
    office("agent", "create", "main")
    office("agent", "update", "main", "--executor", "llm", "--model", "scripted")
    office("chat", "main", "-m", "First!")
    root = claw.furnished(tmp_path / "claw").root
    report = office.take(root)
    assert "kept as an ended session" in not_taken(report)[MAIN]
    assert office.history(MAIN)[0]["message"]["content"] == "First!"
    assert office.look(root)["sessions"][0]["state"] == "there"


def test_workspace_files_are_copied_once_and_over_nothing(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    source = made.root / "workspace" / "SOUL.md"
    office("agent", "create", "main")
    there = office.workspace("main")
    there.mkdir(parents=True)
    (there / "SOUL.md").write_text("Mine.\n")
    office.take(made.root)
    assert (there / "SOUL.md").read_text() == "Mine.\n"
    beside = there / "SOUL.from-openclaw.md"
    assert beside.read_text() == "You are kind.\n"
    assert beside.stat().st_mtime_ns == source.stat().st_mtime_ns
    (there / "memory" / "2026-03-01.md").write_text("We sailed far.\n")
    assert steps(office.look(made.root))["files"] == [], "what the agent changed since is its own"


def test_links_lead_nowhere(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    space = made.root / "workspace"
    (space / "out.md").symlink_to(made.root / "openclaw.json")
    (space / "loop.md").symlink_to(space / "loop.md")
    (space / "round").symlink_to(space)
    (space / "alias.md").symlink_to(space / "SOUL.md")
    report = office.take(made.root)
    found = not_taken(report)
    assert [row["to"] for row in report["made"]["files"]] == [
        "SOUL.md", "alias.md", "memory/2026-03-01.md",
    ]  # fmt: skip
    assert "leads out" in found[str(space / "out.md")]
    assert "leads out" in found[str(space / "loop.md")]
    assert "none is followed" in found[str(space / "round")]


def test_a_company_token_may_not(office: Office, tmp_path: Path) -> None:
    token = (office.home / "run" / "company.token").read_text().strip()
    root = claw.furnished(tmp_path / "claw").root
    ran = office("--token", token, "import", "openclaw", str(root), "--yes")
    assert ran.code == 4, ran.err
