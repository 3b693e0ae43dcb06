"""homarus cron"""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from homarus.base.clock import SystemClock, iso_ms
from homarus.base.errors import Invalid
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit
from homarus.cli.resource import (
    agent_id,
    given,
    json_value,
    limit_option,
    project_id,
    show_list,
    show_one,
)
from homarus.client.paths import path_part

command = Group("cron", help="Jobs that fire by the clock, their runs and dead letters.")

UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _state(row: Any) -> str:
    if row.get("agentGone"):
        return "paused: its agent has left"
    return "active" if row.get("active") else "paused"


def _when(row: Any) -> str:
    """`0 9 * * 1 (Europe/Berlin)`, `every 1h`, `at …`."""
    when = row.get("schedule") or {}
    match when.get("kind"):
        case "cron":
            return f"{when['expr']} ({when['tz']})" if when.get("tz") else str(when["expr"])
        case "every":
            return f"every {_span(when['everyMs'])}"
        case "at":
            return f"at {when['at']}"
        case _:
            return "by hand"


def _span(ms: int) -> str:
    unit = next((u for u in ("d", "h", "m", "s") if ms % UNITS[u] == 0), None)
    return f"{ms} ms" if unit is None else f"{ms // UNITS[unit]}{unit}"


def _does(row: Any) -> str:
    does = row.get("does") or {}
    said = does.get("capability") or does.get("message") or does.get("duty") or row.get("taskType")
    return f"{row.get('what')}: {str(said or '')[:60]}"


def _deliver(row: Any) -> str | None:
    """`last`, `telegram:7`, `telegram`, `none`."""
    wish = row.get("delivery")
    if wish is None or wish["mode"] == "none":
        return None if wish is None else "none"
    return f"{wish['channel']}:{wish['to']}" if wish.get("to") else str(wish["channel"])


def _quotas(row: Any) -> str:
    quotas = row.get("quotas") or {}
    return (
        f"{quotas.get('cpuSeconds')} s CPU, {quotas.get('memoryMb')} MB, "
        f"{quotas.get('apiCallsPerHour')} API calls an hour, {quotas.get('concurrent')} at once"
    )


_COLUMNS: Final = (
    ("number", "number"),
    ("name", "fullName"),
    ("state", _state),
    ("when", _when),
    ("next", "nextRunAt"),
    ("last", "lastRunAt"),
    ("runs", "runs"),
)
_WHOLE: Final = (
    *_COLUMNS,
    ("does", _does),
    ("delivered to", _deliver),
    ("priority", "priorityWord"),
    ("missed", "misfire"),
    ("overlap", "overlap"),
    ("quotas", _quotas),
    ("description", "description"),
    ("created by", "createdBy"),
)
_RUNS: Final = (
    ("run", "number"),
    ("job", "jobName"),
    ("state", "state"),
    ("scheduled", "scheduledAt"),
    ("ended", "endedAt"),
    ("attempt", "attempt"),
    ("reason", "reason"),
)
_RUN: Final = (
    *_RUNS,
    ("started", "startedAt"),
    ("due", "dueAt"),
    ("CPU ms", "cpuMs"),
    ("peak bytes", "peakBytes"),
    ("exit", "exitCode"),
    ("preempted by", "preemptedBy"),
    ("task", "taskId"),
    ("turn", "turnId"),
    ("answer", "deliveryStatus"),
    ("not delivered", "deliveryError"),
    ("error", "error"),
    ("output", "output"),
)


def _schedule(
    cron: str | None, every: str | None, at: str | None, zone: str | None
) -> dict[str, Any] | None:
    """Raises `cli.schedule`."""
    if sum(one is not None for one in (cron, every, at)) > 1:
        raise Invalid("cli.schedule", "more than one of --cron, --every and --at", "Give one.")
    if cron is not None:
        return given(kind="cron", expr=cron, tz=zone)
    if every is not None:
        return {"kind": "every", "everyMs": every_ms(every)}
    return None if at is None else given(kind="at", at=at, tz=zone)


