"""The mirror port: what the worker and every adapter agree on (mirrors contract, 0 and 8).

An adapter knows one target: how to write an entity, how to find again what it wrote, how to judge
an answer. When to try, in which order and how often is the worker's alone.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec


class Act(StrEnum):
    """What the target is to hold afterwards. A delete archives where a target cannot delete."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Change(msgspec.Struct, frozen=True):
    """One row of `outbox_v2` as an adapter sees it. Pushing it twice must leave one entity.

    `fields`: the entity as it stood when the row was leased, by mapped name; empty for a delete.
    `token`: the idempotency token, a UUID of the row's revision, kept before the first send.
    `marker`: what a lookup finds the entity by at the target (`homarus:task:T-192`).
    `receipt`: the target's id from an earlier push; None: never settled there.
    """

    row: str
    company: str
    mirror: str
    entity_type: str
    entity_id: str
    number: str
    act: Act
    fields: dict[str, Any]
    digest: bytes
    token: str
    marker: str
    receipt: str | None


class Done(msgspec.Struct, frozen=True):
    """The target holds it. `receipt`: its id there. `notes`: what an operator is told."""

    receipt: str
    notes: tuple[str, ...] = ()


class Later(msgspec.Struct, frozen=True):
    """Not now, and nothing was written: throttled or down. `after_s`: what the target asked for.
    `alone`: this entity only; the target is well."""

    why: str
    after_s: float | None = None
    alone: bool = False


class Unknown(msgspec.Struct, frozen=True):
    """It may have been written: a lookup settles it before anything is sent again."""

    why: str


class Refused(msgspec.Struct, frozen=True):
    """The target said no. `kind`: auth (spends none), gone, schema, operator or bad (one retry)."""

    kind: str
    why: str


Outcome = Done | Later | Unknown | Refused


class Found(msgspec.Struct, frozen=True):
    """A lookup's answer. `same`: it is equal to the change; None: the target cannot tell."""

    receipt: str
    same: bool | None


class Absent(msgspec.Struct, frozen=True):
    """The target surely does not hold it (its own lag has passed)."""


Looked = Found | Absent | Later | Unknown


class Health(msgspec.Struct, frozen=True):
    """`ok` False stops pushes until it is True again; `why` says what to do."""

    ok: bool
    why: str = ""


class Limit(msgspec.Struct, frozen=True):
    """At most `calls` in each `window_s` seconds."""

    calls: int
    window_s: float


class Manifest(msgspec.Struct, frozen=True):
    """What a target can do, as data (mirrors contract, 8).

    `create_guard`: token, client_id or none. `lookup`: by_field, by_marker_list or
    by_search_lagging, with `lag_s`. `update`: set, replace or append_only.
    `delete`: hard, soft or archive. `changes`: push, sync_token, sorted_poll, since or none.
    `serial_by`: what one writer at a time holds (`mirror`, `entity_type` or `entity`).
    `entities`: which it takes. `delay_s`: the target's delay with no load.
    """

    target_type: str
    entities: frozenset[str]
    create_guard: str
    lookup: str
    update: str
    delete: str
    changes: str
    serial_by: str
    delay_s: float
    lag_s: float = 0.0
    limits: tuple[Limit, ...] = ()
    monthly: int | None = None


class Foreign(msgspec.Struct, frozen=True):
    """One entity changed at the target by somebody else (`fetch_changes`)."""

    entity_type: str
    marker: str
    receipt: str
    fields: dict[str, Any]
    changed_ms: int | None


class Fetched(msgspec.Struct, frozen=True):
    """A page of foreign changes and where the next begins."""

    changes: tuple[Foreign, ...]
    cursor: str


class Mirror(Protocol):
    """An adapter. Methods raise nothing for what a target does: they answer it."""

    manifest: Manifest

    async def push(self, change: Change) -> Outcome: ...

    async def lookup(self, change: Change) -> Looked: ...

    async def fetch_changes(self, cursor: str | None) -> Fetched: ...

    async def health(self) -> Health: ...

    async def dry_run(self, change: Change) -> tuple[str, ...]:
        """What a push would do, a line each, without doing it."""
        ...

    async def aclose(self) -> None: ...


class Place(msgspec.Struct, frozen=True):
    """What a configuration comes to. `key`: where it writes, in one spelling, so that two mirrors
    on one target are seen; `nests`: keys are paths, and one below another is the same target;
    `hosts`: what it reaches (`api.example.com:443`), and no agent then;
    `secrets`: names of its `secret://` handles, which nobody but the worker is then given."""

    key: str
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    nests: bool = False


class Means(msgspec.Struct, frozen=True):
    """What the worker hands to an adapter. `home`: the state directory; `secret(name)` is the clear
    value of a handle, and raises `mirror.secret`; `now_ms` is the daemon's clock."""

    company: str
    mirror: str
    home: Path
    secret: Callable[[str], Awaitable[str]]
    now_ms: Callable[[], int]


class Kind(msgspec.Struct, frozen=True):
    """One entry of `registry.py`: a module's `KIND`.

    `check(config, home)` reads a configuration and touches nothing; it raises `mirror.config` with
    the path of what is wrong. `open(config, means)` makes the adapter of one mirror.
    """

    manifest: Manifest
    check: Callable[[dict[str, Any], Path], Place]
    open: Callable[[dict[str, Any], Means], Mirror]
