"""Shapes of talk. A conversation is called thread on the wire (control-plane contract, 8)."""

from enum import StrEnum
from typing import Any, Final

import msgspec

TEAM: Final = "team"
DIRECT: Final = "direct"

MAX_TEXT: Final = 100_000
MAX_TITLE: Final = 500
MAX_TYPE: Final = 64
MAX_REF: Final = 200
TYPING_MS: Final = 5_000
"""How long one `typing: true` holds (contract, 8)."""


class SenderType(StrEnum):
    HUMAN = "human"
    AGENT = "agent"
    SYSTEM = "system"


class DeliveryState(StrEnum):
    """How far an agent got with a person's message. What agents say is RESOLVED from the start."""

    QUEUED = "queued"
    SEEN = "seen"
    ACTING = "acting"
    RESOLVED = "resolved"


class Conversation(msgspec.Struct, frozen=True, gc=False):
    """A row of `conversation`. `agent` is set for `direct` alone; `no` counts in the company."""

    id: str
    no: int
    company: str
    type: str
    agent: str | None
    title: str | None
    project: str | None
    task: str | None
    incident: str | None
    created_by_type: str
    created_by: str | None
    created_ms: int
    archived_ms: int | None


class Message(msgspec.Struct, frozen=True, gc=False):
    """A row of `message` with its conversation's type and task. `seq` orders the company."""

    company: str
    seq: int
    id: str
    conversation: str
    sender_type: str
    sender: str | None
    target_agent: str | None
    text: str
    metadata: dict[str, Any]
    delivery_state: str
    platform_message: str | None
    created_ms: int
    conversation_type: str
    task: str | None


class Sender(msgspec.Struct, frozen=True):
    """Who speaks, as far as it was proven. `about` joins the message's metadata."""

    type: SenderType
    id: str | None
    about: dict[str, Any] = {}


class Draft(msgspec.Struct, frozen=True):
    """A message to be stored. `platform_message`: its id where it came from, which dedupes it."""

    sender: Sender
    text: str
    target_agent: str | None = None
    metadata: dict[str, Any] = {}
    platform_message: str | None = None