def every_ms(text: str) -> int:
    """`90s`, `30m`, `2h`, `1d`. Raises `cli.schedule`."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not (number.isascii() and number.isdecimal()) or len(number) > 9:
        raise Invalid("cli.schedule", f"{text[:20]!r} is no interval", "Such as 90s, 30m, 2h, 1d.")
    return int(number) * UNITS[unit]


def _work(
    capability: str | None, say: str | None, task: str | None, duty: str | None,
    arguments: str | None, project: str | None, turn: dict[str, Any],
) -> dict[str, Any] | None:  # fmt: skip
    """`turn`: how what is said is said. Raises `cli.work`."""
    if say is None and turn:
        raise Invalid("cli.work", "how a turn is run, and nothing is said", "Give --say.")
    if sum(one is not None for one in (capability, say, task, duty)) > 1:
        raise Invalid("cli.work", "more than one of --run, --say, --task and --duty", "Give one.")
    if capability is not None:
        return given(kind="command", capability=capability,
                     arguments=json_value(arguments, "--args"))  # fmt: skip
    if say is not None:
        return {"kind": "turn", "message": say} | turn
    if task is not None:
        return given(kind="task", taskType=task, projectId=project,
                     input=json_value(arguments, "--args"))  # fmt: skip
    return None if duty is None else {"kind": "maintenance", "duty": duty}


def _delivery(text: str) -> dict[str, Any]:
    """`CHANNEL:TARGET`, `CHANNEL`, `last` or `none`."""
    if text == "none":
        return {"mode": "none"}
    channel, _, target = text.partition(":")
    return given(mode="announce", channel=channel, to=target or None)


@command.command()
@click.argument("name")
@click.option("--agent", help="Whose it is: a command and a turn need one.")
@click.option("--key", help="Its word in cron.AGENT.KEY: job, or group.job.")
@click.option("--cron", help="Five fields, or six with seconds in front; quote it.")
@click.option("--tz", "zone", help="Time zone of --cron and --at; the company's when left out.")
@click.option("--every", help="Interval: 90s, 30m, 2h, 1d.")
@click.option("--at", help="Once, such as 2026-05-01T09:00.")
@click.option("--run", "capability", help="Run this command capability.")
@click.option("--say", help="Say this to the agent: a turn of its own.")
@click.option("--session", help="Where it is said: main, or a session's key.")
@click.option("--deliver", help="Where the answer goes: CHANNEL:TARGET, last, none. By default "
              "last, where the session is the job's own.")  # fmt: skip
@click.option("--model", help="The model that answers; the agent's own when left out.")
@click.option("--thinking", type=click.Choice(["off", "low", "medium", "high"]),
              help="How much it thinks.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(1, 86_400), help="Seconds a turn may take.")
@click.option(
    "--tools", metavar="NAME,…", help="The only tools that the turn may use; `none`: no tool."
)
@click.option("--task", help="Make a task of this type, in --project.")
@click.option("--project", help="The project for --task: P-1, its goal or id.")
@click.option("--duty", help="Housekeeping: retention, backup, integrity, documents, trust, …")
@click.option("--args", "arguments", help="JSON object or @FILE: arguments, or the task's input.")
@click.option("--priority", type=click.Choice(["P0", "P1", "P2", "P3"]), help="P2 by default.")
@click.option("--misfire", type=click.Choice(["skip", "run_once", "run_all"]),
              help="Where the daemon was down; run_once by default.")  # fmt: skip
@click.option("--overlap", type=click.Choice(["skip", "queue", "parallel"]),
              help="Where an earlier run is still there; queue by default.")  # fmt: skip
@click.option("--cpu", type=int, help="Seconds of CPU a run: 10 to 300.")
@click.option("--memory", type=int, help="MB a run: 128 to 1024.")
@click.option("--calls", type=int, help="API calls an hour: 10 to 1000.")
@click.option("--concurrent", type=int, help="Runs of its agent beside each other: 1 to 10.")
@click.option("--paused", is_flag=True, help="Define it, and let it not fire yet.")
@click.option("--once", is_flag=True, help="Remove it when it has run well.")
@click.option("--description", help="For people.")
@pass_context
def add(
    ctx: Context, name: str, agent: str | None, key: str | None, cron: str | None,
    zone: str | None, every: str | None, at: str | None, capability: str | None, say: str | None,
    session: str | None, deliver: str | None, model: str | None, thinking: str | None,
    timeout: float | None, tools: str | None, task: str | None, project: str | None,
    duty: str | None, arguments: str | None, priority: str | None, misfire: str | None,
    overlap: str | None, cpu: int | None, memory: int | None, calls: int | None,
    concurrent: int | None, paused: bool, once: bool, description: str | None,
) -> None:  # fmt: skip
    """Define a job: when it fires, and what it then does."""
    turn = given(session=session, model=model, thinking=thinking, timeoutSeconds=timeout,
                 toolsAllow=_tools(tools))  # fmt: skip
    place = None if project is None else project_id(ctx, project)
    work = _work(capability, say, task, duty, arguments, place, turn)
    if work is None:
        raise Invalid("cli.work", "nothing to do is named", "One of --run, --say, --task, --duty.")
    quotas = given(cpuSeconds=cpu, memoryMb=memory, apiCallsPerHour=calls, concurrent=concurrent)
    body = given(
        name=name, agentId=agent, key=key, work=work, schedule=_schedule(cron, every, at, zone),
        priority=priority, misfire=misfire, overlap=overlap, quotas=quotas or None,
        active=False if paused else None, once=once or None, description=description,
        delivery=None if deliver is None else _delivery(deliver),
    )  # fmt: skip
    show_one(ctx, ctx.api.post("/jobs", body), "job", _WHOLE)


def _tools(named: str | None) -> list[str] | None:
    if named is None:
        return None
    return [] if named == "none" else [name.strip() for name in named.split(",") if name.strip()]


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Jobs, newest first."""
    show_list(ctx, "/jobs", "jobs", _COLUMNS, limit=limit, empty="No job: homarus cron add")


