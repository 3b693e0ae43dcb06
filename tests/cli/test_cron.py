"""`homarus cron` against a running daemon: from a definition to a run, a dead letter, an import."""

import json
from pathlib import Path

import pytest

from homarus.backends.local import interpreter
from homarus.importers import crontab
from homarus.testing.waiting import seen
from tests.support.commands import Running

PYTHON = interpreter().python
ADD = ("cron", "add", "Report", "--agent", "mia", "--run", "mia.report")


@pytest.fixture(scope="module")
def mia(running: Running) -> Running:
    assert running("agent", "create", "mia").code == 0
    ran = running("capability", "register", "mia.report", "--trusted", "--", PYTHON, "-c",
                  "print('so many sold')")  # fmt: skip
    assert ran.code == 0, ran.err
    return running


def test_a_job_is_defined_shown_paused_and_removed(mia: Running) -> None:
    ran = mia(*ADD, "--cron", "0 9 * * 1", "--tz", "Europe/Berlin", "--priority", "P1",
              "--misfire", "run_all", "--cpu", "20", "--key", "sales.report")  # fmt: skip
    assert ran.code == 0, ran.err
    for word in ("cron.mia.sales.report", "0 9 * * 1 (Europe/Berlin)", "command: mia.report", "P1",
                 "20 s CPU, 256 MB, 100 API calls an hour, 3 at once"):  # fmt: skip
        assert word in ran.out
    name = "cron.mia.sales.report"
    assert name in mia("cron", "list").out
    assert mia("cron", "pause", name).out.count("paused") == 1
    assert mia.json("cron", "resume", name)["job"]["nextRunAt"].endswith(":00.000Z")
    found = mia.json("cron", "preview", name, "-n", "3")["next"]
    assert len(found) == 3 and found == sorted(found)
    assert mia("cron", "remove", name).code == 0
    assert mia("cron", "show", name).code == 3


def test_a_job_makes_tasks_in_a_project_by_its_number(mia: Running) -> None:
    made = mia.json("project", "create", "Sell more")["project"]
    add = ("cron", "add", "Weekly", "--cron", "0 9 * * 1", "--task", "weekly_report", "--project")
    job = mia.json(*add, made["number"])["job"]
    assert (job["projectId"], job["taskType"]) == (made["id"], "weekly_report")
    assert mia(*add, "P-999").code == 3
    assert mia("cron", "remove", job["number"]).code == 0


def test_a_run_by_hand_prints_what_it_printed(mia: Running) -> None:
    assert mia(*ADD, "--every", "2h").code == 0
    run = mia.json("cron", "run", "cron.mia.report")["run"]
    assert (run["state"], run["byHand"]) == ("waiting", True)
    seen(lambda: mia.json("cron", "show", run["number"])["run"]["state"] == "done")
    assert "so many sold" in mia("cron", "show", run["number"]).out
    assert run["number"] in mia("cron", "runs", "cron.mia.report").out
    assert mia("cron", "dead").out == "None.\n"
    assert "1 active, next 20" in mia("status").out
    assert mia("cron", "retry", run["number"]).code == 5, "only a dead run is tried again"
    assert mia("cron", "drop", "X-999").code == 3


@pytest.mark.parametrize(
    "words, said",
    [
        (("--cron", "0 0 31 2 *"), "a day that never comes"),
        (("--cron", "* * * * * *"), "1000 ms after"),
        (("--cron", "0 9 * * *", "--tz", "Mars/Base"), "no time zone"),
        (("--every", "0s"), "an interval of 0 ms"),
        (("--every", "5s"), "5000 ms after"),
        (("--at", "2020-01-01T09:00"), "not in the future"),
        (("--every", "1h", "--at", "2030-01-01T09:00"), "more than one"),
        (("--every", "1h", "--cpu", "9"), "outside its range"),
        (("--every", "1h", "--memory", "2048"), "outside its range"),
        (("--every", "1h", "--calls", "5"), "outside its range"),
        (("--every", "1h", "--concurrent", "11"), "outside its range"),
        (("--every", "1h", "--key", "A b"), "no name of a job"),
        (("--every", "1h", "--say", "hello"), "more than one"),
        (("--every", "1h", "--timeout", "9"), "Give --say"),
        (("--every", "1h", "--deliver", "last"), "no answer that could be delivered"),
    ],
)
def test_what_is_refused_says_why(mia: Running, words: tuple[str, ...], said: str) -> None:
    ran = mia(*ADD, *words)
    assert ran.code == 2
    assert said in ran.err


def test_a_cron_text_is_previewed_on_the_clock_of_a_zone(mia: Running) -> None:
    ran = mia("cron", "preview", "30 2 * * *", "--tz", "Europe/Berlin", "-n", "2")
    assert ran.code == 0 and ran.out.count("02:30:00 CE") + ran.out.count("03:00:00 CEST") == 2
    assert mia("cron", "preview", "0 0 31 2 *").code == 2


