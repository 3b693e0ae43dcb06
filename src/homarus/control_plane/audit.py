"""The ledger on the wire: export, receipts, why something happened, what belongs to a trace."""

import asyncio
from typing import Any, Final

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.control_plane.route import (
    Call,
    Route,
    Stream,
    StreamRoute,
    json_reply,
    read_route,
)
from homarus.control_plane.trace_tree import tree
from homarus.kernel import anchors, audit, receipts, trail
from homarus.kernel.receipts import Receipt
from homarus.records import artifacts
from homarus.store.port import Reply, Rx
from homarus.tasks import rules as task_rules
from homarus.tasks import sql as task_sql
from homarus.tasks.model import Task

MAX_TREE_TASKS: Final = 500


def _company(rx: Rx, call: Call[None]) -> tuple[str, int]:
    """The company asked about: the call's own, or `?company=` for an operator of the instance.

    Raises `company.unknown`.
    """
    asked = call.query.get("company")
    if not asked:
        return audit.company_of(rx, call.company or audit.INSTANCE)
    found = audit.company_of(rx, asked)
    if call.token.company not in ("", found[0]):
        raise NotFound("company.unknown", f"no company {asked[:80]!r}", "Ask for your own.")
    return found


def exported(rx: Rx, call: Call[None]) -> Reply:
    """GET /audit/export: one page of `homarus-audit/1`. `header` and `lines` joined are the file;
    a later page's header is left out of it."""
    company, no = _company(rx, call)
    after = call.query.get("afterSeal", "0")
    if not (after.isascii() and after.isdecimal()) or len(after) > 18:
        raise Invalid("request.cursor", "unreadable afterSeal", "Repeat `nextAfterSeal` as given.")
    page = audit.page(rx, company, no, int(after), call.limit())
    return json_reply({"header": page.header, "lines": page.lines, "nextAfterSeal": page.next})


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /receipts: newest first."""
    company, no = _company(rx, call)
    query = call.query
    task = query.get("task")
    rows, after = trail.listed(
        rx,
        company,
        no,
        before=call.cursor(),
        limit=call.limit(),
        task=None if not task else task_sql.need(rx, company, task, archived=True).id,
        trace=_uuid(query.get("trace"), "trace"),
        actor=query.get("actor") or None,
        verdict=query.get("verdict") or None,
        capability=query.get("capability") or None,
    )
    body: dict[str, Any] = {"receipts": rows}
    if after is not None:
        body["nextCursor"] = str(after)
    return json_reply(body)


def _uuid(text: str | None, field: str) -> str | None:
    if not text:
        return None
    if not is_uuid(text.lower()):
        raise Invalid("request.bad_id", f"{field} {text[:80]!r} is not an id", "Give the UUID.")
    return text.lower()


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /receipts/{id}: the receipt and the outcomes that name it."""
    company, no = _company(rx, call)
    row = receipts.by_id(rx, company, no, call.id())
    if row is None:
        raise NotFound(
            "receipt.unknown", f"no receipt {call.id()}", "List them: `homarus audit show`."
        )
    return json_reply({"receipt": row, "outcomes": receipts.outcomes_of(rx, company, no, row.seq)})


# -- why -----------------------------------------------------------------------------------


def why(rx: Rx, call: Call[None]) -> Reply:
    """GET /why/{ref}: a receipt, an event, a task or an artifact, by id or number.

    Answers `{kind, ref, answer, receipts, chain}`: `answer` is the deciding receipt in words,
    `chain` what led to it, oldest first.
    """
    company, no = _company(rx, call)
    kind, ref, found = _about(rx, company, no, call.path["ref"])
    if not found:
        raise NotFound(
            "why.unknown",
            f"nothing in the ledger concerns {call.path['ref'][:80]!r}",
            "Give the id of a receipt, event, task or artifact, or a number such as T-12.",
        )
    deciding = found[-1] if kind == "task" else found[0]
    outcomes = receipts.outcomes_of(rx, company, no, deciding.seq)
    return json_reply(
        {
            "kind": kind,
            "ref": ref,
            "answer": _answer(deciding, outcomes) | {"approval": trail.approval_of(rx, deciding)},
            "receipts": found,
            "chain": trail.chain(rx, deciding, no),
        }
    )