@command.command()
@click.argument("job")
@pass_context
def show(ctx: Context, job: str) -> None:
    """One job by name (cron.ada.report), number (J-4) or id; or one run (X-12)."""
    if job[:2].upper() == "X-":
        show_one(ctx, ctx.api.get(f"/job-runs/{path_part(job)}"), "run", _RUN)
        return
    show_one(ctx, ctx.api.get(f"/jobs/{path_part(job)}"), "job", _WHOLE)


@command.command()
@click.argument("job")
@pass_context
def run(ctx: Context, job: str) -> None:
    """Have it run now, also a paused one, as soon as there is room for it."""
    show_one(ctx, ctx.api.post(f"/jobs/{path_part(job)}/runs", {}), "run", _RUNS)


@command.command()
@click.argument("job")
@pass_context
def pause(ctx: Context, job: str) -> None:
    """Let it not fire until it is resumed. What waits already still runs."""
    show_one(ctx, ctx.api.patch(f"/jobs/{path_part(job)}", {"active": False}), "job", _COLUMNS)


@command.command()
@click.argument("job")
@pass_context
def resume(ctx: Context, job: str) -> None:
    """Let it fire again, from now on."""
    show_one(ctx, ctx.api.patch(f"/jobs/{path_part(job)}", {"active": True}), "job", _COLUMNS)


@command.command()
@click.argument("job")
@pass_context
def remove(ctx: Context, job: str) -> None:
    """Remove a job. Its runs stay on record for a while."""
    show_one(ctx, ctx.api.delete(f"/jobs/{path_part(job)}"), "job", _COLUMNS)


@command.command()
@click.argument("job")
@click.option("--tz", "zone", default="UTC", show_default=True, help="Time zone of a cron text.")
@click.option("-n", "count", type=click.IntRange(1, 200), default=10, show_default=True,
              help="So many.")  # fmt: skip
