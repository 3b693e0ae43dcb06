"""Who may talk with agents on a channel (gateway contract, 10): policies, and what they say. Pure.

direct: pairing     who is not let in yet gets a code, which the owner approves
        allowlist   those of `allowFrom`, and who was paired
        open        everybody
        disabled    nobody
rooms:  allowlist   the rooms of `groups`
        open        all rooms; disabled: none
        and in each, unless `requireMention` is false there, only what names the agent
"""

from typing import Final

import msgspec

from homarus.config.channels import ANY, Account, ChannelConfig, Group
from homarus.conversations.routing import DIRECT, Peer, normal

OPEN: Final = "open"
PAIRING: Final = "pairing"
DISABLED: Final = "disabled"

HEAR: Final = "hear"
PAIR: Final = "pair"
IGNORE: Final = "ignore"


class Access(msgspec.Struct, frozen=True):
    """The policies of an account. `allow`: ids as they are compared."""

    dm_policy: str = PAIRING
    allow: frozenset[str] = frozenset()
    group_policy: str = "allowlist"
    groups: dict[str, Group] = {}


class Decision(msgspec.Struct, frozen=True):
    """`what`: hear, pair (it may ask to be let in), ignore; `why` for the log."""

    what: str
    why: str = ""


def of(channel: str, config: ChannelConfig, account: Account) -> Access:
    """An account's policies; what it does not say is as its channel has it."""
    allow = config.allow_from if account.allow_from is None else account.allow_from
    return Access(
        account.dm_policy or config.dm_policy,
        frozenset(normal(str(id_)).removeprefix(f"{channel}:") for id_ in allow),
        account.group_policy or config.group_policy,
        config.groups if account.groups is None else account.groups,
    )


def decide(access: Access, peer: Peer, sender: str, *, mentioned: bool, paired: bool) -> Decision:
    """`sender`: the person's id on the platform; `paired`: an owner let them in."""
    if peer.kind != DIRECT:
        return _room(access, peer, mentioned)
    if access.dm_policy == DISABLED:
        return Decision(IGNORE, "direct messages are off")
    known = paired or ANY in access.allow or normal(sender) in access.allow
    if known or access.dm_policy == OPEN:
        return Decision(HEAR)
    if access.dm_policy == PAIRING:
        return Decision(PAIR)
    return Decision(IGNORE, "the sender is not in allowFrom")


def _room(access: Access, peer: Peer, mentioned: bool) -> Decision:
    if access.group_policy == DISABLED:
        return Decision(IGNORE, "rooms are off")
    named = {normal(id_): group for id_, group in access.groups.items()}
    group = named.get(normal(peer.id)) or named.get(ANY)
    if group is None and access.group_policy != OPEN:
        return Decision(IGNORE, "the room is not in groups")
    group = group or Group()
    if not group.enabled:
        return Decision(IGNORE, "the room is off")
    if group.require_mention and not mentioned:
        return Decision(IGNORE, "the agent was not named")
    return Decision(HEAR)
