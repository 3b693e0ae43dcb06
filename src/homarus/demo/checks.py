"""What the demo claims at its end, looked up and not assumed."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from homarus.client.http import Client
from homarus.demo.children import environment
from homarus.demo.company import Company

VERIFY_WAIT_S: Final = 120.0
MAX_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Check:
    """One claim; `detail` says what was found when it does not hold."""

    name: str
    ok: bool
    detail: str = ""


def all_done(tasks: list[dict[str, Any]]) -> Check:
    open_ = [f"{t['number']} {t['canonicalState']}" for t in tasks if t["canonicalState"] != "done"]
    return Check("every task is done", not open_, ", ".join(open_))


def done_once(api: Client, tasks: list[dict[str, Any]]) -> Check:
    """Each task has one `task_done` in its time line."""
    wrong = []
    for task in tasks:
        events = api.get(f"/tasks/{task['id']}/notes")["events"]
        times = sum(event["eventType"] == "task_done" for event in events)
        if times != 1:
            wrong.append(f"{task['number']} {times} times")
    return Check("every task was done once", not wrong, ", ".join(wrong))


def one_artifact(api: Client, company: Company) -> tuple[Check, dict[str, dict[str, Any]]]:
    """Each task has one artifact; they are returned by job."""
    found: dict[str, dict[str, Any]] = {}
    wrong = []
    for job, task in company.tasks.items():
        rows = list(api.pages("/artifacts", "artifacts", limit=MAX_ROWS, taskId=task))
        if len(rows) == 1:
            found[job] = rows[0]
        else:
            wrong.append(f"{job} {len(rows)}")
    return Check("every task has one artifact", not wrong, ", ".join(wrong)), found


def ledger(home: Path, company: str) -> tuple[Check, dict[str, Any]]:
    """`homarus audit verify`, as anybody would run it: a process that trusts no daemon's word."""
    argv = ["homarus.cli.main", "--home", str(home), "--company", company, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", *argv, "audit", "verify"],
        capture_output=True,
        env=environment(),
        timeout=VERIFY_WAIT_S,
        check=False,
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = {}
    said = done.stderr.decode("utf-8", "replace").strip()
    findings = "; ".join(finding["message"] for finding in report.get("findings", []))
    return Check("the ledger verifies", done.returncode == 0, findings or said), report
