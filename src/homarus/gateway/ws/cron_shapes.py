"""Jobs and their runs as cron jobs of this wire, and back (gateway contract, 9)."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.company import agents, founding
from homarus.conversations import keys
from homarus.flows import announcing, answering
from homarus.gateway.ws import frames
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.shapes import without_none
from homarus.jobs import runs, words
from homarus.jobs.model import COMMAND, MAINTENANCE, TURN, Job, JobChange, Run, State
from homarus.jobs.words import When
from homarus.store.port import Rx, Tx

Doc = dict[str, Any]
ISOLATED: Final = "isolated"
OF_SESSION: Final = "session:"
STATUS: Final = {
    State.DONE: "ok", State.FAILED: "error", State.DEAD: "error", State.DROPPED: "error",
    State.SKIPPED: "skipped", State.MISSED: "skipped",
}  # fmt: skip
ENDED: Final = tuple(STATUS)
TURN_FIELDS: Final = ("model", "thinking", "timeoutSeconds", "toolsAllow")
"""Of a payload: how its turn is run."""
SUMMARY_CHARS: Final = 500


class NewJob(Params):
    """What a client says of a job; of a patch only what changes."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    agent_id: str | msgspec.UnsetType | None = msgspec.UNSET
    session_key: str | msgspec.UnsetType | None = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    delete_after_run: bool | msgspec.UnsetType = msgspec.UNSET
    schedule: When | msgspec.UnsetType = msgspec.UNSET
    session_target: str | msgspec.UnsetType = msgspec.UNSET
    wake_mode: str | msgspec.UnsetType = msgspec.UNSET
    payload: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    delivery: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


def change_of(tx: Tx, new: NewJob, before: Job | None) -> JobChange:
    """Raises Fault, `job.*`, `agent.*`, `time.zone`."""
    values: Doc = {
        "name": new.name, "description": new.description, "active": new.enabled,
        "once": new.delete_after_run,
    }  # fmt: skip
    if before is None or new.agent_id is not msgspec.UNSET:
        ref = None if new.agent_id is msgspec.UNSET else new.agent_id
        values["agent"] = answering.target(tx, tx.company, ref).id
    if isinstance(new.schedule, When):
        values |= words.fields(new.schedule, founding.need(tx, tx.company).zone)
    said = {"sessionTarget": new.session_target, "wakeMode": new.wake_mode,
            "sessionKey": new.session_key, "payload": new.payload}  # fmt: skip
    wire = ({} if before is None else before.wire) | {
        name: value for name, value in said.items() if value is not msgspec.UNSET
    }
    if before is None or new.payload is not msgspec.UNSET or "session_target" in _given(new):
        values |= _does(wire)
    if before is not None and announcing.FIELD in before.does and "does" in values:
        values["does"][announcing.FIELD] = before.does[announcing.FIELD]
    if new.delivery is not msgspec.UNSET:
        wire.pop(announcing.FIELD, None)
        does = values.get("does", {} if before is None else before.does)
        values["does"] = announcing.with_wish(does, new.delivery)
    return JobChange(**values, wire=wire)


def _given(new: NewJob) -> set[str]:
    return {name for name in new.__struct_fields__ if getattr(new, name) is not msgspec.UNSET}


def _does(wire: Doc) -> Doc:
    payload = wire.get("payload") or {}
    kind = payload.get("kind")
    text = payload.get("message") if kind == "agentTurn" else payload.get("text")
    if kind not in ("agentTurn", "systemEvent"):
        raise Fault(
            frames.INVALID_REQUEST,
            f"a payload of kind {str(kind)[:40]!r} is not run here; register a command as a "
            "capability, then `homarus cron add --run`",
            {"code": "job.what"},
        )
    _refuse_unmet(payload)
    does: Doc = without_none({"message": text} | {name: payload.get(name) for name in TURN_FIELDS})
    if does.get("timeoutSeconds") == 0:  # how this wire says that there is no bound
        del does["timeoutSeconds"]
    target = str(wire.get("sessionTarget") or (keys.MAIN if kind == "systemEvent" else ISOLATED))
    if target == "current":
        target = f"{OF_SESSION}{wire.get('sessionKey') or keys.MAIN}"
    if target == keys.MAIN:
        does["session"] = keys.MAIN
    elif target.startswith(OF_SESSION):
        does["session"] = target.removeprefix(OF_SESSION)
    return {"what": TURN, "does": does}


def _refuse_unmet(payload: Doc) -> None:
    """What is said of a turn is obeyed, or refused."""
    known = {"kind", "message", "text", *TURN_FIELDS}
    unmet = [name for name, value in payload.items() if name not in known and value is not None]
    if unmet:
        raise Fault(
            frames.INVALID_REQUEST,
            f"`{unmet[0][:40]}` of a payload is not offered; leave it out. What an agent may do is "
            "said by what it is granted, where an answer goes by `delivery`",
            {"code": "job.payload", "field": unmet[0][:40]},
        )


