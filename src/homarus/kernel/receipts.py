"""Receipts: one row for each judged action that changed something, or was refused.

A local write's outcome is its commit: the receipt and the state stand or fall together, so an
allowed receipt without an outcome row means done. A failing function leaves its receipt and a
second row, the outcome `failed`, that names the first (governance contract, 1; docs/adr/0005).
"""

import hashlib
from typing import Any, Final

import msgspec

from homarus.base.action import (
    Action,
    Actor,
    Allow,
    Divert,
    Effect,
    Outcome,
    Proof,
    Refuse,
    Verdict,
    VerdictKind,
)
from homarus.base.canonical import canonical_row
from homarus.base.clock import iso_ms
from homarus.base.ids import Kind, from_blob, is_uuid, receipt_id, row_address, to_blob
from homarus.base.redact import redact_tokens
from homarus.store.paging import ABOVE_ALL
from homarus.store.port import Row, Rx, Tx

RULES_VERSION: Final = 6
"""Goes up with every change of the interceptor table or of the built-in capabilities."""

FOLD_MS: Final = 60_000
MAX_REASON: Final = 500

_COLUMNS: Final = (
    "seq, at_ms, of_seq, actor, proof, credential, capability, target, effect, verdict, rule, "
    "code, reason, outcome, repeats, task, trace, preflight, arguments, rules, leaf"
)
_INSERT: Final = (
    f"insert into receipt(company_no, {_COLUMNS}) "
    "values(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)

_BLOBS: Final = tuple(
    1 + _COLUMNS.split(", ").index(name)
    for name in ("credential", "task", "trace", "preflight", "arguments")
)


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ledger row as people and exports see it. Ids are text, digests hexadecimal."""

    id: str
    company: str
    seq: int
    at: str
    actor: str
    proof: str
    capability: str
    target: str
    effect: str
    verdict: str
    rules: int
    leaf: str
    rule: str | None = None
    code: str | None = None
    reason: str | None = None
    outcome: str | None = None
    of: int | None = None
    repeats: int | None = None
    task: str | None = None
    trace: str | None = None
    preflight: str | None = None
    arguments: str | None = None
    credential: str | None = None


def leaf(company: str, fields: tuple[Any, ...]) -> bytes:
    """SHA-256 of the canonical row; `fields` in column order without the leaf itself."""
    plain = [company, *(f.hex() if isinstance(f, bytes) else f for f in fields)]
    return hashlib.sha256(canonical_row(plain)).digest()


def _append(
    tx: Tx,
    actor: Actor,
    capability: str,
    target: str,
    effect: Effect,
    *,
    task: str | None,
    trace: str | None,
    of_seq: int | None = None,
    verdict: VerdictKind = VerdictKind.ALLOW,
    rule: str | None = None,
    code: str | None = None,
    reason: str | None = None,
    outcome: Outcome | None = None,
    repeats: int | None = None,
    preflight: str | None = None,
    arguments: bytes | None = None,
) -> None:
    """One row. The leaf is over the same values as `leaf`'s: digests and ids in hexadecimal."""
    head = tx.head
    head.receipt_seq += 1
    row: list[Any] = [
        head.company,
        head.receipt_seq,
        tx.now_ms,
        of_seq,
        actor.key,
        int(actor.proof),
        actor.credential.replace("-", "") or None,
        capability,
        redact_tokens(target),
        int(effect),
        int(verdict),
        rule,
        code,
        None if reason is None else redact_tokens(reason)[:MAX_REASON],
        None if outcome is None else int(outcome),
        repeats,
        None if task is None else task.replace("-", ""),
        None if trace is None else trace.replace("-", ""),
        preflight.replace("-", "") if preflight is not None and is_uuid(preflight) else None,
        None if arguments is None else arguments.hex(),
        RULES_VERSION,
    ]
    digest = hashlib.sha256(canonical_row(row)).digest()
    row[0] = head.no
    for i in _BLOBS:
        if row[i] is not None:
            row[i] = bytes.fromhex(row[i])
    row.append(digest)
    tx.run(_INSERT, row)
    head.leaves[head.receipt_seq] = digest


def write(
    tx: Tx,
    action: Action,
    actor: Actor,
    verdict: Verdict,
    *,
    task: str | None,
    trace: str | None,
    effect: Effect,
    repeats: int | None = None,
) -> None:
    """Append the receipt of one judgement; `last_id` is its id.

    An allowed act with a rule and a code is one that the company's level let pass.
    """
    rule = code = reason = None
    kind, preflight = VerdictKind.ALLOW, action.preflight
    said = verdict
    if isinstance(verdict, Allow):
        preflight = verdict.preflight
        said = verdict.observed or verdict
    if isinstance(said, Refuse):
        kind, rule, code, reason = VerdictKind.REFUSE, said.rule, said.code, said.reason
    elif isinstance(said, Divert):
        kind, rule, reason = VerdictKind.DIVERT, said.rule, said.reason
        code = f"divert.{said.route}"
    if said is not verdict:
        kind = VerdictKind.ALLOW
    _append(
        tx, actor, action.capability, action.target, effect,
        task=task, trace=trace, verdict=kind, rule=rule, code=code, reason=reason,
        repeats=repeats, preflight=preflight, arguments=action.arguments,
    )  # fmt: skip


def write_outcome(
    tx: Tx,
    of_seq: int,
    actor: Actor,
    capability: str,
    target: str,
    outcome: Outcome,
    *,
    effect: Effect,
    code: str | None = None,
    reason: str | None = None,
    task: str | None = None,
    trace: str | None = None,
) -> None:
    """Append what became of receipt `of_seq`."""
    _append(
        tx, actor, capability, target, effect,
        task=task, trace=trace, of_seq=of_seq, code=code, reason=reason, outcome=outcome,
    )  # fmt: skip


def last_id(tx: Tx) -> str:
    """The id of the row appended last."""
    return receipt_id(tx.now_ms, tx.head.no, tx.head.receipt_seq)


def columns(row: Row) -> tuple[Any, ...]:
    """A stored row's fields, blobs as bytes on every engine."""
    return tuple(bytes(f) if isinstance(f, memoryview) else f for f in row)


def present(company: str, company_no: int, row: Row) -> Receipt:
    """A stored row (columns of `select_sql`) in its public form."""
    (
        seq, at_ms, of_seq, actor, proof, credential, capability, target, effect, verdict, rule,
        code, reason, outcome, repeats, task, trace, preflight, arguments, rules, digest,
    ) = columns(row)  # fmt: skip
    return Receipt(
        id=receipt_id(at_ms, company_no, seq),
        company=company,
        seq=seq,
        at=iso_ms(at_ms),
        actor=actor,
        proof=Proof(proof).name.lower(),
        capability=capability,
        target=target,
        effect=Effect(effect).name.lower(),
        verdict=VerdictKind(verdict).name.lower(),
        rules=rules,
        leaf=digest.hex(),
        rule=rule,
        code=code,
        reason=reason,
        outcome=None if outcome is None else Outcome(outcome).name.lower(),
        of=of_seq,
        repeats=repeats,
        task=from_blob(task),
        trace=from_blob(trace),
        preflight=from_blob(preflight),
        arguments=None if arguments is None else arguments.hex(),
        credential=from_blob(credential),
    )


def select_sql(where: str, order: str = "seq") -> str:
    """A query for `present`; `where` is a fixed text of ours, never a caller's."""
    return f"select {_COLUMNS} from receipt where {where} order by {order}"  # noqa: S608


def listed(
    rx: Rx, company: str, company_no: int, *, before: int | None, limit: int
) -> list[Receipt]:
    """Newest first, a keyset page by `seq`."""
    rows = rx.all(
        select_sql("company_no=? and seq<?", "seq desc limit ?"),
        (company_no, before if before is not None else ABOVE_ALL, limit),
    )
    return [present(company, company_no, row) for row in rows]


def about(rx: Rx, company: str, company_no: int, column: str, ref: str) -> list[Receipt]:
    """All receipts of one task or trace, oldest first, at most 1,000."""
    # The unary plus keeps the planner from walking the company's whole ledger by its key.
    sql = {"task": "task=? and +company_no=?", "trace": "trace=? and +company_no=?"}[column]
    rows = rx.all(select_sql(sql, "seq limit 1000"), (to_blob(ref), company_no))
    return [present(company, company_no, row) for row in rows]


def by_id(rx: Rx, company: str, company_no: int, receipt: str) -> Receipt | None:
    """The receipt of an id, found through the address that the id carries; an id of another kind
    has none."""
    try:
        kind, no, seq = row_address(receipt)
    except ValueError:
        return None
    if kind is not Kind.RECEIPT or no != company_no:
        return None
    row = rx.one(select_sql("company_no=? and seq=?"), (company_no, seq))
    found = None if row is None else present(company, company_no, row)
    return found if found is not None and found.id == receipt else None


def at(rx: Rx, company: str, company_no: int, seq: int) -> list[Receipt]:
    """The receipt with this number, if there is one."""
    row = rx.one(select_sql("company_no=? and seq=?"), (company_no, seq))
    return [] if row is None else [present(company, company_no, row)]


def outcomes_of(rx: Rx, company: str, company_no: int, seq: int) -> list[Receipt]:
    """Outcome rows that name receipt `seq`: within the next 1,000 rows of the ledger."""
    rows = rx.all(
        select_sql("company_no=? and seq>? and seq<=? and of_seq=?"),
        (company_no, seq, seq + 1_000, seq),
    )
    return [present(company, company_no, row) for row in rows]
