"""What a plan would make or has made, for people and for programs. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from homarus.importers.openclaw.doing import Done
from homarus.importers.openclaw.files import Finding
from homarus.importers.openclaw.plan import AgentStep, FileStep, Plan, SessionStep

MAX_FILES_SHOWN: Final = 10
MAX_FINDINGS_SHOWN: Final = 200


def document(plan: Plan, done: Done | None) -> dict[str, Any]:
    """`made`: what was done; of a dry run None."""
    findings = (*plan.findings, *(done.findings if done else ()))
    return {
        "dryRun": done is None,
        "source": str(plan.source.root),
        **_steps(plan.agents, plan.sessions, plan.files),
        "made": None if done is None else _steps(done.agents, done.sessions, done.files),
        "models": [
            {"name": row.name, "model": row.ref, "command": row.command} for row in plan.models
        ],
        "notTaken": [
            {"what": row.what, "why": row.why, "remedy": row.remedy or None} for row in findings
        ],
    }


def _steps(
    agents: Sequence[AgentStep], sessions: Sequence[SessionStep], files: Sequence[FileStep]
) -> dict[str, Any]:
    return {
        "agents": [{"name": step.agent.name, "state": step.state} for step in agents],
        "sessions": [
            {"key": step.session.key, "sourceId": step.session.id, "state": step.state,
             "lines": step.outline.lines, "toSend": step.lines, "live": step.live}
            for step in sessions
        ],
        "files": [
            {"agent": step.agent, "path": step.file.path, "to": step.file.to,
             "state": step.file.state, "bytes": step.file.size_bytes}
            for step in files
        ],
    }  # fmt: skip


def plan_lines(plan: Plan) -> Iterator[str]:
    """The dry run."""
    for step in plan.agents:
        yield f"agent {step.agent.name}: {'to be made' if step.state == 'make' else 'is there'}"
        yield from _of_agent(plan, step.agent.name)
    yield from _models(plan)
    yield from finding_lines(plan.findings)


def _of_agent(plan: Plan, agent: str) -> Iterator[str]:
    for step in plan.sessions:
        if step.session.agent != agent:
            continue
        match step.state:
            case "there":
                yield f"  {step.session.key}: is there"
            case "go_on":
                yield f"  {step.session.key}: {step.lines} of {step.outline.lines} lines are left"
            case _:
                yield f"  {step.session.key}: {step.outline.lines} lines"
    files = [step.file for step in plan.files if step.agent == agent]
    todo = [file for file in files if file.state != "there"]
    for file in todo[:MAX_FILES_SHOWN]:
        told = f" (another {file.path} is there)" if file.state == "beside" else ""
        yield f"  workspace/{file.to}{told}"
    if len(todo) > MAX_FILES_SHOWN:
        yield f"  … and {len(todo) - MAX_FILES_SHOWN} more files"
    if len(todo) < len(files):
        yield f"  {len(files) - len(todo)} files are there"


def _models(plan: Plan) -> Iterator[str]:
    if plan.models:
        yield ""
        yield "Models and their keys are added by hand:"
        yield from (f"  {row.command}" for row in plan.models)


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield ""
    yield "Not taken, or not whole:"
    for row in findings[:MAX_FINDINGS_SHOWN]:
        yield f"  {row.what}: {row.why}." + (f" {row.remedy}" if row.remedy else "")
    if len(findings) > MAX_FINDINGS_SHOWN:
        yield f"  … and {len(findings) - MAX_FINDINGS_SHOWN} more; see --json"


def done_line(done: Done) -> str:
    lines = sum(step.lines for step in done.sessions)
    return (
        f"Made {len(done.agents)} agents, {len(done.sessions)} sessions with {lines} lines, "
        f"{len(done.files)} files."
    )
