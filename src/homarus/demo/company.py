"""The demo's company: its agents with their tokens, its commands, its project and tasks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from homarus.backends.local import interpreter
from homarus.client.http import Client
from homarus.demo.catalog import JOBS, REPORT, Job
from homarus.demo.work import INPUTS, OUTPUT

SLUG: Final = "demo"
LEAD: Final = "coo"
WORKERS: Final = ("pm", "scoder", "marketer")
"""Named by their roles. Each is a process; the lead plans the work and has none."""
MAX_COMPANIES: Final = 1_000


@dataclass(slots=True)
class Company:
    """`tokens` by agent, `tasks` (id) by job."""

    slug: str
    tokens: dict[str, str] = field(default_factory=dict)
    project: str = ""
    tasks: dict[str, str] = field(default_factory=dict)


def found(url: str, owner_token: str, root: Path, template: str = "studio") -> Company:
    """Found it, and queue its work on the files of `root`."""
    with Client(url, owner_token) as instance:
        taken = {row["slug"] for row in instance.pages("/companies", "companies")}
        slug = next(s for n in range(1, MAX_COMPANIES) if (s := _slug(n)) not in taken)
        instance.post("/companies", {"slug": slug, "name": "Demo", "template": template})
    company = Company(slug)
    with Client(url, owner_token, slug) as owner:
        for name in (LEAD, *WORKERS):
            company.tokens[name] = _hire(owner, name)
        for job in JOBS:
            owner.post("/capabilities", capability(job, root))
    with Client(url, company.tokens[LEAD]) as lead:
        company.project = _project(lead, root)
        for job in JOBS:
            body = task(job, company.project, [company.tasks[name] for name in job.depends_on])
            company.tasks[job.name] = lead.post("/tasks", body)["task"]["id"]
    return company


def _slug(n: int) -> str:
    return SLUG if n == 1 else f"{SLUG}-{n}"


def _hire(owner: Client, name: str) -> str:
    """An agent and its own token."""
    agent = owner.post("/agents", {"name": name, "role": name, "concurrencyLimit": 1})["agent"]
    body = {"kind": "agent", "name": f"{name} of the demo", "agentId": agent["id"]}
    return str(owner.post_once("/tokens", body)["secret"])


def _project(lead: Client, root: Path) -> str:
    goal = f"Know what is in {root.name or root}"
    body = {"goal": goal, "leadAgentId": LEAD, "maxActiveAgents": len(WORKERS)}
    return str(lead.post("/projects", body)["project"]["id"])


def capability(job: Job, root: Path) -> dict[str, Any]:
    """A job as a command that the owner trusts, so that it also runs without a sandbox.

    The report reads what the others made, in its own workspace, and nothing of `root`.
    """
    slots = dict(job.slots(root))
    if job.name == REPORT:
        slots["input"] = {"type": "path", "default": INPUTS}
    return {
        "id": job.capability,
        "title": job.title,
        "description": job.description,
        "argv": job.argv(interpreter().python),
        "slots": slots,
        "trusted": True,
        "grants": [f"role:{job.role}"],
    }


def task(job: Job, project: str, blockers: list[str]) -> dict[str, Any]:
    """A job as a task: done means that its artifact is there."""
    return {
        "projectId": project,
        "taskType": job.name,
        "title": job.title,
        "description": job.description,
        "definitionOfDone": [f"artifact:{job.name}"],
        "deliverables": [job.out],
        "ownerRole": job.role,
        "blockedByTaskIds": blockers,
        "capability": job.capability,
        "args": {"out": f"{OUTPUT}/{job.out}"},
    }
