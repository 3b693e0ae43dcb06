"""Pure decisions of talk: who may be named as the sender, and how a message's state moves."""

from typing import Any, Final

from homarus.base.action import Actor, ActorKind
from homarus.base.errors import Invalid, Refused
from homarus.conversations.model import MAX_REF, DeliveryState, Sender, SenderType
from homarus.kernel.routing import METADATA

_ORDER: Final = tuple(DeliveryState)
ROUTE: Final = "route"
"""Metadata key: the channel, account, target and thread that a message came by."""
RESERVED: Final = ("relayed", "senderName", "senderRole", "edited", METADATA, ROUTE)
"""Metadata keys that only the daemon sets."""


def sender(actor: Actor, claimed: str | None, ref: str | None, default: SenderType) -> Sender:
    """Who speaks.

    `claimed` is the caller's `senderType`, `ref` the id it gives a person it relays, `default` what
    a company token means that says neither. Design, 5: a person named by a company token is stored
    as relayed; an agent's token never speaks as a person.

    Raises `message.sender_type`, `message.not_human`.
    """
    if claimed is not None and claimed not in (SenderType.HUMAN, SenderType.AGENT):
        raise Invalid(
            "message.sender_type",
            f"nobody sends as {claimed[:40]!r}",
            "Use `agent` (with `senderId` or `agentId`) or `human`.",
        )
    match actor.kind:
        case ActorKind.AGENT:
            if claimed == SenderType.HUMAN:
                raise Refused(
                    "message.not_human",
                    f"{actor.name} is an agent and cannot speak as a person",
                    "Send with `senderType: agent`.",
                    rule="identity",
                )
            return Sender(SenderType.AGENT, actor.id)
        case ActorKind.OPERATOR:
            if claimed == SenderType.AGENT:
                raise Invalid(
                    "message.sender_missing", "no agent is named", "Give `senderId` or `agentId`."
                )
            about = {"senderName": actor.name, "senderRole": actor.role}
            return Sender(SenderType.HUMAN, actor.id, about)
        case ActorKind.SYSTEM:
            return Sender(SenderType.SYSTEM, actor.id)
        case _:
            kind = default if claimed is None else SenderType(claimed)
            return Sender(kind, None if ref is None else ref[:MAX_REF], {"relayed": True})


def metadata(given: dict[str, Any] | None, who: Sender) -> dict[str, Any]:
    """The caller's metadata without the reserved keys, then what is known of the sender."""
    kept = {k: v for k, v in (given or {}).items() if k not in RESERVED}
    return kept | who.about


def edited(actor: Actor, at_ms: int) -> dict[str, Any]:
    """What a message's metadata says of its last change."""
    return {"edited": {"by": actor.key, "atMs": at_ms}}


def first_state(sender_type: str) -> DeliveryState:
    """A person's message waits for an agent; all others are resolved."""
    return DeliveryState.QUEUED if sender_type == SenderType.HUMAN else DeliveryState.RESOLVED


def wanted_state(explicit: str | None, typing: bool | None, read: bool) -> DeliveryState | None:
    """What a status report means: the state it names, else typing acts, else reading sees.

    Raises `chat.state`.
    """
    if explicit is not None:
        try:
            return DeliveryState(explicit)
        except ValueError:
            raise Invalid(
                "chat.state",
                f"unknown executionState {explicit[:40]!r}",
                f"Use one of {[s.value for s in DeliveryState]}.",
            ) from None
    if typing:
        return DeliveryState.ACTING
    return DeliveryState.SEEN if read else None


def may_move(now: str, wanted: DeliveryState, explicit: bool) -> bool:
    """Whether a message in state `now` becomes `wanted`: a derived state never goes back."""
    if now == wanted:
        return False
    return explicit or _ORDER.index(wanted) > _ORDER.index(DeliveryState(now))
