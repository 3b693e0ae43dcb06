"""One unit of work, equal on every engine: admit, run, record, keep the reply.

The engine gives a `UnitTx` whose statements run inside its batch transaction; `execute` wraps the
unit in a savepoint, so that one that fails leaves its receipt and nothing else.
"""

import os
from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.action import Action, Actor, ActorKind, Allow, Divert, Refuse, Verdict
from homarus.base.clock import Clock
from homarus.base.errors import Conflict, HomarusError, Internal, Refused
from homarus.base.failpoint import failpoint
from homarus.base.ids import new_id, to_blob
from homarus.store.port import Governor, Head, Key, Params, Reply, Row

_NOBODY: Final = Actor(kind=ActorKind.SYSTEM, id="nobody")
_encode = msgspec.json.Encoder().encode

INSERT_EVENT: Final = (
    "insert into event(company_no, seq, at_ms, kind, subject, actor, data) values(?,?,?,?,?,?,?)"
)
FIND_KEY: Final = "select body, status, reply from idempotency where company_no=? and id=?"
KEEP_KEY: Final = (
    "insert into idempotency(company_no, id, body, status, reply, at_ms) values(?,?,?,?,?,?) "
    "on conflict(company_no, id, body) do update set status=excluded.status, "
    "reply=excluded.reply, at_ms=excluded.at_ms"
)
NEXT_NUMBER: Final = (
    "insert into counter(company_no, kind, n) values(?,?,1) "
    "on conflict(company_no, kind) do update set n=counter.n+1 returning n"
)


class BatchLost(Exception):
    """The whole batch transaction is gone; `error` is what every unit of it answers."""

    def __init__(self, error: HomarusError) -> None:
        super().__init__(str(error))
        self.error = error