def test_a_crontab_is_taken_over_without_a_shell(mia: Running, tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text(
        "# mine\nMAILTO=me\nCRON_TZ=Asia/Tokyo\n"
        f"15 3 * * 1-5 {PYTHON} -V\n@daily {PYTHON} --help\n"
        "* * * * * echo $HOME >> home.txt\n@reboot start\n"
    )
    refused = mia("cron", "import", str(file), "--agent", "nobody", "--dry-run")
    assert refused.code == 3 and "nobody" in refused.err
    dry = mia.json("cron", "import", str(file), "--agent", "mia", "--dry-run")
    assert [job["outcome"] for job in dry["jobs"]] == [None, None]
    done = mia.json("cron", "import", str(file), "--agent", "mia", "--paused")
    assert [job["outcome"] for job in done["jobs"]] == ["made", "made"]
    assert [left["what"] for left in done["left"]] == ["line 2: MAILTO", "line 6", "line 7"]
    again = mia.json("cron", "import", str(file), "--agent", "mia")
    assert {job["outcome"] for job in again["jobs"]} == {"there already"}
    assert "15 3 * * 1-5 (Asia/Tokyo)" in mia("cron", "list").out


def imported(mia: Running, file: Path, *lines: str) -> tuple[list[str], dict[str, str]]:
    """What became of each job, and what was left, by what it is."""
    file.write_text("".join(f"{line}\n" for line in lines))
    said = mia.json("cron", "import", str(file), "--agent", "mia", "--paused")
    return ([job["outcome"] for job in said["jobs"]],
            {left["what"]: left["why"] for left in said["left"]})  # fmt: skip


def test_a_crontab_that_is_imported_again_doubles_and_changes_nothing(
    mia: Running, tmp_path: Path
) -> None:
    file = tmp_path / "crontab"
    first, second = f"0 1 * * * {PYTHON} -c pass", f"0 2 * * * {PYTHON} -V"
    assert imported(mia, file, first, second)[0] == ["made", "made"]
    runs = capabilities(mia)
    moved = imported(mia, file, "# nightly", "0 4 * * * " + PYTHON, first, second, second)
    assert moved[0] == ["made", "there already", "there already"]
    assert moved[1]["line 5"] == "it says the same as line 4"
    changed = imported(mia, file, first.replace("pass", "1"), second)
    assert changed[0] == ["made", "there already"]
    gone = [what for what, why in changed[1].items() if "not in this file" in why]
    job = next(what for what in gone if mia.json("cron", "show", what)["job"]["name"] in first)
    after = capabilities(mia)
    assert runs.items() <= after.items(), "what a job runs stays"
    mia("cron", "remove", job)


def test_jobs_that_earlier_versions_called_after_their_lines_are_there_already(
    mia: Running, tmp_path: Path
) -> None:
    file = tmp_path / "crontab"
    line = f"30 4 * * * {PYTHON} -c 5"
    (job,) = crontab.read(line, "mia").jobs
    assert imported(mia, file, line)[0] == ["made"]
    new = f"cron.mia.{job.body['key']}"
    runs = mia.json("cron", "show", new)["job"]["does"]["capability"]
    by_line = ["cron", "add", "x", "--agent", "mia", "--run", runs, "--cron"]
    old = mia.json(*by_line, "30 4 * * *", "--key", "python-1")["job"]["fullName"]
    assert imported(mia, file, line)[1][old] == f"it does the same as {new}"
    mia("cron", "remove", new)
    outcome, left = imported(mia, file, line)
    assert outcome == ["there already"] and old not in left
    later = line.replace("30 4", "40 4")
    outcome, left = imported(mia, file, later)
    assert outcome == ["made"] and "is not in this file" in left[old]
    mia("cron", "remove", old)


def test_what_is_another_job_by_now_stays_and_is_said(mia: Running, tmp_path: Path) -> None:
    line = f"10 1 * * * {PYTHON} -c 2"
    (job,) = crontab.read(line, "mia").jobs
    made = mia.json(*ADD, "--key", job.body["key"], "--cron", "20 1 * * *")["job"]
    assert imported(mia, tmp_path / "crontab", line)[0] == [
        "there already, with another schedule and capability: left as it is"
    ]
    after = mia.json("cron", "show", made["fullName"])["job"]
    assert (after["cronExpression"], after["does"]) == ("20 1 * * *", made["does"])


def test_a_line_that_is_refused_leaves_no_capability(mia: Running, tmp_path: Path) -> None:
    before = capabilities(mia)
    never = f"0 0 31 2 * {PYTHON} -c 3"
    file = tmp_path / "crontab"
    assert imported(mia, file, never)[0] == []
    file.write_text(f"0 3 * * * {PYTHON} -c 4\n")
    ran = mia("cron", "import", str(file), "--agent", "nobody")
    assert ran.code == 3 and "nobody" in ran.err
    assert capabilities(mia) == before


def capabilities(mia: Running) -> dict[str, list[str]]:
    found = mia.json("capability", "list")["capabilities"]
    return {row["id"]: row["argv"] for row in found if row["id"].startswith("cron.")}


@pytest.fixture(scope="module")
def zoe(mia: Running) -> Running:
    assert mia("agent", "create", "zoe", "--executor", "llm", "--model", "scripted").code == 0
    return mia


def test_where_an_answer_goes_and_how_it_is_made(zoe: Running) -> None:
    say = ("cron", "add", "Say", "--agent", "zoe", "--say", "Well?")
    ran = zoe(*say, "--deliver", "telegram:7")
    assert ran.code == 3 and "channel not configured: telegram" in ran.err
    ran = zoe(*say, "--model", "odd")
    assert ran.code == 3 and "no model 'odd'" in ran.err
    ran = zoe(*say, "--model", "scripted", "--thinking", "low", "--timeout", "60",
              "--tools", "read, memory_*")  # fmt: skip
    assert ran.code == 0 and "last" in ran.out, ran.err
    job = zoe.json("cron", "show", "cron.zoe.say")["job"]
    assert job["does"] == {"message": "Well?", "model": "scripted", "thinking": "low",
                           "timeoutSeconds": 60.0,
                           "toolsAllow": ["read", "memory_*"]}  # fmt: skip
    run = zoe.json("cron", "run", "cron.zoe.say")["run"]["number"]
    seen(lambda: zoe.json("cron", "show", run)["run"]["state"] == "done")
    assert "not-requested" in zoe("cron", "show", run).out
    ran = zoe(*say, "--key", "quiet", "--deliver", "none")
    assert ran.code == 0 and "none" in ran.out


def test_openclaws_jobs_are_taken_over(zoe: Running, tmp_path: Path) -> None:
    mia = zoe
    rows = [
        {"id": "j1", "name": "Digest", "agentId": "zoe", "enabled": False,
         "schedule": {"kind": "cron", "expr": "0 8 * * *", "tz": "Europe/Paris"},
         "sessionTarget": "isolated", "wakeMode": "now",
         "payload": {"kind": "agentTurn", "message": "Sum up."}, "delivery": {"mode": "none"}},
        {"id": "j2", "name": "Nag", "agentId": "zoe", "enabled": False, "sessionTarget": "main",
         "schedule": {"kind": "every", "everyMs": 600_000},
         "payload": {"kind": "systemEvent", "text": "Hm?"}},
        {"id": "j3", "name": "Watch", "schedule": {"kind": "on-exit"}, "payload": {}},
        {"id": "j4", "name": "Tell", "agentId": "zoe", "enabled": False,
         "schedule": {"kind": "every", "everyMs": 600_000},
         "payload": {"kind": "agentTurn", "message": "Well?", "model": "odd"},
         "delivery": {"mode": "announce", "channel": "telegram", "to": "7"}},
    ]  # fmt: skip
    file = tmp_path / "jobs.json"
    for arguments in (("--dry-run",), ()):
        stray = rows[0] | {"agentId": "nobody"}
        file.write_text(json.dumps({"version": 1, "jobs": [stray]}))
        ran = mia("--json", "cron", "import", str(file), *arguments)
        (outcome,) = (job["outcome"] for job in ran.json["jobs"])
        assert ran.code == 1 and outcome.startswith("refused: ") and "nobody" in outcome
    file.write_text(json.dumps({"version": 1, "jobs": rows}))
    done = mia.json("cron", "import", str(file))
    assert [job["outcome"] for job in done["jobs"]] == [
        "made", "made", "made, without its model and delivery",
    ], done  # fmt: skip
    assert mia.json("cron", "show", "cron.zoe.j1")["job"]["delivery"] == {"mode": "none"}
    assert [left["what"] for left in done["left"]] == ["Watch"]
    job = mia.json("cron", "show", "cron.zoe.j2")["job"]
    assert (job["what"], job["does"]["session"], job["active"]) == ("turn", "main", False)
    rows[1]["payload"]["text"] = "Well, well?"
    file.write_text(json.dumps({"version": 1, "jobs": [{"id": "j0"}, *rows]}))
    again = mia.json("cron", "import", str(file))
    assert [job["outcome"] for job in again["jobs"]] == [
        "there already", "there already, with another message: left as it is", "there already",
    ]  # fmt: skip
    assert mia.json("cron", "show", "cron.zoe.j2")["job"] == job
