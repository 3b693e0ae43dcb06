"""An import of jobs is made through the daemon: what is there already stays as it is."""

import re
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, HomarusError, NotFound
from homarus.client.http import Client
from homarus.client.paths import path_part
from homarus.conversations import keys
from homarus.importers.cron_plan import NewJob, Plan
from homarus.importers.crontab import capabilities_of
from homarus.importers.openclaw.files import Finding
from homarus.jobs import rules, words
from homarus.jobs.words import When

NO_PLACE: Final = ("channel.unknown", "channel.account", "delivery.target", "delivery.no_place")
NO_MODEL: Final = "model.unknown"
MAX_WITHOUT: Final = 2
"""A delivery and a model are left out of a job, one after the other."""
THERE: Final = "there already"
BY_LINE: Final = re.compile(r".+-[0-9]{1,7}")
"""Keys that earlier versions gave: program and number of the line."""


class Imported(msgspec.Struct, frozen=True):
    """A job that an import of a crontab made: its row, and what it runs (None: nothing)."""

    row: dict[str, Any]
    argv: list[str] | None

    @property
    def name(self) -> str:
        return str(self.row["fullName"])

    def is_same(self, job: NewJob) -> bool:
        """Whether it is this job under the key of an earlier version."""
        return (
            job.capability is not None
            and BY_LINE.fullmatch(self.name.rpartition(".")[2]) is not None
            and self.argv == job.capability["argv"]
            and _same_time(self.row["schedule"], job.body["schedule"])
        )


def made(api: Client, plan: Plan, *, paused: bool = False) -> list[str]:
    """What became of each: `made`, `made, without its …`, `there already`, `there already, with
    another …: left as it is`, `refused: …`."""
    before = _imported(api, plan)
    return [_make(api, job, paused, before) for job in plan.jobs]


def foreseen(api: Client, plan: Plan) -> list[str | None]:
    """What would be refused of each as its agent is not there; None: nothing is known against it.
    Raises HomarusError."""
    rows = api.pages("/agents", "agents") if plan.jobs else ()
    known = {ref for row in rows for ref in (row["id"], row["name"])}
    return [
        None if job.body["agentId"] in known
        else f"refused: no agent {job.body['agentId'][:80]!r} here. See `homarus agent list`."
        for job in plan.jobs
    ]  # fmt: skip


def _make(api: Client, job: NewJob, paused: bool, before: list[Imported]) -> str:
    body = job.body | ({"active": False} if paused else {})
    try:
        there = _there(api, job)
        if there is not None:
            return _stays(there, job)
        if any(one.is_same(job) for one in before):
            return THERE
        if job.capability is None:
            return _define(api, body)
        return _define_command(api, job.capability, body)
    except Conflict as error:
        return THERE if error.code == "job.exists" else f"refused: {error}"
    except HomarusError as error:
        return f"refused: {error}"


def _define_command(api: Client, capability: dict[str, Any], body: dict[str, Any]) -> str:
    """What its operators made of a capability that is there stays; one that was made for a job that
    is refused goes with it. Raises HomarusError."""
    path = f"/capabilities/{path_part(capability['id'])}"
    known = _found(api, path, "capability")
    if known is not None and known["argv"] != capability["argv"]:
        return f"refused: the capability {capability['id']} runs something else by now"
    fresh = known is None or not known["enabled"]
    if fresh:
        api.post("/capabilities", capability)
    try:
        outcome = _define(api, body)
    except HomarusError:
        if fresh:
            api.delete(path)
        raise
    return f"{outcome}, its capability enabled again" if fresh and known else outcome


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


# -- what is there ---------------------------------------------------------------------------


def missing(api: Client, plan: Plan) -> Plan:
    """What of it is not there yet, by its full name; what is there and says something else is
    named."""
    jobs: list[NewJob] = []
    left = list(plan.left)
    for job in plan.jobs:
        there = _there(api, job)
        if there is None:
            jobs.append(job)
        elif _stays(there, job) != THERE:
            left.append(Finding(job.body["name"], f"it is {_stays(there, job)}"))
    return msgspec.structs.replace(plan, jobs=tuple(jobs), left=tuple(left))


def gone(api: Client, plan: Plan) -> Plan:
    """With those that an earlier import of a crontab made and that this one does not name, or that
    do what another does."""
    before = _imported(api, plan)
    left = [_gone(one, plan, {other.name for other in before}) for one in before]
    return msgspec.structs.replace(plan, left=plan.left + tuple(one for one in left if one))


def _gone(one: Imported, plan: Plan, names: set[str]) -> Finding | None:
    if any(one.name == _full_name(job) for job in plan.jobs):
        return None
    same = next((_full_name(job) for job in plan.jobs if one.is_same(job)), None)
    remedy = f"If it is to go: `homarus cron remove {one.name}`."
    if same is None:
        return Finding(one.name, "it was imported before, and is not in this file (any more)",
                       f"It stays as it is. {remedy}")  # fmt: skip
    return Finding(one.name, f"it does the same as {same}", remedy) if same in names else None


def _imported(api: Client, plan: Plan) -> list[Imported]:
    """What imports of crontabs of the plan's agent have made. Raises HomarusError."""
    if plan.crontab_of is None:
        return []
    names = f"cron.{keys.slug(plan.crontab_of)}."
    runs = (capabilities_of(plan.crontab_of), f"cron.{rules.key_of(plan.crontab_of)}.")
    rows = [
        row for row in api.pages("/jobs", "jobs")
        if row["fullName"].startswith(names)
        and str(row["does"].get("capability")).startswith(runs)
    ]  # fmt: skip
    argv = {one["id"]: one["argv"] for one in api.pages("/capabilities", "capabilities")
            if one["id"].startswith(runs)} if rows else {}  # fmt: skip
    return [Imported(row, argv.get(row["does"]["capability"])) for row in rows]


def _full_name(job: NewJob) -> str:
    return f"cron.{keys.slug(job.body['agentId'])}.{job.body['key']}"


def _there(api: Client, job: NewJob) -> dict[str, Any] | None:
    return _found(api, f"/jobs/{path_part(_full_name(job))}", "job")


def _found(api: Client, path: str, noun: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = api.get(path)[noun]
    except NotFound:
        return None
    return found


def _stays(there: dict[str, Any], job: NewJob) -> str:
    work = job.body["work"]
    other = [] if _same_time(there["schedule"], job.body["schedule"]) else ["schedule"]
    other += ["agent"] if there["agentGone"] else []
    other += [field for field in ("message", "capability")
              if field in work and there["does"].get(field) != work[field]]  # fmt: skip
    return f"{THERE}, with another {' and '.join(other)}: left as it is" if other else THERE


def _same_time(there: dict[str, Any] | None, said: dict[str, Any]) -> bool:
    """A time zone, or a moment to count from, that the file does not name is no difference."""
    if there is None:
        return False
    try:
        wanted = words.fields(msgspec.convert(said, When), there.get("tz") or "UTC")
        is_there = words.fields(msgspec.convert(there, When), "UTC")
    except (HomarusError, msgspec.ValidationError):
        return False
    if said["kind"] != "cron":
        wanted.pop("zone")
    return wanted.items() <= is_there.items()
