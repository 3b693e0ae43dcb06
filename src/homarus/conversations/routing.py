"""Who answers what comes from a channel, and in which session (gateway contract, 10). Pure.

    route(rules, origin, roster) -> Route | None

A binding counts when all that it gives holds. The narrowest tier wins, within a tier the first in
the file:

    1 peer  2 parent peer  3 any peer of a kind  4 guild and roles  5 guild  6 team
    7 account  8 channel  9 nothing: the default agent

A binding that names an agent who is not there is answered by the default agent (`missing` says
so): what people send is not lost over a typing error.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from homarus.config.channels import ANY, DEFAULT_ACCOUNT, Binding, Channels
from homarus.config.schema import Settings
from homarus.conversations import keys

DIRECT: Final = "direct"
GROUP: Final = "group"
CHANNEL: Final = "channel"
THREAD: Final = "thread"
KINDS: Final = (DIRECT, GROUP, CHANNEL)
GLOBAL: Final = "global"

EXACT, PARENT, ANY_PEER, ROLES, GUILD, TEAM, ACCOUNT, ANY_ACCOUNT, NOBODY = range(1, 10)
"""Tiers, the narrowest first."""


class Peer(msgspec.Struct, frozen=True):
    """`kind`: direct (then `id` is the person's), group, channel."""

    kind: str
    id: str


class Origin(msgspec.Struct, frozen=True):
    """Where something came from. `parent`: the room that a thread which is a place of its own hangs
    on; `thread`: within the peer; `thread_word`: `thread`, or `topic` as on Telegram."""

    channel: str
    account: str
    peer: Peer
    parent: Peer | None = None
    thread: str | None = None
    thread_word: str = THREAD
    guild: str | None = None
    team: str | None = None
    roles: frozenset[str] = frozenset()


class Roster(msgspec.Struct, frozen=True):
    """`agents`: what they may be called by (slug, id) -> slug; `default`: the slug of who answers
    what no binding claims, if one does."""

    agents: dict[str, str]
    default: str | None


class Rules(msgspec.Struct, frozen=True):
    """What of the settings routes. `links`: `telegram:123` -> the person's name; `defaults`: the
    default account of each channel."""

    bindings: tuple[Binding, ...] = ()
    scope: str = "per-sender"
    dm_scope: str = "main"
    group_scope: str = "per-group"
    links: dict[str, str] = {}
    defaults: dict[str, str] = {}


class Route(msgspec.Struct, frozen=True):
    """`agent`: its slug; `key`: the session's; `kind`: of a new session; `tier`: why; `missing`:
    the agent that the binding names and that is not there."""

    agent: str
    key: str
    kind: str
    tier: int
    missing: str | None = None


class Own(msgspec.Struct, frozen=True):
    """How an agent's own session is called. `alias`: as `main` besides (`session.mainKey`);
    `scope`: under GLOBAL it is the one in which all that anybody says is remembered."""

    alias: str = keys.MAIN
    scope: str = "per-sender"

    @property
    def word(self) -> str:
        """What follows the agent in its key."""
        return GLOBAL if self.scope == GLOBAL else keys.MAIN


def own_of(settings: Settings) -> Own:
    return Own(settings.main_key, settings.session_scope)


def rules_of(settings: Settings) -> Rules:
    return Rules(
        bindings=settings.bindings, scope=settings.session_scope, dm_scope=settings.dm_scope,
        group_scope=settings.group_scope,
        links={
            normal(str(id_)): name for name, ids in settings.identity_links.items() for id_ in ids
        },
        defaults=default_accounts(settings.channels),
    )  # fmt: skip


def default_accounts(channels: Channels) -> dict[str, str]:
    return {name: channel.default_id() for name, channel in channels.items()}


def normal(id_: str) -> str:
    """An id as it is compared: people write them with blanks around, and in any case."""
    return id_.strip().lower()


def kind_of(word: str) -> str:
    """`dm` is how older files call `direct`."""
    return DIRECT if word == "dm" else word


# -- which binding -----------------------------------------------------------------------------


def route(rules: Rules, origin: Origin, roster: Roster) -> Route | None:
    """None: no binding claims it, and there is no default agent."""
    tier, binding = _best(rules, origin)
    named = None if binding is None else keys.slug(binding.agent_id)
    agent = roster.agents.get(named or "", roster.default)
    if agent is None:
        return None
    dm_scope, group_scope = rules.dm_scope, rules.group_scope
    if binding is not None:
        dm_scope = binding.session.dm_scope or dm_scope
        group_scope = binding.session.group_scope or group_scope
    key = key_of(rules, origin, agent, dm_scope, group_scope)
    missing = None if named in roster.agents else named
    return Route(agent, key, _session_kind(origin), tier, missing)


def _best(rules: Rules, origin: Origin) -> tuple[int, Binding | None]:
    best: tuple[int, Binding | None] = (NOBODY, None)
    for binding in rules.bindings:
        tier = tier_of(rules, binding, origin)
        if tier is not None and tier < best[0]:
            best = (tier, binding)
    return best


def tier_of(rules: Rules, binding: Binding, origin: Origin) -> int | None:
    """How narrowly a binding fits; None: not at all."""
    match = binding.match
    if normal(match.channel) != origin.channel or not _account_fits(rules, binding, origin):
        return None
    if match.guild_id is not None and not _same(match.guild_id, origin.guild):
        return None
    if match.team_id is not None and not _same(match.team_id, origin.team):
        return None
    if match.roles and not _ids(match.roles) & _ids(origin.roles):
        return None
    if match.peer is not None:
        kind, id_ = kind_of(match.peer.kind), normal(str(match.peer.id))
        if _is(kind, id_, origin.peer):
            return EXACT
        if origin.parent is not None and _is(kind, id_, origin.parent):
            return PARENT
        return ANY_PEER if id_ == ANY and _kind_fits(kind, origin.peer.kind) else None
    if match.guild_id is not None:
        return ROLES if match.roles else GUILD
    if match.team_id is not None:
        return TEAM
    return ANY_ACCOUNT if match.account_id == ANY else ACCOUNT


def _account_fits(rules: Rules, binding: Binding, origin: Origin) -> bool:
    wanted = binding.match.account_id
    if wanted == ANY:
        return True
    if wanted is None:
        wanted = rules.defaults.get(origin.channel, DEFAULT_ACCOUNT)
    return keys.slug(str(wanted)) == keys.slug(origin.account)


def _is(kind: str, id_: str, peer: Peer) -> bool:
    return _kind_fits(kind, peer.kind) and id_ == normal(peer.id)


def _kind_fits(wanted: str, kind: str) -> bool:
    """Rooms are groups on one platform and channels on the next; people do not tell them apart."""
    return wanted == kind or DIRECT not in (wanted, kind)


def _same(wanted: str | int, have: str | None) -> bool:
    return have is not None and normal(str(wanted)) == normal(have)


def _ids(ids: Iterable[str | int]) -> set[str]:
    return {normal(str(each)) for each in ids}


# -- which session -----------------------------------------------------------------------------


def key_of(
    rules: Rules, origin: Origin, agent: str, dm_scope: str, group_scope: str
) -> str:  # fmt: skip
    """The session's key in its one form."""
    if rules.scope == GLOBAL:
        return keys.of(agent, GLOBAL)
    peer, channel = origin.peer, keys.slug(origin.channel)
    if peer.kind == DIRECT:
        parts = _direct(rules, origin, channel, dm_scope)
    elif group_scope == "main":
        parts = (keys.MAIN,)
    else:
        parts = (channel, peer.kind, keys.part(peer.id))
    if origin.thread:
        parts += (origin.thread_word, keys.part(origin.thread))
    return keys.of(agent, *parts)


def _direct(rules: Rules, origin: Origin, channel: str, scope: str) -> tuple[str, ...]:
    linked = rules.links.get(normal(f"{origin.channel}:{origin.peer.id}"))
    person = keys.part(linked or origin.peer.id)
    match scope:
        case "per-peer":
            return (DIRECT, person)
        case "per-channel-peer":
            return (channel, DIRECT, person)
        case "per-account-channel-peer":
            return (channel, keys.slug(origin.account), DIRECT, person)
        case _:
            return (keys.MAIN,)


def _session_kind(origin: Origin) -> str:
    if origin.thread:
        return THREAD
    return DIRECT if origin.peer.kind == DIRECT else GROUP
