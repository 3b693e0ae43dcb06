"""`homarus cron import FILE`: jobs of a crontab, and of OpenClaw's `cron/jobs.json`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.canonical import digest
from homarus.base.errors import HomarusError, Invalid
from homarus.importers import cron_turns, crontab
from homarus.importers.cron_plan import NewJob, Plan, without_doubles
from homarus.importers.openclaw import files
from homarus.importers.openclaw.files import Finding
from homarus.jobs import rules

MAX_BYTES: Final = 4_000_000
MAX_JOBS: Final = 1_000
MAX_SHOWN: Final = 50
OPENCLAW_FILE: Final = "cron/jobs.json"
TIMES: Final[dict[str, tuple[str, Any]]] = {
    "cron": ("expr", str), "every": ("everyMs", int), "at": ("at", str | int),
}  # fmt: skip
"""What a schedule of each kind must say."""


def read(path: Path, agent: str | None) -> Plan:
    """`agent`: whose they become where the file does not say. Raises `import.file`,
    `import.agent_missing`."""
    if path.stat().st_size > MAX_BYTES:
        raise Invalid("import.file", f"{path} is larger than {MAX_BYTES} bytes", "Split it.")
    text = path.read_bytes().decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        plan = openclaw(text, agent)
    elif agent is None:
        raise Invalid("import.agent_missing", "a crontab does not say whose its jobs are",
                      "Name the agent: `--agent ada`.")  # fmt: skip
    else:
        plan = crontab.read(text, agent, users=crontab.is_systems(path))
    if len(plan.jobs) > MAX_JOBS:
        raise Invalid("import.file", f"{len(plan.jobs)} jobs are too many", f"{MAX_JOBS} at most.")
    return plan


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
    found = [
        (f"job {no}", _row(row if isinstance(row, dict) else {}, no, agent))
        for no, row in enumerate(rows, 1)
    ]
    return without_doubles(
        found, "its id is that of {}, or as good as", "Give it an id of its own, and import again."
    )


def _row(row: dict[str, Any], no: int, agent: str | None) -> NewJob | Finding:
    name = str(row.get("name") or row.get("id") or f"job {no}")[:200]
    owner = row.get("agentId") or agent or "main"
    if not isinstance(owner, str):
        return Finding(name, "its agentId names nobody")
    payload = row.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    kind = payload.get("kind")
    schedule = _schedule(row.get("schedule"))
    if schedule is None:
        return Finding(name, "its schedule is of a kind that there is not here, or incomplete")
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
        "name": name, "key": _key(row), "agentId": owner, "schedule": schedule,
        "work": work, "active": row.get("enabled") is not False,
        "once": row.get("deleteAfterRun") is True,
        "wire": keep | {"payload": {"kind": kind, word: message} | turn.how},
    }  # fmt: skip
    if turn.delivery is not None:
        body["delivery"] = turn.delivery
    if row.get("description"):
        body["description"] = str(row["description"])[:1_000]
    return NewJob(body, f"turn: {message[:60]}", left=turn.left)


def _key(row: dict[str, Any]) -> str:
    """One that it has wherever it stands in the file."""
    named = row.get("id") or row.get("name")
    if named:
        return rules.key_of(str(named))
    said = json.dumps([row.get("schedule"), row.get("payload")], sort_keys=True)
    return f"job-{digest(said).hex()[:10]}"


def _schedule(said: Any) -> dict[str, Any] | None:
    """None: it says no time. `atMs`: of files from before `at`."""
    if not isinstance(said, dict):
        return None
    if said.get("kind") == "at" and said.get("at") is None:
        said = said | {"at": said.get("atMs")}
    what, kind = TIMES.get(str(said.get("kind")), ("", str))
    if not isinstance(said.get(what), kind):
        return None
    known = ("kind", "expr", "tz", "everyMs", "anchorMs", "at")
    return {field: said[field] for field in known if said.get(field) is not None}


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


# -- telling ---------------------------------------------------------------------------------


def lines(plan: Plan) -> Iterator[str]:
    """What would be made, and what is left, for people."""
    if plan.jobs:
        yield f"Jobs that fire by the clock: {len(plan.jobs)}"
        yield from (f"  {job.body['name']}: {job.does}" for job in plan.jobs[:MAX_SHOWN])
    yield from (f"  left: {left.what}: {left.why}. {left.remedy}" for left in plan.left[:MAX_SHOWN])


def document(
    plan: Plan, done: Sequence[str | None] | None, *, dry_run: bool = False
) -> dict[str, Any]:
    """`outcome` null: of a dry run, which tells no more. `done` None: nothing was done."""
    return {
        "dryRun": dry_run or done is None,
        "jobs": [
            {"name": job.body["name"], "does": job.does, "schedule": job.body["schedule"],
             "outcome": None if done is None else done[n]}
            for n, job in enumerate(plan.jobs)
        ],
        "left": [{"what": f.what, "why": f.why, "remedy": f.remedy or None} for f in plan.left],
    }  # fmt: skip
