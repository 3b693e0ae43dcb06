"""Shapes of `bindings`, `channels` and `session.identityLinks` in homarus.json (gateway contract,
10, 13), and what is wrong with them beyond their types.

Ids may be written as numbers, as some platforms have them. What a channel's own block holds besides
is named in a note, never kept: it may be a secret.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec

from homarus.config.problem import Problem
from homarus.config.text import Kind, Node

DEFAULT_ACCOUNT: Final = "default"
ANY: Final = "*"
MAX_ENTRIES: Final = 1_000
MAX_ID: Final = 128

DmPolicy = Literal["pairing", "allowlist", "open", "disabled"]
GroupPolicy = Literal["open", "allowlist", "disabled"]
DmScope = Literal["main", "per-peer", "per-channel-peer", "per-account-channel-peer"]
GroupScope = Literal["per-group", "main"]
DM_SCOPES: Final = ("main", "per-peer", "per-channel-peer", "per-account-channel-peer")
GROUP_SCOPES: Final = ("per-group", "main")
SCOPES: Final = ("per-sender", "global")
OLDER_MODES: Final = {"queue": "followup", "steer-backlog": "steer"}
"""Words of older files and clients, and the nearest of ours."""
QUEUE_MODES: Final = ("followup", "collect", "steer", "interrupt", *OLDER_MODES)

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
Id = _Text | int
Ids = Annotated[tuple[Id, ...], msgspec.Meta(max_length=MAX_ENTRIES)]
_CHANNEL: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class _Shape(msgspec.Struct, frozen=True, rename="camel"):
    pass


class PeerMatch(_Shape, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`id` `*`: every peer of that kind."""

    kind: Literal["direct", "dm", "group", "channel"]
    id: Id


