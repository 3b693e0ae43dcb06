"""What a claim and a result run into on levels L2 and L3, and at gate 7 (contract, 7).

Asked only where the task's own row says so: level 2 or 3, or governance assets.
"""

import msgspec

from homarus.base.errors import Refused
from homarus.kernel import rdp, settings
from homarus.kernel.gates import ASSET_KINDS
from homarus.kernel.rdp import AUDIT, IMPLEMENTATION
from homarus.store.port import Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import State, Task

MAX_ASSETS = 200


def enforced(rx: Rx, company: str) -> bool:
    return settings.level(rx, company) == settings.ENFORCE


def identity_of(agent: str) -> str:
    """An agent as parts name it: like the actor of its receipts."""
    return f"agent:{agent}"


def refuse_parts(tx: Tx, task: Task, part: str) -> None:
    """Nobody holds two parts of an L3 task. Raises `route.two_parts`."""
    held = rdp.held_by(rdp.parts(tx, task.id), tx.actor.key)
    if held is None and task.agent is not None and part == AUDIT:
        held = IMPLEMENTATION if identity_of(task.agent) == tx.actor.key else None
    if held in (None, part):
        return
    raise Refused(
        "route.two_parts",
        f"{tx.actor.name or tx.actor.id} holds the {held} of {task.number} already",
        f"Somebody else does the {part}: L3 wants three identities.",
        rule="gate-4",
    )


def claim_refusal(rx: Rx, company: str, task: Task, agent: str) -> Refused | None:
    """Why an agent cannot have an L3 task: it is not audited, or the agent audited it."""
    if not enforced(rx, company):
        return None
    found = rdp.parts(rx, task.id)
    if rdp.audited(found) is None:
        return Refused(
            "gate-4.audit",
            f"{task.number} is on level L3 and was not audited",
            "Somebody who neither implements nor accepts it audits it first.",
            rule="gate-4",
        )
    held = rdp.held_by(found, identity_of(agent))
    if held in (None, IMPLEMENTATION):
        return None
    return Refused(
        "route.two_parts",
        f"you hold the {held} of {task.number} already",
        "Somebody else implements it: L3 wants three identities.",
        rule="gate-4",
    )


def implementing(tx: Tx, task: Task, agent: str) -> None:
    rdp.add_part(tx, task.id, IMPLEMENTATION, identity_of(agent), "claimed", None)


def result_target(tx: Tx, task: Task, level: int, target: State, *, reviewing: bool) -> State:
    """What a result on level L2 or L3 may become. Raises `gate-6.brief`, `route.acceptance`."""
    if target not in (State.DONE, State.REVIEW) or not enforced(tx, tx.company):
        return target
    if level == 2 and not rdp.confirmed(tx, task.id):
        raise Refused(
            "gate-6.brief",
            f"{task.number} is on level L2, and its reverse brief is not confirmed",
            "Write the brief (POST …/tasks/{id}/brief) and wait until the requester confirms it.",
            rule="gate-6",
        )
    if level == 3 and target is State.DONE:
        if reviewing or task.state is State.REVIEW:
            raise acceptance_due(task)
        return State.REVIEW
    return target


def acceptance_due(task: Task) -> Refused:
    return Refused(
        "route.acceptance",
        f"{task.number} is on level L3: somebody else accepts it",
        "POST …/tasks/{id}/acceptance by who neither audited nor implemented it.",
        rule="gate-4",
    )


class Asset(msgspec.Struct, frozen=True):
    what: str
    there: bool


def assets(rx: Rx, company: str, task: Task) -> list[Asset]:
    """The governance assets of a task, and whether the main space has them: a declared path by its
    document, an artifact of a governance kind by its content."""
    found = []
    produces = sql.spec_of(rx, task.id).input.get("produces", [])
    for path in produces if isinstance(produces, list) else [produces]:
        if isinstance(path, str) and path.strip():
            name = path.strip().removeprefix("doc:")
            row = rx.one(
                "select 1 from document where company=? and path=? and deleted_ms is null",
                (company, name),
            )
            found.append(Asset(name, row is not None))
    marks = ",".join("?" * len(ASSET_KINDS))
    rows = rx.all(
        f"select kind, title, filename, sha256 from artifact where task=? and kind in ({marks}) "  # noqa: S608
        "and deleted_ms is null order by no limit ?",
        (task.id, *sorted(ASSET_KINDS), MAX_ASSETS),
    )
    for kind, title, filename, digest in rows:
        row = None
        if digest is not None:
            row = rx.one(
                "select 1 from document where company=? and sha256=? and deleted_ms is null",
                (company, bytes.fromhex(digest)),
            )
        found.append(Asset(f"{kind} {title or filename or digest or ''}".strip(), row is not None))
    return found


def require_written_back(tx: Tx, task: Task) -> None:
    """Gate 7: what governs the company is in the main space, or the task is not done.

    Raises `gate-7.not_written_back` with what is missing.
    """
    missing = [asset.what for asset in assets(tx, tx.company, task) if not asset.there]
    if not missing or not enforced(tx, tx.company):
        return
    raise Refused(
        "gate-7.not_written_back",
        f"{task.number} is not done: the main space lacks {', '.join(missing)[:300]}",
        "Bring it there by a change record of kind governed_document.",
        rule="gate-7",
        missing=missing,
    )


def unfinished(tx: Tx, task: Task) -> str | None:
    """Why a person's yes alone does not finish a task: it wants a confirmed brief (L2) or an
    acceptance (L3), or the main space lacks its assets (gate 7); None: it does."""
    level = sql.spec_of(tx, task.id).level
    if level == 3 and enforced(tx, tx.company):
        return "acceptance"
    if level == 2 and enforced(tx, tx.company) and not rdp.confirmed(tx, task.id):
        return "gate-6: its reverse brief is not confirmed"
    try:
        require_written_back(tx, task)
    except Refused as refusal:
        return f"gate-7: {refusal.message}"
    return None
