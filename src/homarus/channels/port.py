"""The port of channels: what an adapter of a messaging platform is.

An adapter knows its platform and nothing of the company. It brings what comes in to the `Inbox`,
and acknowledges to the platform only after the inbox has returned; it says of each part that it
sends what became of it. `tests/channels/test_contract.py` is the suite that each one passes.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from homarus.conversations.outgoing import Rule
from homarus.flows.channel_inbound import Incoming, Taken

__all__ = [
    "Account", "Capabilities", "Channel", "Inbox", "Incoming", "Later", "Outgoing", "Refused",
    "Rule", "Sent", "Taken", "Unknown",
]  # fmt: skip

MAX_WHY: Final = 300

Inbox = Callable[[Incoming], Awaitable[Taken]]
"""Keeps a message. Raises HomarusError: it is not kept; bring it again after a while."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`lookup`: it can be asked whether a token arrived; `prefix_name`: answers begin with the
    agent's name, as the platform shows none."""

    rule: Rule = Rule()
    threads: bool = False
    lookup: bool = False
    prefix_name: bool = False


class Account(msgspec.Struct, frozen=True):
    """One of a channel's accounts, as it is configured."""

    channel: str
    id: str
    name: str | None = None


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One part. `token`: the same for each attempt at it, so that a platform that dedupes sends it
    once; `reply_to`: on the first part alone."""

    token: str
    account: str
    target: str
    text: str
    thread: str | None = None
    reply_to: str | None = None


class Sent(msgspec.Struct, frozen=True):
    """`message`: the platform's id of it."""

    message: str


class Later(msgspec.Struct, frozen=True):
    """Nothing left the house. `retry_s`: the least that the platform asks to wait."""

    why: str
    retry_s: float = 0.0


class Unknown(msgspec.Struct, frozen=True):
    """It may have arrived."""

    why: str


class Refused(msgspec.Struct, frozen=True):
    """It will never be taken: no such chat, not allowed there."""

    why: str


Outcome = Sent | Later | Unknown | Refused


class Channel(Protocol):
    """`id` as in the configuration (`telegram`); `label` for people. One object serves all accounts
    of its channel."""

    id: str
    label: str
    capabilities: Capabilities

    async def run(self, account: Account, inbox: Inbox, ready: Callable[[], None]) -> None:
        """Be connected: call `ready` when it is, bring what comes in, until cancelled. What it
        raises is why the account is down; it is run again after a while."""
        ...

    async def send(self, out: Outgoing) -> Outcome:
        """Hand one part to the platform. It does not raise; a fault of its own counts as
        Unknown."""
        ...

    async def lookup(self, account: str, token: str) -> Sent | None:
        """Whether a part arrived. Asked only where `capabilities.lookup`. Raises HomarusError where
        the platform does not say."""
        ...

    async def probe(self, account: Account) -> dict[str, Any]:
        """Ask the platform whether the account works: `{"ok", "error"?, …}`. Bounded by the
        caller."""
        ...
