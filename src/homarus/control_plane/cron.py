"""Jobs and their runs: what fires when, what became of it, dead letters (governance contract, 8).

Recurring tasks and schedules (`jobs.py`) are faces of the same rows.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.company import agents, founding, projects
from homarus.config.channels import Channels
from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.jobs import definition
from homarus.control_plane.pages import cut, going_on
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.shapes_work import ts
from homarus.flows import (
    announcing,
    firing,
    firing_ends,
    job_agents,
    job_turns,
    recurring,
    scheduling,
)
from homarus.jobs import rules, runs, service, timing, words
from homarus.jobs.model import COMMAND, CRON, MAINTENANCE, TASK, TURN, Job, JobChange, Run, State
from homarus.jobs.words import When
from homarus.store.port import Reply, Rx, Tx

UNSET: Final = msgspec.UNSET
Unset = msgspec.UnsetType
PREVIEW: Final = 10
MAX_REASON: Final = 500


def shape(rx: Rx, row: Job) -> dict[str, Any]:
    """A job as a whole; the fields of a recurring task among them. `agentGone`: its agent has left
    the company, and it was paused for that."""
    return definition(row) | {
        "fullName": row.full_name,
        "agentGone": job_agents.is_gone(rx, row),
        "description": row.description,
        "what": row.what,
        "runs": row.runs,
        "does": job_turns.shown(row) if row.what != TASK else {},
        "delivery": announcing.told(row) if row.what == TURN else None,
        "schedule": words.when_of(row),
        "timeZone": row.zone,
        "priorityWord": words.priority_word(row.priority),
        "misfire": row.misfire,
        "overlap": row.overlap,
        "once": row.once,
        "quotas": {
            "cpuSeconds": row.cpu_s,
            "memoryMb": row.memory_mb,
            "apiCallsPerHour": row.api_per_hour,
            "concurrent": row.concurrent,
        },
    }


def run_shape(rx: Rx, row: Run, job: Job | None = None) -> dict[str, Any]:
    """`deliveryStatus`: delivered, not-delivered, unknown, not-requested."""
    came_to = announcing.came_to_of(rx, row)
    return {
        "id": row.id,
        "number": row.number,
        "jobId": row.job,
        "jobName": None if job is None else job.full_name,
        "agentId": row.agent or None,
        "what": row.what,
        "state": row.state.value,
        "byHand": row.n > 0,
        "scheduledAt": ts(row.scheduled_ms),
        "throughAt": ts(row.through_ms),
        "dueAt": ts(row.due_ms),
        "claimedAt": ts(row.claimed_ms),
        "startedAt": ts(row.started_ms),
        "endedAt": ts(row.ended_ms),
        "attempt": row.attempt,
        "maxAttempts": rules.MAX_ATTEMPTS,
        "priority": words.priority_word(row.priority),
        "preemptions": row.preemptions,
        "preemptedBy": row.preempted_by,
        "cpuMs": row.cpu_ms,
        "peakBytes": row.peak_bytes,
        "exitCode": row.exit_code,
        "apiCalls": row.api_calls,
        "taskId": row.subject if row.what == TASK else None,
        "turnId": row.subject if row.what == TURN else None,
        "reason": row.reason,
        "error": row.error,
        "output": row.output,
        "deliveryStatus": came_to.status,
        "deliveryError": came_to.why,
        "by": row.by_actor,
        "createdAt": ts(row.created_ms),
    }


# -- what is written -------------------------------------------------------------------------


class Quotas(msgspec.Struct, rename="camel", frozen=True):
    """Ranges: 10 to 300 s, 128 to 1024 MB, 10 to 1000 calls, 1 to 10 runs beside each other."""

    cpu_seconds: int | Unset = UNSET
    memory_mb: int | Unset = UNSET
    api_calls_per_hour: int | Unset = UNSET
    concurrent: int | Unset = UNSET


class Work(msgspec.Struct, rename="camel", frozen=True):
    """What a job runs. `kind` command: `capability` with `arguments`, on `target`; turn: `message`,
    in `session` (`main`, a key, or one of the job's own), by `model`, with `thinking` off, low,
    medium, high, ended after `timeoutSeconds`, with no tools but `toolsAllow` (names, or patterns
    with `*`); task: `taskType` in `projectId` with `input`;
    maintenance: `duty`."""

    kind: str
    capability: str | None = None
    arguments: dict[str, Any] | None = None
    target: str | None = None
    message: str | None = None
    session: str | None = None
    model: str | None = None
    thinking: str | None = None
    timeout_seconds: float | None = None
    tools_allow: list[str] | None = None
    task_type: str | None = None
    project_id: str | None = None
    input: dict[str, Any] | None = None
    duty: str | None = None


class Delivery(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """`mode`: none, announce. `channel`: an id, or `last`: where the agent was last heard from;
    `to`: a chat there, else where it was last heard from on that channel. `bestEffort`: that nobody
    was heard from yet is no reason to refuse it."""

    mode: str = announcing.ANNOUNCE
    channel: str | None = None
    to: str | None = None
    account_id: str | None = None
    thread_id: str | int | None = None
    best_effort: bool = False


class CronBody(msgspec.Struct, rename="camel", frozen=True):
    """`key`: `job` or `group.job`, made of the name when left out. `agentId`: id or name.
    `schedule` null: by hand only. `priority`: P0 to P3, or a number. `misfire`: skip, run_once,
    run_all; `overlap`: skip, queue, parallel. `once`: removed when it has run well. `delivery`:
    where the answer of a turn goes; null: as when nothing is said, which is `last` for a session of
    the job's own. `wire`: what a client wants to be told again."""

    name: str | Unset = UNSET
    key: str | Unset = UNSET
    description: str | Unset | None = UNSET
    agent_id: str | Unset | None = UNSET
    work: Work | Unset = UNSET
    schedule: When | Unset | None = UNSET
    priority: str | int | Unset = UNSET
    misfire: str | Unset = UNSET
    overlap: str | Unset = UNSET
    quotas: Quotas | Unset = UNSET
    active: bool | Unset = UNSET
    once: bool | Unset = UNSET
    delivery: Delivery | Unset | None = UNSET
    wire: dict[str, Any] | Unset = UNSET


def change_of(tx: Tx, body: CronBody, before: Job | None = None) -> JobChange:
    """Raises `job.*`, `agent.unknown`, `project.unknown`, `time.zone`, `delivery.*`."""
    values: dict[str, Any] = {
        field: getattr(body, field)
        for field in ("name", "key", "description", "misfire", "overlap", "active", "once", "wire")
    }
    if body.agent_id is not UNSET:
        ref = body.agent_id
        values["agent"] = agents.need(tx, tx.company, ref).id if isinstance(ref, str) else None
    if not isinstance(body.priority, Unset):
        values["priority"] = words.priority(body.priority)
    if isinstance(body.quotas, Quotas):
        quotas = body.quotas
        values |= {
            "cpu_s": quotas.cpu_seconds, "memory_mb": quotas.memory_mb,
            "api_per_hour": quotas.api_calls_per_hour, "concurrent": quotas.concurrent,
        }  # fmt: skip
    if isinstance(body.schedule, When):
        values |= words.fields(body.schedule, founding.need(tx, tx.company).zone)
    elif body.schedule is None:
        values |= {"cron": None, "every_ms": None, "at_ms": None}
    if isinstance(body.work, Work):
        values |= _work(tx, body.work)
        kept = None if before is None else before.does.get(announcing.FIELD)
        if kept is not None and values["what"] == TURN:
            values["does"] |= {announcing.FIELD: kept}
    if body.delivery is not UNSET:
        does = values.get("does", {} if before is None else before.does)
        said = msgspec.to_builtins(body.delivery)
        values["does"] = announcing.with_wish(does, said)
    return JobChange(**values)


def _work(rx: Tx, work: Work) -> dict[str, Any]:
    match work.kind:
        case "command":
            does = {"capability": work.capability, "arguments": work.arguments or {}}
            return {"what": COMMAND, "does": does | _given(target=work.target)}
        case "turn":
            does = _given(
                message=work.message, session=work.session, model=work.model,
                thinking=work.thinking, timeoutSeconds=work.timeout_seconds,
                toolsAllow=work.tools_allow,
            )  # fmt: skip
            return {"what": TURN, "does": does}
        case "maintenance":
            return {"what": MAINTENANCE, "does": _given(duty=work.duty)}
        case "task":
            if not work.project_id or not work.task_type:
                raise Invalid("job.missing", "a task needs `projectId` and `taskType`",
                              "Give both.")  # fmt: skip
            project = projects.need(rx, rx.company, work.project_id.lower()).id
            return {"what": TASK, "does": {}, "project": project, "task_type": work.task_type,
                    "payload": work.input or {}}  # fmt: skip
        case other:
            raise Invalid("job.what", f"a job does not run {other[:40]!r}",
                          "command, turn, task or maintenance.")  # fmt: skip


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


# -- jobs ------------------------------------------------------------------------------------


def _job(rx: Rx, call: Call[Any]) -> Job:
    return service.need(rx, call.company, call.path["id"])


def listed(rx: Rx, call: Call[None]) -> Reply:
    limit = call.limit()
    rows = service.listed(rx, call.company, limit=limit + 1, before=call.cursor())
    rows, cursor = cut(rows, limit)
    return json_reply({"jobs": [shape(rx, row) for row in rows]} | going_on(cursor))


def show(rx: Rx, call: Call[None]) -> Reply:
    row = _job(rx, call)
    last = runs.last_of(rx, row.id)
    return json_reply(
        {"job": shape(rx, row), "lastRun": None if last is None else run_shape(rx, last, row)}
    )


def preview(rx: Rx, call: Call[None]) -> Reply:
    """GET /jobs/{id}/preview: its next moments, also of a paused one."""
    row = _job(rx, call)
    found = timing.preview(row.schedule, rx.now_ms, call.limit(PREVIEW, timing.MAX_PREVIEW))
    return json_reply({"job": shape(rx, row), "next": [ts(at) for at in found]})


def _channels(call: Call[CronBody]) -> Channels:
    found: Channels = call.seen or {}
    return found


def create(tx: Tx, call: Call[CronBody]) -> Reply:
    row = scheduling.define(tx, CRON, change_of(tx, call.body), _channels(call))
    return json_reply({"message": "Job defined", "job": shape(tx, row)}, 201)


def change(tx: Tx, call: Call[CronBody]) -> Reply:
    before = _job(tx, call)
    row = scheduling.change(tx, before, change_of(tx, call.body, before), _channels(call))
    return json_reply({"message": "Job changed", "job": shape(tx, row)})


def remove(tx: Tx, call: Call[None]) -> Reply:
    row = scheduling.remove(tx, _job(tx, call))
    return json_reply({"message": "Job removed", "job": shape(tx, row)})


def run(tx: Tx, call: Call[None]) -> Reply:
    """POST /jobs/{id}/run: a task template's task at once; whatever else a job does, as soon as
    there is room for it."""
    row = _job(tx, call)
    if row.what != TASK:
        queued = _queue(tx, row)
        return json_reply({"message": "Run queued", "job": shape(tx, row), "run": queued}, 201)
    row, made = recurring.spawn(tx, row)
    task = shapes.task(made.task, made.spec)
    return json_reply({"message": "Task spawned", "job": shape(tx, row), "task": task}, 201)


def _queue(tx: Tx, job: Job) -> dict[str, Any]:
    scheduling.check_may(tx, job.what, job.agent)
    return run_shape(tx, firing.by_hand(tx, job), job)


# -- runs ------------------------------------------------------------------------------------


def queue(tx: Tx, call: Call[None]) -> Reply:
    row = _job(tx, call)
    return json_reply({"message": "Run queued", "run": _queue(tx, row)}, 201)


def runs_of(rx: Rx, call: Call[None]) -> Reply:
    return _runs(rx, call, _job(rx, call))


def all_runs(rx: Rx, call: Call[None]) -> Reply:
    """GET /job-runs?state=dead: of all jobs, newest first."""
    return _runs(rx, call, None)


def _runs(rx: Rx, call: Call[None], job: Job | None) -> Reply:
    limit = call.limit()
    rows = runs.listed(
        rx, call.company, limit=limit + 1, job=None if job is None else job.id,
        states=_states(call.query.get("state", "")), before=call.cursor(),
    )  # fmt: skip
    rows, cursor = cut(rows, limit)
    named: dict[str, Job | None] = {} if job is None else {job.id: job}
    for row in rows:
        if row.job not in named:
            named[row.job] = service.by_id(rx, call.company, row.job)
    return json_reply(
        {"runs": [run_shape(rx, row, named[row.job]) for row in rows]} | going_on(cursor)
    )


def _states(text: str) -> tuple[State, ...]:
    wanted = [word for word in text.split(",") if word]
    known = {state.value: state for state in State}
    wrong = [word for word in wanted if word not in known]
    if wrong:
        raise Invalid("job_run.state", f"no state {wrong[0][:40]!r}", f"One of {', '.join(known)}.")
    return tuple(known[word] for word in wanted)


def show_run(rx: Rx, call: Call[None]) -> Reply:
    row = runs.need(rx, call.company, call.path["id"])
    return json_reply({"run": run_shape(rx, row, service.by_id(rx, call.company, row.job))})


def retry(tx: Tx, call: Call[None]) -> Reply:
    row = firing_ends.retry(tx, call.path["id"])
    return json_reply({"message": "It is tried again", "run": run_shape(tx, row)})


class DropBody(msgspec.Struct, rename="camel", frozen=True):
    reason: str = ""


def drop(tx: Tx, call: Call[DropBody]) -> Reply:
    row = firing_ends.drop(tx, call.path["id"], call.body.reason[:MAX_REASON] or None)
    return json_reply({"message": "It is put away", "run": run_shape(tx, row)})


_TAGS: Final = ("jobs",)
_PAGE: Final = ("limit", "cursor")


def _write(method: str, path: str, capability: str, *more: Any, **fields: Any) -> Route:
    known = {"keyed": "accepted", "target": "job:{id}", "tags": _TAGS}
    return write_route(method, path, capability, *more, **(known | fields))


ROUTES: Final[tuple[Route, ...]] = (
    read_route("/jobs", listed, "All jobs, newest first", query=_PAGE, tags=_TAGS),
    _write("POST", "/jobs", "job.create", create, "Define a job", body=CronBody, status=201,
           target="job:new", channels=True),
    read_route("/jobs/{id}", show, "One job, by id, number or full name", tags=_TAGS),
    _write("PATCH", "/jobs/{id}", "job.update", change, "Change, pause or resume a job",
           body=CronBody, channels=True),
    _write("DELETE", "/jobs/{id}", "job.delete", remove, "Remove a job"),
    read_route("/jobs/{id}/preview", preview, "When it fires next", query=("limit",), tags=_TAGS),
    _write("POST", "/jobs/{id}/run", "job.run", run,
           "Run it now: a task template's task is made at once", status=201),
    read_route("/jobs/{id}/runs", runs_of, "Runs of a job, newest first",
               query=("state", *_PAGE), tags=_TAGS),
    _write("POST", "/jobs/{id}/runs", "job.run", queue, "Queue a run of it now", status=201),
    read_route("/job-runs", all_runs, "Runs of all jobs, newest first; `state=dead`: dead letters",
               query=("state", *_PAGE), tags=_TAGS),
    read_route("/job-runs/{id}", show_run, "One run, by id or number", tags=_TAGS),
    _write("POST", "/job-runs/{id}/retry", "job.retry", retry, "Have a dead run tried again",
           target="job_run:{id}"),
    _write("POST", "/job-runs/{id}/drop", "job.drop", drop, "Put a dead run away", body=DropBody,
           target="job_run:{id}"),
)  # fmt: skip
