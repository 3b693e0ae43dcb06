"""What an agent's own tasks inherit from the task that it works on (governance contract, 4).

A child that is no spawn has no note, but it stands where its maker stands: on the same trace unless
another is named, no wider and one step deeper, so that making a task is no way round a note.
"""

import msgspec

from homarus.base.action import ActorKind
from homarus.kernel import contexts, routing
from homarus.kernel.contexts import Position
from homarus.store.port import Tx
from homarus.tasks import sql
from homarus.tasks.model import Task


class Origin(msgspec.Struct, frozen=True):
    """The task in the acting agent's hand."""

    task: str
    trace: str


def origin(tx: Tx) -> Origin | None:
    """None: no agent acts, or it works on nothing, or a spawn says all itself."""
    if tx.actor.kind is not ActorKind.AGENT or tx.admitted.context is not None:
        return None
    found = sql.in_hand(tx, tx.actor.id)
    return None if found is None else Origin(*found)


def inherit(tx: Tx, made_from: Origin | None, child: Task) -> None:
    """Give a task that an agent made the context of what it was made from, where that has one."""
    if made_from is None:
        return
    before = contexts.position(tx, made_from.task, made_from.trace, tx.actor.id)
    if before is None:
        return
    contexts.put(
        tx,
        Position(
            task=child.id,
            trace=child.trace,
            parent=made_from.task,
            caller=tx.actor.key,
            callee=child.agent or "",
            perm=routing.meet(before.perm, routing.own_perm(tx.actor.role)),
            depth=before.depth + 1,
            above=(*before.above, tx.actor.id),
            nonce=None,
            created_ms=tx.now_ms,
        ),
    )
