"""The store's port: what domain code, surfaces and engines agree on.

    result = await store.write(action, fn, *args)           one unit: admitted, run, recorded
    reply  = await store.write_once(action, fn, *args, key=key)   the same under an idempotency key
    value  = await store.read(fn, *args)                    a short read-only transaction

`fn` is a module-level function `fn(tx, *args)` over plain data; mypy checks that the arguments fit
it, so what it takes by keyword alone cannot be given. It may run twice, so it touches
nothing outside `tx`: ids, time and randomness come from it (design, 4; store notes).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

import msgspec

from homarus.base.action import Action, Actor, Allow, Verdict
from homarus.base.errors import HomarusError

Row = tuple[Any, ...]
Params = Sequence[Any]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_WAITING_UNITS: Final = 10_000
MAX_BATCH_UNITS: Final = 256
MAX_BATCH_S: Final = 0.020
UNIT_SOFT_S: Final = 0.005
UNIT_HARD_CPU_S: Final = 0.025
READ_HARD_CPU_S: Final = 2.0
MAX_WAITING_READS: Final = 2_000
IDEMPOTENCY_KEPT_MS: Final = 7 * 24 * 3_600_000


class Rx(Protocol):
    """A read transaction: one consistent view. Rows are plain tuples; `?` marks parameters."""

    dialect: str
    now_ms: int

    def one(self, sql: str, params: Params = ()) -> Row | None: ...

    def all(self, sql: str, params: Params = ()) -> list[Row]: ...


class Head(msgspec.Struct):
    """Where a company's two append-only tables end. Persisted once per commit batch.

    `leaves`: the leaf of each receipt appended since the last seal, by `seq`; one that was rolled
    back is overwritten by the next with its number.
    """

    no: int
    company: str
    event_seq: int = 0
    receipt_seq: int = 0
    seal_no: int = 0
    seal_hash: bytes = b""
    sealed_seq: int = 0
    leaves: dict[int, bytes] = {}


class Event(msgspec.Struct, frozen=True, gc=False):
    """One row of the feed. `data` is what changed; `actor` as `Actor.key`; `id` is derived."""

    seq: int
    at_ms: int
    kind: str
    subject: str
    actor: str
    data: dict[str, Any]
    id: str


class Tx(Rx, Protocol):
    """A unit's view of the store: reads see its own writes; all of it commits or nothing does."""

    company: str
    action: Action
    actor: Actor
    admitted: Allow
    head: Head
    trace: str | None

    def run(self, sql: str, params: Params = ()) -> int:
        """Execute one statement; the number of rows changed is the answer to every race."""
        ...

    def new_id(self) -> str: ...

    def random(self, n: int) -> bytes: ...

    def number(self, kind: str) -> int:
        """The next human number of this company and kind (`T-192`): gap-free while committed."""
        ...

    def emit(self, kind: str, subject: str, data: dict[str, Any] | None = None) -> None:
        """Append to the feed. A unit that emits nothing has changed nothing worth a receipt."""
        ...

    def last_seq(self) -> int:
        """The feed number that the last emitted event gets when this unit commits."""
        ...

    def about(self, *, task: str | None = None, trace: str | None = None) -> None:
        """Say what the unit turned out to concern, for its receipt (a claim learns it late)."""
        ...


class Reply(msgspec.Struct, frozen=True):
    """What a keyed unit answers: HTTP status and JSON bytes.

    `keep` is what is stored under the key: UNSET the body itself, None nothing (a reply that must
    never be replayed), bytes something smaller from which `Key.replay` rebuilds the body.
    """

    status: int
    body: bytes
    keep: bytes | msgspec.UnsetType | None = msgspec.UNSET
    replayed: bool = False


class Key(msgspec.Struct, frozen=True):
    """An idempotency key in use (control-plane contract, 3).

    `id` 16 bytes of SHA-256 over scope and key; `body` 8 bytes of SHA-256 over the raw body.
    `strict`: the same key with another body is a 409 instead of another request.
    `replay(tx, kept)` rebuilds the reply, or says None: no longer valid, run afresh.
    """

    id: bytes
    body: bytes
    strict: bool = False
    replay: Callable[[Tx, bytes], Reply | None] | None = None


class Governor(Protocol):
    """The kernel as the store knows it. All run inside the writer's transaction."""

    def admit(self, tx: Tx, action: Action) -> Verdict: ...

    def apply(self, tx: Tx, verdict: Verdict) -> Mapping[str, Any]:
        """Bring about a verdict's consequences; what a refused caller should know of them."""
        ...

    def follow(self, tx: Tx, emitted: Sequence[tuple[str, str, dict[str, Any] | None]]) -> None:
        """What else follows in the same transaction from the events that a unit emitted: kind,
        subject and data of each, in order."""
        ...

    def record(
        self, tx: Tx, verdict: Verdict, *, changed: bool, failure: HomarusError | None
    ) -> str | None:
        """Write the receipt (and outcome) of what was just judged, where one is due.

        A refusal's answers with its id, for the caller.
        """
        ...

    def seal(self, tx: Tx) -> None:
        """Seal what this commit batch added to the ledger of `tx.head`'s company."""
        ...

    def forget(self) -> None:
        """A batch was rolled back: drop whatever was cached from it."""
        ...


Listener = Callable[[dict[str, int]], None]


class Store(Protocol):
    """One engine. `url` names it without secrets."""

    url: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def write(self, action: Action, fn: Callable[[Tx, *Ts], T], *args: *Ts) -> Awaitable[T]: ...

    def write_once(
        self, action: Action, fn: Callable[[Tx, *Ts], Reply], *args: *Ts, key: Key
    ) -> Awaitable[Reply]: ...

    def write_wait(self, action: Action, fn: Callable[[Tx, *Ts], T], *args: *Ts) -> T:
        """`write` for threads without a loop. Never call it on the loop."""
        ...

    def read(self, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> Awaitable[T]: ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener({company: newest event seq})` on the loop after commits; returns undo."""
        ...

    def health(self) -> dict[str, Any]:
        """`{"state": "ok"|"red", "check": "pending"|"ok"|…, "error"?: code, …}`."""
        ...

    async def check(self) -> str:
        """Look for damage, in the background after ready; "ok" or what is wrong."""
        ...

    async def snapshot(self, target: Path) -> None:
        """A consistent copy of the store in a new file, while writes go on.

        Raises `store.snapshot` where the engine has tools of its own for that.
        """
        ...
