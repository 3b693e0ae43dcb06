"""An agent process that dies at each of its steps: its next life finishes, and nothing is twice."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from homarus.client.http import Client
from homarus.demo import checks
from homarus.demo.catalog import JOBS
from homarus.demo.children import Child
from homarus.demo.company import Company, capability, task
from tests.support.commands import Running, running

__all__ = ["running"]

LIFE_S = 60
KILLED = -9
NAMES = count(1)
WORK = [job for job in JOBS if job.name in ("inventory", "largest")]


@pytest.fixture
def company(running: Running, tree: Path) -> Company:
    """A company of one agent with two tasks, one after the other."""
    made = Company(f"killed-{next(NAMES)}")
    with running.client() as instance:
        instance.post("/companies", {"slug": made.slug, "name": made.slug})
    with running.client(company=made.slug) as api:
        agent = api.post("/agents", {"name": "scoder", "role": "scoder"})["agent"]
        token = {"kind": "agent", "name": "its own", "agentId": agent["id"]}
        made.tokens["scoder"] = api.post_once("/tokens", token)["secret"]
        made.project = api.post("/projects", {"goal": "Know"})["project"]["id"]
        for job in WORK:
            api.post("/capabilities", capability(job, tree))
            body = task(job, made.project, [made.tasks[name] for name in job.depends_on])
            made.tasks[job.name] = api.post("/tasks", body)["task"]["id"]
    return made


def live(running: Running, company: Company, place: Path, **env: str) -> int:
    """One life of the agent; how it ended."""
    arguments = [
        "homarus.demo.agent",
        *("--url", running.daemon.ready.url, "--name", "scoder", "--project", company.project),
        *("--workplace", str(place / "work"), "--hidden", str(running.home)),
    ]
    env = {"HOMARUS_TOKEN": company.tokens["scoder"], **env}
    return Child(arguments, place / "log", env).wait(LIFE_S)


def all_tasks(api: Client, company: Company) -> list[dict[str, Any]]:
    return list(api.pages("/tasks", "tasks", projectId=company.project))


def test_one_life_is_enough(running: Running, company: Company, tmp_path: Path) -> None:
    assert live(running, company, tmp_path) == 0
    with running.client(company=company.slug) as api:
        assert checks.all_done(all_tasks(api, company)).ok
    assert list((tmp_path / "work").iterdir()) == [], "workspaces are cleared"


@pytest.mark.crash
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("step", ["claimed", "ran", "stored", "noted", "reported"])
def test_killed_after(
    running: Running, company: Company, tmp_path: Path, step: str, nth: int
) -> None:
    assert live(running, company, tmp_path, HOMARUS_FAILPOINT=f"demo.{step}:{nth}") == KILLED
    assert live(running, company, tmp_path) == 0
    with running.client(company=company.slug) as api:
        tasks = all_tasks(api, company)
        artifacts, found = checks.one_artifact(api, company)
        assert [checks.all_done(tasks), checks.done_once(api, tasks), artifacts] == [
            checks.Check("every task is done", True),
            checks.Check("every task was done once", True),
            checks.Check("every task has one artifact", True),
        ]
        for row in tasks:
            events = api.get(f"/tasks/{row['id']}/notes")["events"]
            assert sum(event["eventType"] == "task_note" for event in events) == 1
        assert {*found} == {"inventory", "largest"}


def test_a_command_that_fails_is_reported(
    running: Running, company: Company, tmp_path: Path
) -> None:
    with running.client(company=company.slug) as api:
        broken = capability(WORK[0], tmp_path) | {"argv": ["false"], "slots": {}}
        api.post("/capabilities", broken)
        assert live(running, company, tmp_path) == 0
        states = {t["number"]: t["canonicalState"] for t in all_tasks(api, company)}
    assert states == {"T-1": "failed", "T-2": "queued"}