class UnitTx:
    """The part of `port.Tx` that no engine sees differently. Engines add one, all, run."""

    dialect = ""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.now_ms = 0
        self.company = ""
        self.action: Action = None  # type: ignore[assignment]
        self.actor = _NOBODY
        self.head = Head(no=0, company="")
        self.task: str | None = None
        self.trace: str | None = None
        self._events: list[tuple[str, str, dict[str, Any] | None]] = []

    def one(self, sql: str, params: Params = ()) -> Row | None:
        raise NotImplementedError

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        raise NotImplementedError

    def run(self, sql: str, params: Params = ()) -> int:
        raise NotImplementedError

    def savepoint(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError

    def rollback(self) -> None:
        """Back to the savepoint, and let it go."""
        raise NotImplementedError

    def failure(self, raised: Exception) -> HomarusError:
        """What an unexpected exception means. Raises `BatchLost` if the transaction fell."""
        raise NotImplementedError

    def begin(self, action: Action, head: Head) -> None:
        self.now_ms = self._clock.now_ms()
        self.action = action
        self.company = head.company
        self.head = head
        self.actor = _NOBODY
        self.task = action.task
        self.trace = action.trace
        self._events.clear()

    def new_id(self) -> str:
        return new_id(self.now_ms)

    def random(self, n: int) -> bytes:
        return os.urandom(n)

    def number(self, kind: str) -> int:
        row = self.one(NEXT_NUMBER, (self.head.no, kind))
        if row is None:
            raise Internal("store.counter", f"no counter row came back for {kind}")
        return int(row[0])

    def emit(self, kind: str, subject: str, data: dict[str, Any] | None = None) -> None:
        self._events.append((kind, subject, data))

    def last_seq(self) -> int:
        return self.head.event_seq + len(self._events)

    def about(self, *, task: str | None = None, trace: str | None = None) -> None:
        if task is not None:
            self.task = task
        if trace is not None:
            self.trace = trace

    @property
    def changed(self) -> bool:
        return bool(self._events)

    def discard_events(self) -> None:
        self._events.clear()

    def flush_events(self) -> None:
        head = self.head
        actor = self.actor.key
        for kind, subject, data in self._events:
            head.event_seq += 1
            self.run(
                INSERT_EVENT,
                (
                    head.no,
                    head.event_seq,
                    self.now_ms,
                    kind,
                    to_blob(subject),
                    actor,
                    None if data is None else _encode(data).decode(),
                ),
            )


class Unit:
    """A waiting write and the place where its answer goes."""

    __slots__ = ("action", "args", "error", "fn", "future", "key", "loop", "value")

    def __init__(
        self, action: Action, fn: Callable[..., Any], args: tuple[Any, ...], key: Key | None
    ) -> None:
        self.action = action
        self.fn = fn
        self.args = args
        self.key = key
        self.future: Any = None
        self.loop: Any = None
        self.value: Any = None
        self.error: BaseException | None = None


def execute(tx: UnitTx, governor: Governor, unit: Unit) -> None:
    """Run one unit inside the open batch transaction; leaves `value` or `error` on it.

    Engine errors pass through: only the engine knows whether its transaction still stands.
    """
    head = tx.head
    seqs = head.event_seq, head.receipt_seq
    unit.value = unit.error = None
    tx.savepoint()
    try:
        verdict = governor.admit(tx, unit.action)
        if isinstance(verdict, Allow):
            tx.actor = verdict.actor
            _allowed(tx, governor, unit, verdict, seqs)
        else:
            unit.error = _refused(tx, governor, verdict)
        failpoint("unit.before_release")
        tx.release()
    except BaseException:
        head.event_seq, head.receipt_seq = seqs
        raise


def _allowed(
    tx: UnitTx, governor: Governor, unit: Unit, verdict: Allow, seqs: tuple[int, int]
) -> None:
    key = unit.key
    try:
        if key is not None:
            replayed = _replay(tx, key)
            if replayed is not None:
                unit.value = replayed
                return
        value = unit.fn(tx, *unit.args)
        if key is not None:
            _keep(tx, key, value)
        changed = tx.changed
        tx.flush_events()
        failpoint("unit.before_receipt")
        governor.record(tx, verdict, changed=changed, failure=None)
        unit.value = value
    except Exception as raised:  # noqa: BLE001 - the writer supervises units
        error = raised if isinstance(raised, HomarusError) else tx.failure(raised)
        tx.rollback()
        tx.head.event_seq, tx.head.receipt_seq = seqs
        tx.savepoint()
        tx.discard_events()
        governor.record(tx, verdict, changed=True, failure=error)
        unit.error = error


def _refused(tx: UnitTx, governor: Governor, verdict: Refuse | Divert) -> HomarusError:
    if verdict.actor is not None:
        tx.actor = verdict.actor
    governor.apply(tx, verdict)
    tx.flush_events()
    receipt = governor.record(tx, verdict, changed=True, failure=None)
    return refusal(verdict, receipt)


def refusal(verdict: Verdict, receipt: str | None) -> HomarusError:
    """The exception that a caller gets for a verdict that is not Allow."""
    if isinstance(verdict, Refuse):
        return Refused(
            verdict.code, verdict.reason, verdict.remedy, rule=verdict.rule, receipt=receipt
        )
    if isinstance(verdict, Divert):
        return Refused(
            f"divert.{verdict.route}",
            verdict.reason,
            f"Take the road `{verdict.route}` instead.",
            rule=verdict.rule,
            receipt=receipt,
        )
    raise AssertionError("an allowed action is no refusal")


def _replay(tx: UnitTx, key: Key) -> Reply | None:
    for body, status, reply in tx.all(FIND_KEY, (tx.head.no, key.id)):
        if bytes(body) == key.body:
            if key.replay is not None:
                return key.replay(tx, bytes(reply))
            return Reply(status=status, body=bytes(reply), replayed=True)
        if key.strict:
            raise Conflict(
                "idempotency.mismatch",
                "this Idempotency-Key was already used with another body",
                "Use a new key for a new request, or repeat the first body unchanged.",
            )
    return None


def _keep(tx: UnitTx, key: Key, reply: Reply) -> None:
    kept = reply.body if reply.keep is msgspec.UNSET else reply.keep
    if kept is None or not 200 <= reply.status < 300:
        return
    tx.run(KEEP_KEY, (tx.head.no, key.id, key.body, reply.status, kept, tx.now_ms))


def unexpected(raised: Exception) -> HomarusError:
    """What a caller hears of an exception that no unit may raise: no SQL, no parameters."""
    return Internal(
        "internal.unit",
        f"the operation failed inside ({type(raised).__name__}); nothing was changed",
        "See the daemon's log for the trace, and report it.",
    )