class Match(_Shape, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """All that is given must hold. `account_id` None: the channel's default account, `*`: any."""

    channel: _Text
    account_id: Id | None = None
    peer: PeerMatch | None = None
    guild_id: Id | None = None
    team_id: Id | None = None
    roles: Ids = ()


class BindingScopes(_Shape, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    dm_scope: DmScope | None = None
    group_scope: GroupScope | None = None


class Binding(_Shape, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who answers what comes from somewhere."""

    agent_id: _Text
    match: Match
    session: BindingScopes = BindingScopes()
    comment: str | None = None


class Group(_Shape, frozen=True, omit_defaults=True):
    """`enabled` false: nothing of it is heard."""

    enabled: bool = True
    require_mention: bool = True


class Account(_Shape, frozen=True, omit_defaults=True):
    """Of a channel; None is as the channel has it."""

    enabled: bool = True
    name: str | None = None
    dm_policy: DmPolicy | None = None
    allow_from: Ids | None = None
    group_policy: GroupPolicy | None = None
    groups: dict[str, Group] | None = None


class ChannelConfig(_Shape, frozen=True, omit_defaults=True):
    """`groups` by id; `*` stands for all others."""

    enabled: bool = True
    name: str | None = None
    dm_policy: DmPolicy = "pairing"
    allow_from: Ids = ()
    group_policy: GroupPolicy = "allowlist"
    groups: dict[str, Group] = {}
    accounts: dict[str, Account] = {}
    default_account: Id | None = None

    def account_ids(self) -> tuple[str, ...]:
        return tuple(self.accounts) or (DEFAULT_ACCOUNT,)

    def default_id(self) -> str:
        """The account that counts where none is named."""
        ids = self.account_ids()
        if self.default_account is not None:
            return str(self.default_account)
        return DEFAULT_ACCOUNT if DEFAULT_ACCOUNT in ids else ids[0]


Bindings = Annotated[tuple[Binding, ...], msgspec.Meta(max_length=MAX_ENTRIES)]
Channels = dict[str, ChannelConfig]
Links = dict[str, Ids]
WEBCHAT: Final = "webchat"
"""What people say in the dashboard or by a client of the gateway comes by no channel of its own."""
QueueModes = dict[
    str, Literal["followup", "collect", "steer", "interrupt", "queue", "steer-backlog"]
]


# -- mistakes that types do not see ------------------------------------------------------------


def check(path: str, value: Any) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Mistakes of a fitted value: `(where in it, what is wrong, remedy)`."""
    if path == "channels":
        yield from _channels(value)
    elif path == "messages.queue.byChannel":
        for name in value:
            if not _CHANNEL.fullmatch(name):
                yield (name,), "no id of a channel", _AS_CHANNEL
    elif path == "session.identityLinks":
        yield from _links(value)


_AS_CHANNEL: Final = "Small letters, digits, - and _: `telegram`."


def _channels(value: Channels) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    for name, channel in value.items():
        if not _CHANNEL.fullmatch(name):
            yield (name,), "no id of a channel", _AS_CHANNEL
        for account in channel.accounts:
            if not _CHANNEL.fullmatch(account):
                yield (name, "accounts", account), "no id of an account", "As `work` or `default`."
        if channel.default_account is not None and (
            str(channel.default_account) not in channel.account_ids()
        ):
            known = ", ".join(channel.account_ids())
            yield (name, "defaultAccount"), "there is no such account", f"One of: {known}."


def _links(value: Links) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    seen: dict[str, str] = {}
    for name, ids in value.items():
        for n, each in enumerate(ids):
            channel, colon, id_ = str(each).partition(":")
            if not (colon and channel and id_):
                yield (name, n), "no channel stands before it", 'Write `"telegram:123"`.'
            elif seen.setdefault(str(each).lower(), name) != name:
                other = seen[str(each).lower()]
                yield (name, n), f"it is linked to {other!r} already", "Keep one of them."


# -- places ------------------------------------------------------------------------------------

_PATH: Final = re.compile(r"`(?:key in )?\$([^`]*)`")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def steps(error: msgspec.ValidationError) -> tuple[str | int, ...]:
    """Where in the value a decoder's error is, as far as it says so."""
    found = _PATH.search(str(error).rpartition(" - at ")[2])
    if found is None:
        return ()
    names: list[str | int] = []
    for name, number in _STEP.findall(found[1]):
        if number == "...":  # a member of a map that the decoder does not name
            break
        names.append(int(number) if number else name)
    return tuple(names)


def at(node: Node, path: tuple[str | int, ...]) -> Node:
    """The node at the end of a path, or the last that there is on the way."""
    for step in path:
        if node.kind is Kind.OBJECT and step in node.value:
            node = node.value[step].node
        elif node.kind is Kind.LIST and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            break
    return node


def dotted(path: str, more: tuple[str | int, ...]) -> str:
    """`bindings[0].match`."""
    return path + "".join(f"[{m}]" if isinstance(m, int) else f".{m}" for m in more)


def misfit(path: str, node: Node, kind: Any, error: msgspec.ValidationError) -> Problem:
    """The mistake at its own place, which the decoder names but in maps; there it is looked for."""
    where, text = steps(error), str(error)
    if _is_map(kind) and node.kind is Kind.OBJECT:
        for name, member in node.value.items():
            try:
                msgspec.convert(member.node.plain(), kind.__args__[1])
            except msgspec.ValidationError as inner:
                where, text = (name, *_deeper(member.node, kind.__args__[1], inner)), str(inner)
                break
    return Problem(
        "settings.value", text.partition(" - at ")[0].replace("`", "'").rstrip("."),
        _FORMS.get(path, "See docs/how-to/channels.md for its form."), place=at(node, where).place,
        path=dotted(path, where), expected="as documented",
    )  # fmt: skip


_FORMS: Final = {"messages.queue.byChannel": f"A channel's id and one of {', '.join(QUEUE_MODES)}."}


def _deeper(node: Node, kind: Any, error: msgspec.ValidationError) -> tuple[str | int, ...]:
    """As `steps`, into the maps `groups` and `accounts` of a channel."""
    where = steps(error)
    if where and where[-1] in ("groups", "accounts"):
        inner = at(node, where)
        one = Account if where[-1] == "accounts" else Group
        for name, member in inner.value.items() if inner.kind is Kind.OBJECT else ():
            try:
                msgspec.convert(member.node.plain(), one)
            except msgspec.ValidationError as found:
                return (*where, name, *_deeper(member.node, one, found))
    return where


def _is_map(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is dict


def unused(node: Node) -> Iterator[tuple[str, Node]]:
    """Keys in the blocks of `channels` that mean nothing here: `(path, where)`."""
    for name, member in _members(node):
        yield from _unknown(member, ChannelConfig, f"channels.{name}")
        for block, kind in (("accounts", Account), ("groups", Group)):
            for inner, found in _members(at(member, (block,)) if block in member.value else None):
                yield from _unknown(found, kind, f"channels.{name}.{block}.{inner}")


def _members(node: Node | None) -> Iterator[tuple[str, Node]]:
    if node is not None and node.kind is Kind.OBJECT:
        yield from ((n, m.node) for n, m in node.value.items() if m.node.kind is Kind.OBJECT)


def _unknown(node: Node, kind: type[msgspec.Struct], path: str) -> Iterator[tuple[str, Node]]:
    for name, member in node.value.items():
        if name not in kind.__struct_encode_fields__:
            yield f"{path}.{name}", member.node
