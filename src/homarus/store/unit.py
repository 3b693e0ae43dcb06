"""One unit of work, equal on every engine: admit, run, record, keep the reply.

The engine gives a `UnitTx` whose statements run inside its batch transaction; `execute` wraps the
unit in a savepoint, so that one that fails leaves its receipt and nothing else.
"""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from homarus.base.action import Action, Actor, ActorKind, Allow, Divert, Refuse, Verdict
from homarus.base.clock import Clock
from homarus.base.errors import Conflict, HomarusError, Internal, Invalid, Refused, Unavailable
from homarus.base.failpoint import failpoint
from homarus.base.ids import new_id, to_blob
from homarus.store.port import Governor, Head, Key, Params, Reply, Row

_NOBODY: Final = Actor(kind=ActorKind.SYSTEM, id="nobody")
_NOTHING_SEEN: Final = Allow(_NOBODY)
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
    """The whole batch transaction is gone.

    `by_unit`: the running unit did that by its own fault, so that the others may run again and
    only this one answers `error`; else every unit of the batch does. The engine fills in `unit`.
    """

    def __init__(self, error: HomarusError, *, by_unit: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.by_unit = by_unit
        self.unit: Unit | None = None


class UnitTx:
    """The part of `port.Tx` that no engine sees differently. Engines add one, all, run."""

    dialect = ""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.now_ms = 0
        self.company = ""
        self.action: Action = None  # type: ignore[assignment]
        self.actor = _NOBODY
        self.admitted = _NOTHING_SEEN
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
        """Back to the savepoint, and let it go. What follows has a fresh time allowance."""
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
        self.admitted = _NOTHING_SEEN
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

    @property
    def emitted(self) -> list[tuple[str, str, dict[str, Any] | None]]:
        return self._events

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
    """A waiting write and the place where its answer goes.

    `spoiled` is set by an engine when the unit took its batch down: it is judged and recorded
    once more, as failed by this error, but its function does not run again.
    """

    __slots__ = ("action", "args", "error", "fn", "future", "key", "loop", "spoiled", "value")

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
        self.spoiled: HomarusError | None = None


def execute(tx: UnitTx, governor: Governor, unit: Unit) -> None:
    """Run one unit inside the open batch transaction; leaves `value` or `error` on it.

    Raises `BatchLost` when the transaction fell with it. Where the kernel itself fails on a unit,
    there is no verdict to record: the unit leaves nothing behind, and its neighbours go on.
    """
    head = tx.head
    seqs = head.event_seq, head.receipt_seq
    unit.value = unit.error = None
    tx.savepoint()
    try:
        verdict = governor.admit(tx, unit.action)
        if isinstance(verdict, Allow):
            tx.actor, tx.admitted = verdict.actor, verdict
            _allowed(tx, governor, unit, verdict, seqs)
        else:
            _refuse(tx, governor, unit, verdict)
        failpoint("unit.before_release")
        tx.release()
    except BatchLost:
        raise
    except Exception as raised:  # noqa: BLE001 - the writer supervises units
        unit.value = None
        unit.error = _error(tx, raised)
        tx.rollback()
        head.event_seq, head.receipt_seq = seqs


def _error(tx: UnitTx, raised: Exception) -> HomarusError:
    if isinstance(raised, BatchLost):
        raise raised
    return raised if isinstance(raised, HomarusError) else tx.failure(raised)


def _allowed(
    tx: UnitTx, governor: Governor, unit: Unit, verdict: Allow, seqs: tuple[int, int]
) -> None:
    key = unit.key
    try:
        if unit.spoiled is not None:
            raise unit.spoiled
        if key is not None:
            replayed = _replay(tx, key)
            if replayed is not None:
                unit.value = replayed
                return
        if verdict.consequences:
            governor.apply(tx, verdict)
        value = unit.fn(tx, *unit.args)
        if key is not None:
            _keep(tx, key, value)
        changed = tx.changed
        _flush(tx, governor)
        failpoint("unit.before_receipt")
        governor.record(tx, verdict, changed=changed, failure=None)
        unit.value = value
    except Exception as raised:  # noqa: BLE001 - the writer supervises units
        error = _error(tx, raised)
        tx.rollback()
        tx.head.event_seq, tx.head.receipt_seq = seqs
        tx.savepoint()
        tx.discard_events()
        governor.record(tx, verdict, changed=True, failure=error)
        if error.consequences:
            left = msgspec.structs.replace(verdict, consequences=error.consequences)
            governor.apply(tx, left)
            _flush(tx, governor)
        unit.error = error


def _flush(tx: UnitTx, governor: Governor) -> None:
    """Write what was emitted, and what follows from it."""
    if tx.changed:
        governor.follow(tx, tx.emitted)
    tx.flush_events()


def _refuse(tx: UnitTx, governor: Governor, unit: Unit, verdict: Refuse | Divert) -> None:
    if verdict.actor is not None:
        tx.actor = verdict.actor
    if isinstance(verdict, Refuse) and verdict.once and unit.key is not None:
        replayed = _replay(tx, unit.key)
        if replayed is not None:
            unit.value = replayed
            return
    told = governor.apply(tx, verdict)
    _flush(tx, governor)
    receipt = governor.record(tx, verdict, changed=True, failure=None)
    unit.error = refusal(verdict, receipt, told)


def refusal(
    verdict: Verdict, receipt: str | None, told: Mapping[str, Any] = MappingProxyType({})
) -> HomarusError:
    """The exception that a caller gets for a verdict that is not Allow."""
    if isinstance(verdict, Refuse):
        return Refused(
            verdict.code,
            verdict.reason,
            verdict.remedy,
            rule=verdict.rule,
            receipt=receipt,
            **{**verdict.details, **told},
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


def bad_value(raised: Exception) -> HomarusError | None:
    """The refusal of a value that no column can hold, on either engine; else None."""
    match raised:
        case UnicodeEncodeError():
            return Invalid(
                "store.bad_text",
                "a text holds characters that cannot be stored (half of a surrogate pair)",
                "Send well-formed Unicode.",
            )
        case OverflowError():
            return Invalid(
                "store.bad_number",
                "a number does not fit into 64 bits",
                "Send one between -2^63 and 2^63-1.",
            )
        case _:
            return None


def too_long(capability: str) -> HomarusError:
    """A unit passed its hard time limit."""
    return Unavailable(
        "store.unit_too_long",
        f"`{capability}` needed more time than one write may take; nothing was changed",
        "Ask for less at once; if it is an ordinary request, report it.",
    )


def outcome_unknown(cause: str) -> HomarusError:
    """The commit was under way when the engine failed: it may have happened or not."""
    return Unavailable(
        "store.outcome_unknown",
        f"{cause} while the write was being committed; it may or may not have happened",
        "Repeat it with the same Idempotency-Key, or look whether it happened.",
    )


def unexpected(raised: Exception) -> HomarusError:
    """What a caller hears of an exception that no unit may raise: no SQL, no parameters."""
    return Internal(
        "internal.unit",
        f"the operation failed inside ({type(raised).__name__}); nothing was changed",
        "See the daemon's log for the trace, and report it.",
    )
