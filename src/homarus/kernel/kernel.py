"""The kernel as the store calls it: judge, record, seal (see `homarus.store.port.Governor`)."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from homarus.base.action import Action, Allow, Effect, Outcome, Refuse, Verdict
from homarus.base.errors import HomarusError
from homarus.base.ids import is_uuid
from homarus.kernel import receipts, seals
from homarus.kernel.admit import judge
from homarus.kernel.capabilities import BUILTIN
from homarus.kernel.facts import Facts
from homarus.kernel.keys import CompanyKeys, MasterKey
from homarus.store.port import Tx
from homarus.store.unit import UnitTx

MAX_FOLDED: Final = 1_000
MAX_COUNTS: Final = 100
"""Counts of repeated refusals that one unit writes."""

FoldKey = tuple[str, str, str, str, str, str | None, bytes | None]
"""Company, actor, capability, code, target, task, digest of the arguments."""
Applier = Callable[[Tx, Verdict], Mapping[str, Any]]


class Follower(Protocol):
    """What is to follow from what units emit (`flows.mirroring.Mirroring`)."""

    def follow(self, tx: Tx, emitted: Sequence[tuple[str, str, dict[str, Any] | None]]) -> None: ...

    def forget(self) -> None: ...


class _Fold(msgspec.Struct):
    """Refusals of one actor within a minute that are equal but for their time: the first is
    written, the others counted."""

    at_ms: int
    receipt: str
    action: Action
    verdict: Refuse
    company: str
    more: int = 0


def no_consequences(tx: Tx, verdict: Verdict) -> Mapping[str, Any]:
    """The applier of a world without flows: no verdict may carry consequences there."""
    if verdict.consequences:
        raise AssertionError(f"no applier for {verdict.consequences}")
    return {}


def _effect(tx: Tx, action: Action) -> Effect:
    """As it was judged: of the built-in capability, else of the registered one."""
    builtin = BUILTIN.get(action.capability)
    if builtin is not None:
        return builtin.effect
    row = tx.one(
        "select effect from capability where company=? and id=?",
        (action.company, action.capability),
    )
    return action.effect if row is None else Effect(row[0])


class Kernel:
    """One instance a daemon.

    Its caches belong to the store's writers: a company's entries are touched by the one writer that
    the company has at the time; `_folding` guards what several of them, or the loop, walk over.
    """

    def __init__(
        self, facts: Facts, master: MasterKey, applier: Applier = no_consequences,
        follower: Follower | None = None,
    ) -> None:  # fmt: skip
        self._facts = facts
        self._keys = CompanyKeys(master)
        self._applier = applier
        self._follower = follower
        self._folds: dict[FoldKey, _Fold] = {}
        self._folding = threading.Lock()
        self.unknown_identities = 0

    def admit(self, tx: Tx, action: Action) -> Verdict:
        return judge(tx, action, self._facts, self.note_key)

    def note_key(self, company: str) -> bytes:
        """What signs the routing notes of a company."""
        return self._keys.note_key(company)

    def apply(self, tx: Tx, verdict: Verdict) -> Mapping[str, Any]:
        return self._applier(tx, verdict)

    def follow(self, tx: Tx, emitted: Sequence[tuple[str, str, dict[str, Any] | None]]) -> None:
        if self._follower is not None:
            self._follower.follow(tx, emitted)

    def record(
        self, tx: Tx, verdict: Verdict, *, changed: bool, failure: HomarusError | None
    ) -> str | None:
        if not isinstance(tx, UnitTx):
            raise AssertionError("receipts are written by the store's unit runner")
        action = tx.action
        effect = _effect(tx, action)
        task = tx.task if tx.task is not None and is_uuid(tx.task) else None
        trace = tx.trace if tx.trace is not None and is_uuid(tx.trace) else None
        if isinstance(verdict, Allow):
            if effect is Effect.READ or (failure is None and not changed):
                return None
            receipts.write(tx, action, tx.actor, verdict, task=task, trace=trace, effect=effect)
            if failure is not None:
                receipts.write_outcome(
                    tx, tx.head.receipt_seq, tx.actor, action.capability, action.target,
                    Outcome.FAILED, effect=effect, code=failure.code, reason=failure.message,
                    task=task, trace=trace,
                )  # fmt: skip
            return None
        if verdict.actor is None:
            self.unknown_identities += 1
            return None
        if isinstance(verdict, Refuse):
            folded = self._folded(tx, action, verdict)
            if folded is not None:
                return folded
        receipts.write(tx, action, verdict.actor, verdict, task=task, trace=trace, effect=effect)
        return receipts.last_id(tx)

    def _folded(self, tx: Tx, action: Action, verdict: Refuse) -> str | None:
        """The first receipt's id when this refusal repeats it; None when a row must be written."""
        if verdict.actor is None:
            return None
        key = (
            action.company, verdict.actor.key, action.capability, verdict.code, action.target,
            action.task, action.arguments,
        )  # fmt: skip
        fold = self._folds.get(key)
        if fold is not None and tx.now_ms - fold.at_ms < receipts.FOLD_MS:
            fold.more += 1
            return fold.receipt
        if fold is not None:
            self._write_count(tx, fold)
        receipts.write(
            tx, action, verdict.actor, verdict,
            task=action.task if is_uuid(action.task) else None,
            trace=action.trace if is_uuid(action.trace) else None,
            effect=_effect(tx, action),
        )  # fmt: skip
        receipt = receipts.last_id(tx)
        with self._folding:
            self._folds.pop(key, None)
        if len(self._folds) >= MAX_FOLDED:
            self._write_counts(tx, 0)
        with self._folding:
            if len(self._folds) < MAX_FOLDED:
                self._folds[key] = _Fold(tx.now_ms, receipt, action, verdict, action.company)
        return receipt

    def _write_count(self, tx: Tx, fold: _Fold) -> None:
        if not fold.more or fold.verdict.actor is None:
            return
        receipts.write(
            tx, fold.action, fold.verdict.actor, fold.verdict,
            task=None, trace=None, effect=fold.action.effect, repeats=fold.more,
        )  # fmt: skip
        fold.more = 0

    def flush(self, tx: Tx, least_ms: int = receipts.FOLD_MS) -> None:
        """Write counts of this company's refusals that are as old as that, MAX_COUNTS at most, and
        forget those folds.

        A unit (`ledger.flush`) that the maintenance worker runs.
        """
        self._write_counts(tx, least_ms)

    def _write_counts(self, tx: Tx, least_ms: int) -> None:
        counts = 0
        for key, fold in self._open_folds():
            if fold.company != tx.company or tx.now_ms - fold.at_ms < least_ms:
                continue
            if counts == MAX_COUNTS:
                return
            counts += fold.more > 0
            self._write_count(tx, fold)
            with self._folding:
                self._folds.pop(key, None)

    def waiting(self, now_ms: int, least_ms: int = receipts.FOLD_MS) -> set[str]:
        """Companies with counts to flush. For any thread."""
        return {f.company for _, f in self._open_folds() if now_ms - f.at_ms >= least_ms}

    def _open_folds(self) -> list[tuple[FoldKey, _Fold]]:
        with self._folding:
            return list(self._folds.items())

    def seal(self, tx: Tx) -> None:
        seals.seal(tx, self._keys)

    def forget(self) -> None:
        with self._folding:
            self._folds.clear()
        self._keys.forget()
        if self._follower is not None:
            self._follower.forget()
