"""Changes on the wire: describe, validate, review, approve, switch, roll back."""

import contextlib
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid, NotFound
from homarus.changes import sql
from homarus.changes.model import Change, NewChange
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import changing, switching
from homarus.store.port import Reply, Rx, Tx


class ChangeBody(msgspec.Struct, frozen=True, rename="camel"):
    """`patch` by kind: see `changes.model.NewChange`."""

    kind: str
    patch: dict[str, Any]
    intent: str
    impact: str
    rollback_plan: str
    validation: str
    major: bool = False
    aspects: list[str] = []


class ApproveBody(msgspec.Struct, frozen=True, rename="camel"):
    """`confirm`: the second act of an author who is the company's only operator."""

    confirm: bool = False


class ReasonBody(msgspec.Struct, frozen=True, rename="camel"):
    reason: str


class ReviewBody(msgspec.Struct, frozen=True, rename="camel"):
    """An opinion (`perspective`, `opinion`, `comment`), or an `answer` to review number `n`."""

    perspective: str | None = None
    opinion: str | None = None
    comment: str | None = None
    answer: str | None = None
    n: int | None = None


def _at(ms: int | None) -> str | None:
    return None if ms is None else iso_ms(ms)


def wire(row: Change) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": row.number,
        "kind": row.kind,
        "target": row.target,
        "status": row.status,
        "intent": row.intent,
        "impact": row.impact,
        "rollbackPlan": row.rollback_plan,
        "validation": row.validation,
        "patch": row.patch,
        "major": row.major,
        "aspects": row.aspects,
        "author": row.author,
        "approvalRole": row.role,
        "perspectives": row.perspectives,
        "approver": row.approver,
        "selfApproved": row.self_approved,
        "failures": [{"path": f.path, "message": f.message} for f in row.failures],
        "reviews": [
            {
                "n": r.n,
                "perspective": r.perspective,
                "opinion": r.opinion,
                "comment": r.comment,
                "answer": r.answer,
                "reviewer": r.reviewer,
                "at": iso_ms(r.at_ms),
            }
            for r in row.reviews
        ],
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "approvedAt": _at(row.approved_ms),
        "switchedAt": _at(row.switched_ms),
    }


def _short(row: Change) -> dict[str, Any]:
    """A row of the list: all but the patch and the reviews."""
    return {k: v for k, v in wire(row).items() if k not in ("patch", "reviews")}


def _reply(message: str, row: Change, status: int = 200, **more: Any) -> Reply:
    return json_reply({"message": message, "change": wire(row)} | more, status)


def propose(tx: Tx, call: Call[ChangeBody]) -> Reply:
    body = call.body
    row = changing.propose(
        tx,
        NewChange(
            kind=body.kind,
            patch=body.patch,
            intent=body.intent,
            impact=body.impact,
            rollback_plan=body.rollback_plan,
            validation=body.validation,
            major=body.major,
            aspects=tuple(body.aspects),
        ),
    )
    return _reply("Change proposed", row, 201)


def listed(rx: Rx, call: Call[None]) -> Reply:
    limit = call.limit()
    rows = sql.listed(
        rx,
        call.company,
        limit=limit,
        before=call.cursor(),
        status=call.query.get("status") or None,
        kind=call.query.get("kind") or None,
    )
    more = behind(rows, limit)
    return json_reply({"changes": [_short(row) for row in rows]} | more)


def show(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"change": wire(sql.need(rx, call.company, call.path["id"]))})


def validate(tx: Tx, call: Call[None]) -> Reply:
    row = changing.validate(tx, call.path["id"])
    message = "It does not hold; see `failures`" if row.failures else "Change validated"
    return _reply(message, row, valid=not row.failures)


def approve(tx: Tx, call: Call[ApproveBody]) -> Reply:
    """202: the author is the only operator and has to confirm."""
    done = changing.approve(tx, call.path["id"], confirm=call.body.confirm)
    if done.confirm:
        return _reply(
            "You are its author and the only operator: approve it again with `confirm` to "
            "answer for it alone",
            done.change, 202, confirmNeeded=True,
        )  # fmt: skip
    return _reply("Change approved", done.change)


def reject(tx: Tx, call: Call[ReasonBody]) -> Reply:
    return _reply("Change rejected", changing.reject(tx, call.path["id"], call.body.reason))


def switch(tx: Tx, call: Call[None]) -> Reply:
    return _reply("Change in force", changing.switch(tx, call.path["id"]))


def roll_back(tx: Tx, call: Call[None]) -> Reply:
    return _reply("Change rolled back", changing.roll_back(tx, call.path["id"]))


def review(tx: Tx, call: Call[ReviewBody]) -> Reply:
    body, ref = call.body, call.path["id"]
    if body.answer is not None and body.n is not None:
        return _reply("Review answered", changing.answer(tx, ref, body.n, body.answer))
    if body.perspective is None or body.opinion is None or body.comment is None:
        raise Invalid(
            "request.schema",
            "neither a review nor an answer",
            "Give `perspective`, `opinion` and `comment`, or `n` and `answer`.",
        )
    row = changing.review(tx, ref, body.perspective, body.opinion, body.comment)
    return _reply("Change reviewed", row)


def prepared(rx: Rx, call: Call[Any]) -> None:
    """Long texts are read before the unit; whether the change is there, the unit says."""
    with contextlib.suppress(NotFound):
        switching.prepare(rx, call.company, call.path["id"])


TAGS: Final = ("changes",)
QUERY: Final = ("status", "kind", "limit", "cursor")


def _act(name: str, capability: str, handler: Any, summary: str, **more: Any) -> Route:
    return write_route(
        "POST", f"/changes/{{id}}/{name}", capability, handler, summary,
        target="change:{id}", before=prepared, tags=TAGS, **more,
    )  # fmt: skip


ROUTES: Final[tuple[Route, ...]] = (
    read_route("/changes", listed, "List changes, newest first", query=QUERY, tags=TAGS),
    write_route(
        "POST", "/changes", "change.create", propose, "Propose a change",
        body=ChangeBody, status=201, target="change:new", tags=TAGS,
    ),
    read_route("/changes/{id}", show, "Show a change, by id or number", tags=TAGS),
    _act("validate", "change.validate", validate, "Check what would result"),
    _act("review", "change.review", review, "Give an opinion, or answer one", body=ReviewBody),
    _act(
        "approve", "change.approve", approve, "Approve a change", body=ApproveBody, also=(202,)
    ),
    _act("reject", "change.approve", reject, "Reject or withdraw a change", body=ReasonBody),
    _act("switch", "change.switch", switch, "Put an approved change in force"),
    _act("rollback", "change.switch", roll_back, "Put the earlier version in force again"),
)  # fmt: skip
