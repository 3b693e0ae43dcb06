"""`homarus cron import FILE`: jobs of a crontab, and of OpenClaw's `cron/jobs.json`.

A crontab's command is a line for a shell, and nothing here is one: a line of plain words becomes a
capability (an argument list) that the job's agent may run; any other is left, with the reason.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, HomarusError, Invalid, NotFound
from homarus.client.http import Client
from homarus.client.paths import path_part
from homarus.conversations import keys
from homarus.importers import cron_turns
from homarus.importers.openclaw import files
from homarus.importers.openclaw.files import Finding
from homarus.jobs import rules

MAX_BYTES: Final = 4_000_000
MAX_JOBS: Final = 1_000
MAX_SHOWN: Final = 50
NO_PLACE: Final = ("channel.unknown", "channel.account", "delivery.target", "delivery.no_place")
NO_MODEL: Final = "model.unknown"
MAX_WITHOUT: Final = 2
"""A delivery and a model are left out of a job, one after the other."""
OPENCLAW_FILE: Final = "cron/jobs.json"
MACROS: Final = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}  # fmt: skip
SHELL: Final = re.compile(r"[|&;<>()$`\\*?\[\]{}~#!\n]")
_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")


class NewJob(msgspec.Struct, frozen=True):
    """`body` of `POST /jobs`; `capability`: body of the one that it needs, registered before;
    `does`: in words; `left`: what of it is not taken."""

    body: dict[str, Any]
    does: str
    capability: dict[str, Any] | None = None
    left: tuple[Finding, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    jobs: tuple[NewJob, ...]
    left: tuple[Finding, ...]


def read(path: Path, agent: str | None) -> Plan:
    """`agent`: whose they become where the file does not say. Raises `import.file`,
    `import.agent_missing`."""
    if path.stat().st_size > MAX_BYTES:
        raise Invalid("import.file", f"{path} is larger than {MAX_BYTES} bytes", "Split it.")
    text = path.read_bytes().decode("utf-8", "replace")
    plan = openclaw(text, agent) if text.lstrip().startswith("{") else crontab(text, agent)
    if len(plan.jobs) > MAX_JOBS:
        raise Invalid("import.file", f"{len(plan.jobs)} jobs are too many", f"{MAX_JOBS} at most.")
    return plan


# -- crontab ---------------------------------------------------------------------------------


def crontab(text: str, agent: str | None) -> Plan:
    """A user's crontab: variables, comments, five fields or a macro, and a command."""
    if agent is None:
        raise Invalid("import.agent_missing", "a crontab does not say whose its jobs are",
                      "Name the agent: `--agent ada`.")  # fmt: skip
    jobs: list[NewJob] = []
    left: list[Finding] = []
    zone: str | None = None
    for no, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        assigned = _ASSIGNED.fullmatch(words)
        if assigned is not None:
            name, value = assigned[1], assigned[2].strip("\"' ")
            if name in ("CRON_TZ", "TZ"):
                zone = value
            else:
                left.append(Finding(f"line {no}: {name}", "variables are not passed on",
                                    "Set it in the program itself."))  # fmt: skip
            continue
        found = _line(no, words, agent, zone)
        (left if isinstance(found, Finding) else jobs).append(found)  # type: ignore[arg-type]
    return Plan(tuple(jobs), tuple(left))


