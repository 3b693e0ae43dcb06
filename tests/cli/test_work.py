"""The main paths, as a person walks them: each command against a real daemon."""

import hashlib
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Running

NAMES = count(1)
SPEC = ("--type", "count_lines", "--description", "Count.", "--done-when", "counted",
        "--deliverable", "a number")  # fmt: skip


@pytest.fixture
def company(running: Running) -> str:
    """A fresh company with an agent `pm` and a project."""
    slug = f"harbour-{next(NAMES)}"
    running.json("company", "create", slug)
    running.json("--company", slug, "agent", "create", "pm", "--role", "pm", "--concurrency", "5")
    running.json("--company", slug, "project", "create", "Know")
    return slug


@pytest.fixture
def at(running: Running, company: str) -> Any:
    """`at("task", "list")` -> the document, in the fresh company."""

    def run(*arguments: str) -> Any:
        return running.json("--company", company, *arguments)

    return run


def test_company(running: Running, company: str) -> None:
    assert company in [row["slug"] for row in running.json("company", "list")["companies"]]
    assert running.json("company", "show", company)["company"]["template"] == "studio"
    assert running("company", "create", company).code == 5
    assert running("company", "create", "Not A Slug").code == 2
    assert running("company", "show", "nowhere").code == 3
    assert running("--company", "nowhere", "agent", "list").code == 3


def test_agent(at: Any, running: Running, company: str) -> None:
    assert at("agent", "show", "pm")["agent"]["role"] == "pm"
    updated = at("agent", "update", "pm", "--skill", "python", "--skill", "sql")["agent"]
    assert updated["skillsJson"] == ["python", "sql"]
    at("agent", "delete", "pm")
    assert at("agent", "list")["agents"] == []
    assert running("--company", company, "agent", "show", "pm").code == 3


def test_project(at: Any) -> None:
    assert at("project", "show", "P-1")["project"]["goal"] == "Know"
    paused = at("project", "update", "Know", "--status", "paused", "--lead", "pm")["project"]
    assert paused["status"] == "paused"
    assert [row["number"] for row in at("project", "list", "--status", "paused")["projects"]] == [
        "P-1"
    ]


def test_a_task_from_creation_to_done(at: Any, running: Running, company: str) -> None:
    made = at("task", "create", "Count", "--project", "P-1", *SPEC, "--priority", "5")["task"]
    assert (made["number"], made["canonicalState"]) == ("T-1", "queued")
    after = at("task", "create", "Sum", "--project", "P-1", *SPEC, "--needs", "T-1")["task"]
    assert after["blockedByTaskIds"] == [made["id"]]

    claimed = at("task", "claim", "--agent", "pm")["task"]
    assert claimed["number"] == "T-1"
    assert at("task", "claim", "--agent", "pm")["task"] is None
    at("task", "note", "T-1", "half way", "--agent", "pm")
    at("note", "add", "T-1", "nearly there", "--agent", "pm")
    assert len(at("note", "list", "T-1")["notes"]) == 2
    done = at("task", "result", "T-1", "done", "--output", '{"lines": 7}', "--comment", "counted")
    assert done["task"]["canonicalState"] == "done"
    assert at("task", "show", "T-1")["task"]["outputJson"] == {"lines": 7}

    kinds = [event["eventType"] for event in at("task", "log", "T-1")["events"]]
    assert kinds == ["task_generated", "task_claimed", "task_note", "task_note", "task_done"]
    assert at("task", "claim", "--agent", "pm")["task"]["number"] == "T-2"
    refused = running("--company", company, "task", "result", "T-1", "failed", "--agent", "pm")
    assert refused.code == 5


def test_tasks_that_cannot_be(running: Running, company: str) -> None:
    def fails(*arguments: str) -> tuple[int, str]:
        done = running("--company", company, *arguments)
        return done.code, done.err

    code, said = fails("task", "create", "x", "--project", "P-1", "--type", "count_lines")
    assert code == 2
    assert "definitionOfDone" in said
    assert fails("task", "show", "T-99")[0] == 3
    assert fails("task", "show", "nonsense")[0] == 2
    assert fails("task", "create", "x", "--project", "P-9", *SPEC)[0] == 3
    assert fails("task", "claim", "--agent", "nobody")[0] == 3