@pass_context
def preview(ctx: Context, job: str, zone: str, count: int) -> None:
    """When a job fires next; or a cron text in quotes, which nobody has defined yet."""
    from homarus.jobs import timing

    if " " in job.strip():
        now_ms = SystemClock().now_ms()
        schedule = timing.check(timing.Schedule(cron=job, zone=zone), now_ms)
        found = [iso_ms(at) for at in timing.preview(schedule, now_ms, count)]
    else:
        reply = ctx.api.get(f"/jobs/{path_part(job)}/preview", limit=count)
        found, zone = reply["next"], reply["job"]["timeZone"]
    ctx.out.document({"next": found})
    there = [[at, _there(at, zone)] for at in found]
    ctx.out.table(["UTC", zone], there, "It never fires again.")


def _there(at: str, zone: str) -> str:
    from homarus.base.local_time import zone as zone_of

    return f"{datetime.fromisoformat(at).astimezone(zone_of(zone)):%a %Y-%m-%d %H:%M:%S %Z}"


@command.command()
@click.argument("job", required=False)
@click.option("--state", help="Only those: waiting, running, done, failed, missed, skipped, dead.")
@limit_option
@pass_context
def runs(ctx: Context, job: str | None, state: str | None, limit: int) -> None:
    """Runs of a job, or of all, newest first."""
    path = "/job-runs" if job is None else f"/jobs/{path_part(job)}/runs"
    show_list(ctx, path, "runs", _RUNS, limit=limit, empty="No run.", **given(state=state))


@command.command()
@limit_option
@pass_context
def dead(ctx: Context, limit: int) -> None:
    """Dead letters: runs that failed each time they were tried."""
    show_list(ctx, "/job-runs", "runs", _RUNS, limit=limit, empty="None.", state="dead")


@command.command()
@click.argument("run")
@pass_context
def retry(ctx: Context, run: str) -> None:
    """Have a dead RUN (X-12) tried again."""
    show_one(ctx, ctx.api.post(f"/job-runs/{path_part(run)}/retry", {}), "run", _RUNS)


@command.command()
@click.argument("run")
@click.option("--reason", help="Why; it stays in the run's row.")
@pass_context
def drop(ctx: Context, run: str, reason: str | None) -> None:
    """Put a dead RUN (X-12) away."""
    reply = ctx.api.post(f"/job-runs/{path_part(run)}/drop", given(reason=reason))
    show_one(ctx, reply, "run", _RUNS)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--agent", help="Whose they become, where the file does not say.")
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("--paused", is_flag=True, help="Define them, and let none fire yet.")
@pass_context
def import_(ctx: Context, file: Path, agent: str | None, dry_run: bool, paused: bool) -> int:
    """Take jobs over from a crontab, or from OpenClaw's cron/jobs.json.

    A command of a crontab becomes a capability of the agent, without a shell: lines that need one
    are named and left. What is there already stays as it is, and what an earlier import made of a
    crontab and this file does not have is named.
    """
    from homarus.importers import cron as importer
    from homarus.importers import cron_making as making

    if agent is not None:
        agent = str(ctx.api.get(f"/agents/{agent_id(ctx, agent)}")["agent"]["name"])
    todo = importer.read(file, agent)
    done: list[str | None] = []
    if dry_run:
        done += making.foreseen(ctx.api, todo)
    else:
        done += making.made(ctx.api, todo, paused=paused)
        todo = making.gone(ctx.api, todo)
    ctx.out.document(importer.document(todo, done, dry_run=dry_run))
    ctx.out.table(
        ["job", "when", "does", "outcome"],
        [[job.body["name"], _when(job.body), job.does, done[n] or ""]
         for n, job in enumerate(todo.jobs)],
        "No job that can be taken.",
    )  # fmt: skip
    for left in todo.left:
        ctx.out.alert(f"left: {left.what}: {left.why}. {left.remedy}".rstrip(". ") + ".")
    return Exit.FAILED if any("refused" in (one or "") for one in done) else Exit.OK