def _line(no: int, line: str, agent: str, zone: str | None) -> NewJob | Finding:
    what = f"line {no}"
    fields = line.split(None, 1) if line.startswith("@") else line.split(None, 5)
    expr = MACROS.get(fields[0].lower()) if line.startswith("@") else " ".join(fields[:5])
    if expr is None:
        return Finding(what, f"{fields[0]} is no time of the clock", "A service may fit.")
    if len(fields) != (2 if line.startswith("@") else 6):
        return Finding(what, "it has no command")
    said = fields[-1]
    if SHELL.search(said) or "%" in said:
        return Finding(what, "its command needs a shell",
                       "Put it into a script, and run that.")  # fmt: skip
    try:
        argv = shlex.split(said)
    except ValueError as error:
        return Finding(what, f"its command cannot be read: {error}")
    name = f"{Path(argv[0]).name} {no}"
    id_ = f"cron.{rules.key_of(agent)}.{rules.key_of(name)}"
    capability = {"id": id_, "title": f"{said[:80]}", "argv": argv, "grants": [f"agent:{agent}"]}
    schedule = {"kind": "cron", "expr": expr} | ({} if zone is None else {"tz": zone})
    body = {
        "name": name, "key": rules.key_of(name), "agentId": agent, "schedule": schedule,
        "work": {"kind": "command", "capability": id_}, "description": f"crontab: {said}"[:500],
    }  # fmt: skip
    return NewJob(body, f"command: {said[:60]}", capability)


# -- OpenClaw --------------------------------------------------------------------------------


def openclaw(text: str, agent: str | None) -> Plan:
    """`{"version": 1, "jobs": [...]}` (gateway contract, 9)."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Invalid("import.file", f"it is no JSON: {error}", "Correct it.") from None
    rows = value.get("jobs") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        raise Invalid("import.file", "there is no list `jobs` in it",
                      "Name a crontab, or `cron/jobs.json`.")  # fmt: skip
    jobs: list[NewJob] = []
    left: list[Finding] = []
    for no, row in enumerate(rows):
        found = _row(row if isinstance(row, dict) else {}, no, agent)
        (left if isinstance(found, Finding) else jobs).append(found)  # type: ignore[arg-type]
        left += [] if isinstance(found, Finding) else found.left
    return Plan(tuple(jobs), tuple(left))


def _row(row: dict[str, Any], no: int, agent: str | None) -> NewJob | Finding:
    name = str(row.get("name") or row.get("id") or f"job {no + 1}")[:200]
    owner = row.get("agentId") or agent or "main"
    payload = row.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    kind = payload.get("kind")
    schedule = row.get("schedule")
    if not isinstance(schedule, dict) or schedule.get("kind") not in ("cron", "every", "at"):
        return Finding(name, "its schedule is of a kind that there is not here")
    message = payload.get("message") if kind == "agentTurn" else payload.get("text")
    if kind not in ("agentTurn", "systemEvent") or not isinstance(message, str):
        why = {
            "heartbeat": ("heartbeats are set here", "See `homarus agent heartbeat`."),
            "command": ("a command is a capability here",
                        "Register it, then `homarus cron add --run`."),
        }.get(str(kind), (f"nothing here does {str(kind)[:40]!r}", ""))  # fmt: skip
        return Finding(name, *why)
    if not cron_turns.tools_are_plain(payload):
        return Finding(name, "its turn may use groups of tools, which there are not here",
                       "Name the tools in its `toolsAllow`.")  # fmt: skip
    turn = cron_turns.read(name, row, payload)
    work: dict[str, Any] = {"kind": "turn", "message": message} | turn.how
    target = str(row.get("sessionTarget") or "isolated")
    if kind == "systemEvent" or target == "main":
        work["session"] = "main"
    elif target.startswith("session:"):
        work["session"] = target.removeprefix("session:")
    keep = {k: row[k] for k in ("sessionTarget", "wakeMode") if k in row}
    word = "message" if kind == "agentTurn" else "text"
    body = {
        "name": name, "key": rules.key_of(str(row.get("id") or name)), "agentId": owner,
        "schedule": {k: schedule[k] for k in ("kind", "expr", "tz", "everyMs", "anchorMs", "at")
                     if schedule.get(k) is not None},
        "work": work, "active": row.get("enabled") is not False,
        "once": row.get("deleteAfterRun") is True,
        "wire": keep | {"payload": {"kind": kind, word: message} | turn.how},
    }  # fmt: skip
    if turn.delivery is not None:
        body["delivery"] = turn.delivery
    if row.get("description"):
        body["description"] = str(row["description"])[:1_000]
    return NewJob(body, f"turn: {message[:60]}", left=turn.left)


def of_openclaw(root: Path, names: dict[str, str], default: str | None) -> Plan:
    """Jobs of a whole state directory. `names`: of agents here, by their ids there; jobs of others
    are not looked at. Whatever is wrong with the file is a finding."""
    path = root / OPENCLAW_FILE
    if not path.exists():
        return Plan((), ())
    try:
        files.check_plain(root, path)
        plan = read(path, default)
    except (files.Unusable, HomarusError, OSError) as error:
        return Plan((), (Finding(OPENCLAW_FILE, str(error)),))
    jobs = tuple(
        msgspec.structs.replace(job, body=job.body | {"agentId": names[job.body["agentId"]]})
        for job in plan.jobs
        if job.body["agentId"] in names
    )
    return Plan(jobs, plan.left)


# -- making ----------------------------------------------------------------------------------


def made(api: Client, plan: Plan, *, paused: bool = False) -> list[str]:
    """What became of each: `made`, `made, without its …`, `there already`, `refused: …`."""
    return [_make(api, job, paused) for job in plan.jobs]


def _make(api: Client, job: NewJob, paused: bool) -> str:
    body = job.body | ({"active": False} if paused else {})
    try:
        if job.capability is not None:
            api.post("/capabilities", job.capability)
        return _define(api, body)
    except Conflict as error:
        return "there already" if error.code == "job.exists" else f"refused: {error}"
    except HomarusError as error:
        return f"refused: {error}"


def _define(api: Client, body: dict[str, Any]) -> str:
    """It is made also where a channel or a model that it names is not configured here: without a
    place to deliver to, and with its agent's model. Raises HomarusError."""
    without: list[str] = []
    for _ in range(MAX_WITHOUT + 1):
        try:
            api.post("/jobs", body)
        except HomarusError as error:
            if error.code in NO_PLACE and "delivery" in body and "delivery" not in without:
                body = body | {"delivery": {"mode": "none"}}
                without.append("delivery")
            elif error.code == NO_MODEL and "model" in body["work"]:
                work = {k: v for k, v in body["work"].items() if k != "model"}
                body = body | {"work": work}
                without.append("model")
            else:
                raise
        else:
            break
    return f"made, without its {' and '.join(without)}" if without else "made"