def _about(rx: Rx, company: str, no: int, ref: str) -> tuple[str, str, list[Receipt]]:
    """What `ref` names, its id, and the receipts that concern it, oldest first."""
    head = ref[:2].upper()
    if head == "A-":
        ref = artifacts.need(rx, company, ref).id
    elif head == "T-":
        ref = task_sql.need(rx, company, ref, archived=True).id
    elif not is_uuid(ref.lower()):
        raise Invalid(
            "request.bad_id", f"{ref[:80]!r} is neither an id nor a number", "Give a UUID or T-12."
        )
    ref = ref.lower()
    receipt, event = receipts.by_id(rx, company, no, ref), trail.event_by_id(rx, no, ref)
    of_event = [] if event is None else trail.of_event(rx, company, no, event)
    if receipt is not None:
        # An event of the same millisecond and number has the same id: its receipts stand behind.
        of = [] if receipt.of is None else receipts.at(rx, company, no, receipt.of)
        first = [*of, receipt]
        return "receipt", ref, first + [r for r in of_event if r not in first]
    if event is not None:
        return "event", ref, of_event
    if task_sql.by_id(rx, company, ref) is not None:
        return "task", ref, receipts.about(rx, company, no, "task", ref)
    kind = "artifact" if artifacts.by_id(rx, company, ref) is not None else "thing"
    found: dict[int, Receipt] = {}
    for event in trail.events_about(rx, no, ref):
        found |= {r.seq: r for r in trail.of_event(rx, company, no, event)}
    return kind, ref, [found[seq] for seq in sorted(found)]


def _answer(receipt: Receipt, outcomes: list[Receipt]) -> dict[str, Any]:
    """Who, what, by which rules, with what outcome, at what cost (none is counted yet)."""
    last = outcomes[-1] if outcomes else None
    outcome = receipt.outcome or (last.outcome if last is not None else None)
    if outcome is None:
        outcome = "done" if receipt.verdict == "allow" else "not done"
    return {
        "who": receipt.actor,
        "proof": receipt.proof,
        "what": receipt.capability,
        "target": receipt.target,
        "at": receipt.at,
        "verdict": receipt.verdict,
        "rule": receipt.rule,
        "code": receipt.code,
        "wouldRefuse": receipt.verdict == "allow" and receipt.rule is not None,
        "rulesVersion": receipt.rules,
        "reason": receipt.reason,
        "outcome": outcome,
        "outcomeReason": None if last is None else last.reason,
        "task": receipt.task,
        "trace": receipt.trace,
        "preflight": receipt.preflight,
        "prompt": None,
        "cost": None,
        "receipt": receipt.id,
    }


# -- traces and anchors --------------------------------------------------------------------


def trace(rx: Rx, call: Call[None]) -> Reply:
    """GET /traces/{id}: the tree of its tasks and dispatches (see `trace_tree`), the tasks with
    their receipts, and the receipts and dispatches beside them."""
    company, no = _company(rx, call)
    ref = call.id()
    found = trail.of_trace(rx, company, no, ref)
    tasks: dict[str, list[Receipt]] = {}
    beside: list[Receipt] = []
    for receipt in found:
        if receipt.task is None:
            beside.append(receipt)
        elif receipt.task in tasks or len(tasks) < MAX_TREE_TASKS:
            tasks.setdefault(receipt.task, []).append(receipt)
    if not found:
        raise NotFound("trace.unknown", f"nothing in the ledger bears trace {ref}", "Check the id.")
    roots, loose = tree(rx, company, ref, {task: len(rows) for task, rows in tasks.items()})
    return json_reply(
        {
            "trace": ref,
            "tree": roots,
            "dispatches": loose,
            "tasks": [
                {**_task(task_sql.by_id(rx, company, task), task), "receipts": rows}
                for task, rows in tasks.items()
            ],
            "receipts": beside,
        }
    )


def _task(row: Task | None, task: str) -> dict[str, Any]:
    if row is None:
        return {"id": task, "number": None, "state": None, "createdAt": None}
    return {
        "id": row.id,
        "number": row.number,
        "state": task_rules.to_wire(row.state),
        "createdAt": iso_ms(row.created_ms),
    }


async def anchored(stream: Stream, call: Call[None]) -> Reply:
    """GET /audit/anchors: the anchors of the company, oldest first. Ask before an export: an
    anchor newer than the export looks like a cut tail."""
    company, _ = await stream.read(_company, call)
    path = stream.home / "run" / anchors.FILE_NAME
    rows = await asyncio.to_thread(anchors.read, path)
    return json_reply({"anchors": [row for row in rows if row.company == company]})


TAGS: Final = ("audit",)
_MORE: Final[dict[str, Any]] = {"capability": "audit.read", "scope": "any", "tags": TAGS}
FILTERS: Final = (
    "company", "task", "trace", "actor", "verdict", "capability", "limit", "cursor",
)  # fmt: skip
ROUTES: Final[tuple[Route | StreamRoute, ...]] = (
    read_route(
        "/audit/export", exported, "Export a page of the ledger",
        query=("company", "afterSeal", "limit"), **_MORE,
    ),
    StreamRoute(
        method="GET", path="/audit/anchors", handler=anchored, kind="read",
        summary="List anchored seals", keyed="ignored", query=("company",), **_MORE,
    ),
    read_route("/receipts", listed, "List receipts", query=FILTERS, **_MORE),
    read_route("/receipts/{id}", read, "Read a receipt", query=("company",), **_MORE),
    read_route("/why/{ref}", why, "Why something happened", query=("company",), **_MORE),
    read_route("/traces/{id}", trace, "What belongs to a trace", query=("company",), **_MORE),
)  # fmt: skip
FRAMES: Final[dict[str, Any]] = {}
