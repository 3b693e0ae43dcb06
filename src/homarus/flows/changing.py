"""Changing the system: propose, validate, review, approve, switch, roll back (contract, 10).

Each act is one unit. What a switch puts in force are rows; files of the main space follow them
after the commit, so that a killed process leaves the old or the new version whole.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import CHANGE_TEXTS, Conflict, Invalid, Refused
from homarus.changes import rules, sql
from homarus.changes.model import (
    MAX_PATCH_BYTES,
    MAX_TEXT,
    OPINIONS,
    PERSPECTIVES,
    UNKNOWN_AUTHOR,
    Change,
    Kind,
    NewChange,
    Status,
)
from homarus.changes.rules import Electorate, Voter
from homarus.company import agents
from homarus.flows import electing, switching
from homarus.kernel.facts import GOVERNED_ROLES
from homarus.store.port import Tx

CONFIRM_MS: Final = 3_600_000
"""How long after the first act the author and only operator may confirm."""


class Approval(msgspec.Struct, frozen=True):
    """What an act of approving led to. `confirm`: a second act is wanted."""

    change: Change
    confirm: bool = False


def propose(tx: Tx, new: NewChange) -> Change:
    """Step 1, describe. Raises `change.kind|text|aspect|patch|size`. Emits `change_proposed`."""
    rules.check_new(new)
    voter = electing.voter(tx)
    return _insert(tx, new, Status.PROPOSED, voter.key, voter.persons)


def found(tx: Tx, new: NewChange) -> Change:
    """A text that somebody put on disk, kept as a change: whoever did it may approve it."""
    return _insert(tx, new, Status.FOUND, UNKNOWN_AUTHOR, frozenset())


def _insert(tx: Tx, new: NewChange, status: Status, author: str, persons: frozenset[str]) -> Change:
    kind = Kind(new.kind)
    target = switching.shaped(kind, new.patch)
    patch = switching.pinned(tx, tx.company, kind, new.patch)
    if len(json.dumps(patch)) > MAX_PATCH_BYTES:
        raise Invalid(
            "change.size", f"the patch passes {MAX_PATCH_BYTES} bytes", "Make smaller changes."
        )
    change = Change(
        id=tx.new_id(),
        company=tx.company,
        no=tx.number("change"),
        kind=kind,
        target=target[:300],
        intent=new.intent.strip(),
        impact=new.impact.strip(),
        rollback_plan=new.rollback_plan.strip(),
        validation=new.validation.strip(),
        patch=patch,
        major=new.major,
        aspects=tuple(sorted(set(new.aspects))),
        status=status,
        author=author,
        author_persons=persons,
        failures=(),
        approver=None,
        self_approved=False,
        confirm_ms=None,
        previous=None,
        switch_no=None,
        created_ms=tx.now_ms,
        updated_ms=tx.now_ms,
        approved_ms=None,
        switched_ms=None,
    )
    sql.insert(tx, change)
    _tell(tx, "change_proposed" if status is Status.PROPOSED else "change_found", change)
    return sql.need(tx, tx.company, change.id)


def validate(tx: Tx, ref: str) -> Change:
    """Step 2: check the whole resulting thing; failures are kept by path. Raises `change.move`."""
    change = sql.need(tx, tx.company, ref)
    after = rules.moved(change, "validate")
    failures = switching.check(tx, tx.company, change)
    if failures:
        after = Status.PROPOSED
    change = sql.update(tx, change, after, failures=failures)
    _tell(tx, "change_validated", change, failures=len(failures))
    return change


def review(tx: Tx, ref: str, perspective: str, opinion: str, comment: str) -> Change:
    """An opinion from one perspective. Raises `change.perspective|opinion|comment|role|author`."""
    change = _open(sql.need(tx, tx.company, ref))
    if perspective not in PERSPECTIVES or opinion not in OPINIONS:
        raise Invalid(
            "change.opinion",
            f"{perspective[:60]!r} {opinion[:60]!r} is no review",
            f"Perspective: one of {list(PERSPECTIVES)}; opinion: one of {list(OPINIONS)}.",
        )
    _check_comment(comment)
    voter, there = electing.voter(tx), electing.electorate(tx, tx.company)
    rules.may_review(perspective, change.author_persons, voter, there)
    sql.add_review(tx, change, perspective, opinion, comment.strip(), voter.key)
    _tell(tx, "change_reviewed", change, perspective=perspective, opinion=opinion)
    return sql.need(tx, tx.company, change.id)


def answer(tx: Tx, ref: str, n: int, text: str) -> Change:
    """How an objection was met, or why not: the author's, or an operator's for a found text."""
    change = _open(sql.need(tx, tx.company, ref))
    _check_comment(text)
    voter = electing.voter(tx)
    if change.author_persons and not voter.persons & change.author_persons:
        raise Refused(
            "change.answer", "the author answers reviews", f"Ask {change.author}.", rule="R4"
        )
    if not sql.answer_review(tx, change, n, text.strip()):
        raise Invalid("change.review", f"{change.number} has no review {n}", "Count from 1.")
    _tell(tx, "change_reviewed", change, answered=n)
    return sql.need(tx, tx.company, change.id)


def approve(tx: Tx, ref: str, *, confirm: bool = False) -> Approval:
    """Step 3. Raises `change.move|invalid|unanswered|perspective|author|role|relayed`."""
    change = sql.need(tx, tx.company, ref)
    after = rules.moved(change, "approve")
    voter, there = electing.voter(tx), electing.electorate(tx, tx.company)
    outright = rules.may_approve(change.role, change.author_persons, voter, there)
    _check_reviews(change, voter, there)
    failures = switching.check(tx, tx.company, change)
    if failures:
        raise switching.invalid(change, failures)
    if not outright and not (confirm and _asked(tx, change)):
        change = sql.update(tx, change, change.status, confirm_ms=tx.now_ms)
        _tell(tx, "change_confirm_wanted", change)
        return Approval(change, confirm=True)
    change = sql.update(
        tx, change, after,
        approver=voter.key, approved_ms=tx.now_ms, self_approved=int(not outright), failures=(),
    )  # fmt: skip
    _tell(tx, "change_approved", change, self_approved=change.self_approved)
    return Approval(change)


def _asked(tx: Tx, change: Change) -> bool:
    return change.confirm_ms is not None and tx.now_ms - change.confirm_ms <= CONFIRM_MS


def _check_reviews(change: Change, voter: Voter, there: Electorate) -> None:
    """Every objection is answered; every wanted perspective agrees.

    Where a perspective has no holder but the author, the approver's act stands for it too.
    """
    for review in change.reviews:
        if review.opinion == "object" and review.answer is None:
            raise Conflict(
                "change.unanswered",
                f"review {review.n} of {change.number} objects and has no answer",
                f"Answer it: `homarus change review {change.number} --answer {review.n} TEXT`.",
            )
    agreed = {review.perspective for review in change.reviews if review.opinion == "agree"}
    for role in change.perspectives:
        named = there.agents_of(role, change.author_persons)
        if role not in agreed and named and voter.role != role:
            raise Conflict(
                "change.perspective",
                f"{change.number} also needs the agreement of {role}",
                f"Ask {', '.join(named[:5])}: `homarus change review {change.number} "
                f"--perspective {role} --agree TEXT`.",
            )


def reject(tx: Tx, ref: str, reason: str) -> Change:
    """Those who may approve, and the author, end it. Raises `change.move|role|comment`."""
    change = sql.need(tx, tx.company, ref)
    after = rules.moved(change, "reject")
    _check_comment(reason)
    voter, there = electing.voter(tx), electing.electorate(tx, tx.company)
    if not voter.persons & change.author_persons:
        rules.may_put_in_force(change.role, voter, there)
    change = sql.update(tx, change, after)
    _tell(tx, "change_rejected", change, reason=reason.strip())
    return change


def switch(tx: Tx, ref: str) -> Change:
    """Step 5: put it in force. Raises `change.move|role|relayed|invalid|by_hand`."""
    change = sql.need(tx, tx.company, ref)
    after = rules.moved(change, "switch")
    rules.may_put_in_force(change.role, electing.voter(tx), electing.electorate(tx, tx.company))
    previous = switching.put_in_force(tx, change)
    change = sql.update(
        tx, change, after,
        previous=previous, switch_no=tx.number("switch"), switched_ms=tx.now_ms, failures=(),
    )  # fmt: skip
    _tell(tx, "change_switched", change)
    return change


def roll_back(tx: Tx, ref: str) -> Change:
    """What it replaced is in force again, as a new version. Only the newest of a thing's switches.

    Raises `change.move|role|relayed|newer|first`.
    """
    change = sql.need(tx, tx.company, ref)
    after = rules.moved(change, "roll back")
    rules.may_put_in_force(change.role, electing.voter(tx), electing.electorate(tx, tx.company))
    last = sql.last_switched(tx, tx.company, change.kind, change.target)
    if last is not None and last.id != change.id:
        raise Conflict(
            "change.newer",
            f"{last.number} was put in force after {change.number}",
            f"Roll back {last.number} first, or propose a change.",
        )
    switching.take_back(tx, change)
    change = sql.update(tx, change, after)
    _tell(tx, "change_rolled_back", change)
    return change


def check_role_given(tx: Tx, role: Any, before: str | None) -> None:
    """A governed role is given and taken by changes (design, 5). The one exception is the first
    one of a company: an owner may create it with its agent. Raises `R4.role`."""
    given, taken = role in GOVERNED_ROLES, before in GOVERNED_ROLES
    if role == before or not (given or taken):
        return
    if before is None and tx.actor.role == "owner" and _first_holder(tx):
        return
    word = role if given else before
    raise Refused(
        "R4.role",
        f"{word} is a governed role: it is given and taken by an approved change alone",
        f"Propose it: `homarus change new --role AGENT={role if given else ''} {CHANGE_TEXTS}`.",
        rule="R4",
    )


def _first_holder(tx: Tx) -> bool:
    """Whether no agent of the company holds or held a governed role, and no change was switched."""
    changed = tx.one(
        "select 1 from change_record where company=? and switch_no is not null limit 1",
        (tx.company,),
    )
    return changed is None and not agents.ever_held(tx, tx.company, GOVERNED_ROLES)


def _open(change: Change) -> Change:
    if change.status not in (Status.PROPOSED, Status.VALIDATED, Status.FOUND):
        raise Conflict(
            "change.move", f"{change.number} is {change.status}", "Reviews come before approval."
        )
    return change


def _check_comment(text: str) -> None:
    if not 0 < len(text.strip()) <= MAX_TEXT:
        raise Invalid("change.comment", "say why", f"1 to {MAX_TEXT} characters.")


def _tell(tx: Tx, kind: str, change: Change, **more: Any) -> None:
    facts = {"no": change.number, "kind": str(change.kind), "target": change.target}
    tx.emit(kind, change.id, facts | {"status": str(change.status)} | more)