def missing(api: Client, plan: Plan) -> Plan:
    """What of it is not there yet, by its full name."""
    return msgspec.structs.replace(
        plan, jobs=tuple(job for job in plan.jobs if not _is_there(api, job))
    )


def _is_there(api: Client, job: NewJob) -> bool:
    name = f"cron.{keys.slug(job.body['agentId'])}.{job.body['key']}"
    try:
        api.get(f"/jobs/{path_part(name)}")
    except NotFound:
        return False
    return True


def lines(plan: Plan) -> Iterator[str]:
    """What would be made, and what is left, for people."""
    if plan.jobs:
        yield f"Jobs that fire by the clock: {len(plan.jobs)}"
        yield from (f"  {job.body['name']}: {job.does}" for job in plan.jobs[:MAX_SHOWN])
    yield from (f"  left: {left.what}: {left.why}. {left.remedy}" for left in plan.left[:MAX_SHOWN])


def document(plan: Plan, done: list[str] | None) -> dict[str, Any]:
    """`outcome` null: of a dry run."""
    return {
        "dryRun": done is None,
        "jobs": [
            {"name": job.body["name"], "does": job.does, "schedule": job.body["schedule"],
             "outcome": None if done is None else done[n]}
            for n, job in enumerate(plan.jobs)
        ],
        "left": [{"what": f.what, "why": f.why, "remedy": f.remedy or None} for f in plan.left],
    }  # fmt: skip