# -- what is told ----------------------------------------------------------------------------


def agent_slug(rx: Rx, row: Job) -> str | None:
    found = None if row.agent is None else agents.by_id(rx, row.company, row.agent)
    return None if found is None else keys.slug(found.name)


def job(rx: Rx, row: Job) -> Doc:
    """A job of whatever face; what a client said of it is told again as it was."""
    last = runs.last_of(rx, row.id)
    wire = row.wire
    own = row.does.get("session")
    target = keys.MAIN if own == keys.MAIN else f"{OF_SESSION}{own}" if own else ISOLATED
    return without_none(
        {
            "id": row.id, "name": row.name, "agentId": agent_slug(rx, row),
            "sessionKey": wire.get("sessionKey"), "description": row.description,
            "enabled": row.active, "deleteAfterRun": row.once or None,
            "createdAtMs": row.created_ms, "updatedAtMs": row.updated_ms,
            "schedule": _schedule(row), "sessionTarget": wire.get("sessionTarget", target),
            "wakeMode": wire.get("wakeMode", "now"), "payload": wire.get("payload", _payload(row)),
            "delivery": announcing.told(row),
            "configRevision": str(row.updated_ms), "state": _state(row, last),
        }
    )  # fmt: skip


def _schedule(row: Job) -> Doc:
    """One that only a hand runs is told as a moment that has passed: this wire knows no other."""
    return words.when_of(row) or {"kind": "at", "at": iso_ms(row.created_ms)}


def _payload(row: Job) -> Doc:
    match row.what:
        case what if what == TURN:
            said = {name: row.does[name] for name in TURN_FIELDS if name in row.does}
            return {"kind": "agentTurn", "message": str(row.does.get("message", ""))} | said
        case what if what == COMMAND:
            return {"kind": "command", "argv": [str(row.does.get("capability", ""))]}
        case what if what == MAINTENANCE:
            return {"kind": "command", "argv": ["homarus", str(row.does.get("duty", ""))]}
        case _:
            return {"kind": "agentTurn", "message": str(row.payload.get("title") or row.name)}


def _state(row: Job, last: Run | None) -> Doc:
    running = last is not None and last.state is State.RUNNING
    known: Doc = {"nextRunAtMs": row.next_run_ms, "lastRunAtMs": row.last_run_ms}
    if last is not None and running:
        known["runningAtMs"] = last.started_ms
    if last is not None and last.state in STATUS:
        known |= {"lastRunAtMs": last.started_ms, "lastStatus": STATUS[last.state],
                  "lastError": last.error, "lastDurationMs": _duration(last)}  # fmt: skip
    elif row.last_run_ms is not None:
        known["lastStatus"] = "ok"
    return without_none(known)


def _duration(row: Run) -> int | None:
    if row.started_ms is None or row.ended_ms is None:
        return None
    return row.ended_ms - row.started_ms


def run_id(row: Run) -> str:
    """`manual:<job>:<ms>:<n>` of one by hand."""
    return f"manual:{row.job}:{row.scheduled_ms}:{row.n}" if row.n else row.id


def run(rx: Rx, row: Run, of: Job | None) -> Doc:
    """An ended run, as an entry of `cron.runs`."""
    session = None
    if row.what == TURN and of is not None:
        slug = agent_slug(rx, of)
        session = f"agent:{slug}:cron:{of.id}" if slug and not of.does.get("session") else None
    came_to = announcing.came_to_of(rx, row)
    return without_none(
        {
            "ts": row.ended_ms or row.created_ms, "jobId": row.job, "action": "finished",
            "status": STATUS.get(row.state, "error"), "error": row.error,
            "summary": None if row.output is None else row.output[-SUMMARY_CHARS:],
            "runAtMs": row.started_ms or row.scheduled_ms, "durationMs": _duration(row) or 0,
            "runId": run_id(row), "sessionKey": session,
            "jobName": None if of is None else of.name,
            "deliveryStatus": came_to.status, "deliveryError": came_to.why,
            "nextRunAtMs": None if of is None else of.next_run_ms,
        }
    )  # fmt: skip


def started(at_ms: int) -> Doc:
    """A run that began, in the event `cron`, without its job."""
    return {"action": "started", "runAtMs": at_ms}


def finished(rx: Rx, row: Run, of: Job | None) -> Doc:
    """An ended run in the event `cron`, without its job."""
    told = run(rx, row, of)
    return {name: told[name] for name in ("action", "status", "error", "runAtMs", "durationMs",
                                          "runId", "nextRunAtMs") if name in told}  # fmt: skip