def test_moving_by_hand(at: Any) -> None:
    at("task", "create", "Count", "--project", "P-1", *SPEC)
    at("task", "claim", "--agent", "pm")
    at("task", "result", "T-1", "failed", "--comment", "no")
    assert at("task", "move", "T-1", "queued")["task"]["canonicalState"] == "queued"
    assert at("task", "assign", "T-1", "pm")["task"]["assignedAgentId"]
    at("task", "delete", "T-1")
    assert at("task", "list")["tasks"] == []


def test_artifact(at: Any, running: Running, company: str, tmp_path: Path) -> None:
    at("task", "create", "Count", "--project", "P-1", *SPEC)
    source = tmp_path / "lines.txt"
    source.write_bytes(b"seven\n" * 100_000)
    made = at("artifact", "upload", str(source), "--task", "T-1", "--kind", "count")["artifact"]
    assert made["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert at("artifact", "show", made["id"])["artifact"]["sizeBytes"] == 600_000
    assert [row["id"] for row in at("artifact", "list", "--task", "T-1")["artifacts"]] == [
        made["id"]
    ]
    target = tmp_path / "copy.txt"
    at("artifact", "download", made["id"], "--to", str(target))
    assert target.read_bytes() == source.read_bytes()
    again = ("--company", company, "artifact", "download", made["id"], "--to", str(target))
    assert running(*again).code == 5
    assert running(*again, "--force").code == 0
    assert list(tmp_path.glob("*.part")) == []


def test_an_artifact_has_versions_and_a_place(
    at: Any, running: Running, company: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "notes.txt", tmp_path / "copy.txt"
    at("folder", "create", "Notes", "--project", "P-1")
    source.write_text("first")
    made = at("artifact", "upload", str(source), "--folder", "F-1")["artifact"]
    assert made["path"] == "Notes/notes.txt"
    source.write_text("second")
    assert at("artifact", "replace", "A-1", str(source))["artifact"]["version"] == 2
    assert [row["version"] for row in at("artifact", "versions", "A-1")["versions"]] == [1]
    for version, text in (("1", "first"), ("2", "second")):
        at("artifact", "download", "A-1", "--to", str(target), "--version", version, "--force")
        assert target.read_text() == text
    download = ("artifact", "download", "A-1", "--to", str(target), "--version", "9", "--force")
    assert running("--company", company, *download).code == 3
    assert [row["number"] for row in at("artifact", "list", "--search", "SECOND")["artifacts"]] == [
        "A-1"
    ]
    moved = at("artifact", "move", "A-1", "--folder", "root", "--name", "new.txt")["artifact"]
    assert moved["path"] == "new.txt"
    assert at("artifact", "list", "--folder", "F-1")["artifacts"] == []
    at("artifact", "delete", "A-1")
    assert running("--company", company, "artifact", "show", "A-1").code == 3


def test_folder(at: Any, running: Running, company: str, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("a")
    at("folder", "create", "Reports")
    assert at("folder", "create", "2026", "--parent", "F-1")["folder"]["path"] == "Reports/2026"
    at("artifact", "upload", str(source), "--folder", "F-2")
    assert (
        at("folder", "move", "F-2", "--parent", "root", "--name", "May")["folder"]["path"] == "May"
    )
    assert [row["path"] for row in at("folder", "list", "--parent", "root")["folders"]] == [
        "May", "Reports",
    ]  # fmt: skip
    shown = at("folder", "show", "F-2")
    assert (shown["folders"], shown["artifacts"][0]["originalFilename"]) == ([], "a.txt")
    assert "a.txt" in running("--company", company, "folder", "show", "F-2").out
    assert running("--company", company, "folder", "create", "May").code == 5
    assert running("--company", company, "folder", "delete", "F-2").code == 5
    at("folder", "delete", "F-2", "--all")
    at("folder", "delete", "F-1")
    assert at("folder", "list")["folders"] == []
    assert at("artifact", "list")["artifacts"] == []


def test_incident(at: Any) -> None:
    at("task", "create", "Count", "--project", "P-1", *SPEC)
    made = at("incident", "open", "It burns", "--task", "T-1", "--severity", "high")["incident"]
    assert [row["id"] for row in at("incident", "list")["incidents"]] == [made["id"]]
    assert at("incident", "show", made["id"])["incident"]["severity"] == "high"
    assert at("incident", "resolve", made["id"])["incident"]["status"] == "resolved"
    assert at("incident", "list", "--status", "open")["incidents"] == []


def test_token(at: Any, running: Running, company: str) -> None:
    made = at("token", "create", "pm's", "--kind", "agent", "--agent", "pm")
    with running.client(made["secret"]) as api:
        assert api.get("/agents")["agents"][0]["name"] == "pm"
    bridge = at("token", "create", "bridge")
    at("token", "grant", bridge["token"]["id"], "pm")
    at("token", "revoke", made["token"]["id"])
    done = running("--token", made["secret"], "agent", "list")
    assert (done.code, done.error) == (4, "identity.revoked")
    assert made["secret"] not in running("--company", company, "token", "list", "--json").out


def test_stop(at: Any, running: Running, company: str) -> None:
    at("task", "create", "Count", "--project", "P-1", *SPEC)
    secret = at("token", "create", "pm's", "--kind", "agent", "--agent", "pm")["secret"]
    stop = at("stop", "set", "agent", "pm", "--reason", "enough")["stop"]
    assert [row["reason"] for row in at("stop", "list")["stops"]] == ["enough"]
    done = running("--token", secret, "task", "claim", "--agent", "pm")
    assert (done.code, done.error) == (4, "stop.agent")
    done = running("--company", company, "stop", "lift", "company")
    assert done.code == 2 and "`homarus stop list`" in done.err
    at("stop", "lift", stop["id"])
    assert running("--token", secret, "task", "claim", "--agent", "pm").code == 0


def test_capability(at: Any, running: Running, company: str) -> None:
    slots = '{"file": {"type": "path", "root": "/usr/share"}}'
    made = at("capability", "register", "files.count", "--slots", slots, "--", "wc", "-l", "{file}")
    assert made["capability"]["argv"] == ["wc", "-l", "{file}"]
    assert at("capability", "disable", "files.count")["capability"]["enabled"] is False
    bad = running("--company", company, "capability", "register", "files.bad", "--", "wc", "{nope}")
    assert bad.code == 2


def test_the_ledger_explains_and_verifies(at: Any, running: Running, company: str) -> None:
    at("task", "create", "Count", "--project", "P-1", *SPEC)
    at("task", "claim", "--agent", "pm")
    receipts = at("audit", "show")["receipts"]
    assert [row["capability"] for row in receipts[:2]] == ["task.claim", "task.create"]
    assert at("audit", "show", receipts[0]["id"])["receipt"]["id"] == receipts[0]["id"]
    assert at("why", "T-1")["answer"]["what"] == "task.claim"
    assert [task["number"] for task in at("trace", "T-1")["tasks"]] == ["T-1"]
    assert at("audit", "verify")["ok"] is True
    assert "verified" in running("--company", company, "audit", "verify").out


def test_a_changed_export_does_not_verify(at: Any, running: Running, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    at("audit", "export", "--to", str(file))
    assert running("audit", "verify", str(file)).code == 0
    file.write_text(file.read_text().replace("agent.create", "agent.delete"))
    done = running("audit", "verify", str(file))
    assert done.code == 7
    assert "audit.row_changed" in done.out


def test_status_and_doctor(at: Any, running: Running, company: str) -> None:
    at("task", "create", "Count", "--project", "P-1", *SPEC)
    status = at("status")
    assert (status["company"]["slug"], status["tasks"]) == (company, {"queued": 1})
    assert "1 queued" in running("--company", company, "status").out
    checks = {check["name"]: check for check in running.json("doctor")["checks"]}
    assert {"python", "sqlite", "home", "disk", "daemon", "store", "clock", "sandbox"} <= {*checks}
    assert [name for name, check in checks.items() if check["verdict"] == "fail"] == []


def test_dashboard(running: Running) -> None:
    link = running("dashboard", "--print").out.strip()
    assert link.startswith(f"{running.daemon.ready.url}/app/login?code=")
    assert running.json("dashboard")["url"] != link


def test_calendar(at: Any, running: Running, company: str) -> None:
    made = at("event", "add", "Review", "--start", "2099-11-20T09:30", "--zone", "Europe/Berlin",
              "--attendee", "ada", "--attendee", "bob")["event"]  # fmt: skip
    assert (made["number"], made["end"]) == ("E-1", "2099-11-20T10:30:00")
    at("event", "add", "Gone by", "--start", "2020-01-01", "--all-day")
    assert [row["title"] for row in at("event", "list")["events"]] == ["Review"]
    assert len(at("event", "list", "--all", "--to", "2099-12-01")["events"]) == 2
    assert at("event", "update", "E-1", "--title", "Retro")["event"]["title"] == "Retro"
    assert at("event", "show", "e-1")["event"]["attendees"] == ["ada", "bob"]
    query = "select number, title, start_time, zone, all_day from calendar_event order by 1"
    assert at("sql", query)["rows"] == [
        ["E-1", "Retro", "2099-11-20 08:30:00", "Europe/Berlin", 0],
        ["E-2", "Gone by", "2020-01-01 00:00:00", "UTC", 1],
    ]
    at("event", "delete", "E-1")
    assert at("event", "list")["events"] == []
    here = ("--company", company, "event")
    assert running(*here, "add", "x", "--start", "soon").code == 2
    assert running(*here, "add", "x").code == 2
    assert running(*here, "show", "E-9").code == 3


def test_wiki(at: Any, running: Running, company: str, tmp_path: Path) -> None:
    text = tmp_path / "house.md"
    text.write_text("# House\n", "utf-8")
    assert at("wiki", "add", "House", str(text))["doc"]["number"] == "W-1"
    at("wiki", "add", "Door", "--parent", "W-1")
    assert [row["number"] for row in at("wiki", "list", "--parent", "w-1")["docs"]] == ["W-2"]
    assert [row["number"] for row in at("wiki", "list", "--search", "# HOUSE")["docs"]] == ["W-1"]
    text.write_text("# House of ours\n", "utf-8")
    assert at("wiki", "edit", "W-1", str(text), "--base", "1")["doc"]["version"] == 2
    here = ("--company", company, "wiki")
    assert running(*here, "edit", "W-1", str(text), "--base", "1").code == 5
    assert running(*here, "show", "W-1", "--text").out == "# House of ours\n"
    assert at("wiki", "show", "W-1", "--version", "1")["doc"]["body"] == "# House\n"
    assert at("wiki", "edit", "W-2", "--parent", "root")["doc"]["parentId"] is None
    assert [row["version"] for row in at("wiki", "versions", "W-1")["versions"]] == [2, 1]
    assert at("sql", "select number, version from wiki_doc order by 1")["rows"][0] == ["W-1", 2]
    at("wiki", "delete", "W-1")
    assert running(*here, "show", "W-1").code == 3


def test_sql(at: Any, running: Running, company: str) -> None:
    at("task", "create", "Count", "--project", "P-1", *SPEC)
    query = "select number, title, status from tasks where status = 'pending'"
    assert at("sql", query)["rows"] == [["T-1", "Count", "pending"]]
    for attempt in ("delete from task", "attach '/tmp/x' as x", "pragma query_only=off"):
        done = running("--company", company, "sql", attempt)
        assert (done.code, done.error) == (2, "sql.read_only"), attempt
    assert running("sql", "select nonsense").code == 2
    assert running("--company", "nowhere", "sql", "select 1").code == 3


def test_trust(at: Any, running: Running, company: str) -> None:
    assert at("agent", "list")["agents"][0]["trust"] == 60
    assert at("trust", "pm")["trust"] == at("trust", "show", "pm")["trust"]
    shown = running("--company", company, "trust", "pm")
    assert "60 (normal)" in shown.out and "What would raise it:" in shown.out
    assert at("trust", "history", "pm")["changes"] == []
    refused = running("--company", company, "trust", "review", "pm", "--note", "why not")
    assert refused.code == 5
    assert "trust.nothing" in refused.err
    assert running("--company", company, "trust", "nobody").code == 3


def test_card(at: Any, running: Running, company: str) -> None:
    made = at("card", "create", "Search index", "--project", "P-1", "--goal", "Find things")["card"]
    assert (made["number"], made["class"], made["status"]) == ("C-1", "normal", "open")
    assert at("card", "show", "C-1")["card"]["goal"] == "Find things"
    assert [row["number"] for row in at("card", "list", "--project", "P-1")["cards"]] == ["C-1"]
    assert running("--company", company, "card", "show", "C-9").code == 3


def test_pipeline(at: Any, running: Running, company: str, tmp_path: Path) -> None:
    assert {row["id"] for row in at("pipeline", "list")["pipelines"]} == {
        "content-os", "product-dev",
    }  # fmt: skip
    file = tmp_path / "book.yaml"
    file.write_text("id: book\ntitle: A book\nstages:\n  - {id: write, ownr: pm}\n")
    wrong = running("--company", company, "pipeline", "validate", str(file))
    assert wrong.code == 2
    assert "book.yaml:4:17:" in wrong.err + wrong.out
    assert "`owner`" in wrong.err + wrong.out
    file.write_text("id: book\ntitle: A book\nstages:\n  - {id: write, owner: pm}\n")
    assert at("pipeline", "validate", str(file))["pipeline"]["id"] == "book"
    assert at("pipeline", "register", str(file))["pipeline"]["version"] == 1
    run = at("pipeline", "start", "book", "--project", "P-1", "--title", "Harbours")["run"]
    assert (run["number"], run["stage"], len(run["positions"])) == ("R-1", "write", 1)
    assert at("pipeline", "show", "book")["pipeline"]["runs"][0]["number"] == "R-1"
    assert at("pipeline", "show", "R-1")["run"]["positions"][0]["state"] == "queued"
    assert running("--company", company, "pipeline", "show", "bok").code == 3


def test_route(at: Any, running: Running, company: str) -> None:
    at("task", "create", "Pay them", "--project", "P-1", "--label", "risk:money", *SPEC)
    shown = at("route", "show", "T-1")["gates"]
    assert (shown["level"], shown["decisions"][0]["verdicts"][3]["verdict"]) == ("L3", "pass")
    assert at("route", "audit", "T-1", "pass", "--note", "fine")["task"]["canonicalState"] == (
        "queued"
    )
    assert running("--company", company, "route", "accept", "T-1", "accept").code == 5
    assert running("--company", company, "route", "brief", "T-1", "confirm").code == 5
    plain = running("--company", company, "route", "show", "T-1")
    assert "capability discovery" in plain.out
    assert "audit" in plain.out


def test_job(at: Any, running: Running, company: str) -> None:
    assert at("job", "list")["jobs"] == []
    project = at("project", "show", "P-1")["project"]["id"]
    body = {"name": "Weekly", "taskType": "weekly_report", "cronExpression": "0 9 * * 1"}
    with running.client(company=company) as api:
        api.post(f"/projects/{project}/recurring-tasks", body)
    [row] = at("job", "list")["jobs"]
    assert (row["number"], row["name"], row["runs"]) == ("J-1", "Weekly", 0)
    assert at("job", "run", "J-1")["task"]["title"] == "Weekly"
    assert at("job", "show", "J-1")["job"]["runs"] == 1
    assert "0 9 * * 1" in running("--company", company, "job", "list").out
    assert running("--company", company, "job", "show", "J-9").code == 3
