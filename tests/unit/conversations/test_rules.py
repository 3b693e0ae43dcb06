"""Who may be named as a sender, and how a message's state moves (control-plane contract, 8)."""

import pytest

from homarus.base.action import Actor, ActorKind
from homarus.base.errors import HomarusError
from homarus.conversations import rules
from homarus.conversations.model import DeliveryState, Sender, SenderType

AGENT = Actor(ActorKind.AGENT, "a1", "ada")
RUNTIME = Actor(ActorKind.RUNTIME, "t1", "bridge")
OPERATOR = Actor(ActorKind.OPERATOR, "o1", "Olivia", "owner")
SYSTEM = Actor(ActorKind.SYSTEM, "scheduler")

HUMAN, SPEAKS_AGENT = SenderType.HUMAN, SenderType.AGENT
RELAYED = {"relayed": True}
OLIVIA = {"senderName": "Olivia", "senderRole": "owner"}


@pytest.mark.parametrize(
    "actor, claimed, ref, default, expected",
    [
        (AGENT, None, None, HUMAN, Sender(SPEAKS_AGENT, "a1")),
        (AGENT, "agent", "a1", HUMAN, Sender(SPEAKS_AGENT, "a1")),
        (AGENT, "human", "boss", HUMAN, "message.not_human"),
        (RUNTIME, "human", "tg-77", SPEAKS_AGENT, Sender(HUMAN, "tg-77", RELAYED)),
        (RUNTIME, "human", None, SPEAKS_AGENT, Sender(HUMAN, None, RELAYED)),
        (RUNTIME, None, None, HUMAN, Sender(HUMAN, None, RELAYED)),
        (RUNTIME, None, None, SPEAKS_AGENT, Sender(SPEAKS_AGENT, None, RELAYED)),
        (RUNTIME, "human", "x" * 300, HUMAN, Sender(HUMAN, "x" * 200, RELAYED)),
        (OPERATOR, None, "somebody", SPEAKS_AGENT, Sender(HUMAN, "o1", OLIVIA)),
        (OPERATOR, "human", None, SPEAKS_AGENT, Sender(HUMAN, "o1", OLIVIA)),
        (OPERATOR, "agent", None, HUMAN, "message.sender_missing"),
        (SYSTEM, None, None, HUMAN, Sender(SenderType.SYSTEM, "scheduler")),
        (RUNTIME, "system", None, HUMAN, "message.sender_type"),
        (AGENT, "robot", None, HUMAN, "message.sender_type"),
    ],
)
def test_sender(actor, claimed, ref, default, expected):
    try:
        found = rules.sender(actor, claimed, ref, default)
    except HomarusError as error:
        found = error.code
    assert found == expected


def test_a_caller_cannot_write_the_reserved_metadata():
    forged = {"relayed": False, "senderName": "the owner", "senderRole": "owner", "mood": "good"}
    who = rules.sender(RUNTIME, "human", "x", HUMAN)
    assert rules.metadata(forged, who) == {"mood": "good", "relayed": True}


@pytest.mark.parametrize(
    "explicit, typing, read, expected",
    [
        (None, None, False, None),
        (None, False, False, None),
        (None, None, True, DeliveryState.SEEN),
        (None, True, False, DeliveryState.ACTING),
        (None, True, True, DeliveryState.ACTING),
        (None, False, True, DeliveryState.SEEN),
        ("resolved", True, True, DeliveryState.RESOLVED),
        ("queued", None, False, DeliveryState.QUEUED),
        ("dancing", None, False, "chat.state"),
    ],
)
def test_wanted_state(explicit, typing, read, expected):
    try:
        found = rules.wanted_state(explicit, typing, read)
    except HomarusError as error:
        found = error.code
    assert found == expected


@pytest.mark.parametrize(
    "now, wanted, explicit, moves",
    [
        ("queued", "seen", False, True),
        ("seen", "seen", False, False),
        ("acting", "seen", False, False),
        ("resolved", "acting", False, False),
        ("resolved", "acting", True, True),
        ("resolved", "resolved", True, False),
        ("seen", "acting", False, True),
    ],
)
def test_a_derived_state_never_goes_back(now, wanted, explicit, moves):
    assert rules.may_move(now, DeliveryState(wanted), explicit) is moves
