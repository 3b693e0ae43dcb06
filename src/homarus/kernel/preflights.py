"""Preflights: what an agent may do for what it set out to do (governance contract, 1, 5, R6).

A scope is a list of (capability, target) patterns. A claim's follows from its task and lives while
that lease is held; any other is stored with the row and lives until `expires_ms`.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from homarus.base.ids import derived_id
from homarus.kernel.facts import TaskFacts
from homarus.store.port import Row, Rx, Tx

CLAIM: Final = "claim"
QUERY: Final = "query"
TURN: Final = "turn"
READ: Final = "read"
READ_WRITE: Final = "read_write"
GOVERN: Final = "govern"

MAX_SCOPE: Final = 64
MAX_PATTERN: Final = 300
MAX_TARGET: Final = 1_000
MAX_STARS: Final = 8

Scope = tuple[tuple[str, str], ...]

_COLUMNS: Final = (
    "id, company, agent, task, kind, intent, verdict, evidence, scope, perm, route_level, "
    "capability, token, created_ms, expires_ms"
)
_CLAIMED: Final = (
    "insert into preflight(id, company, agent, task, kind, route_level, capability, token, "
    "created_ms) values(?,?,?,?,'claim',?,?,?,?) on conflict(id) do nothing"
)
_ANYWHERE: Final = (
    ("thread.create", "*"),
    ("message.send", "*"),
    ("task.create", "*"),
    ("task.assign", "*"),
    ("session.spawn", "*"),
    ("session.send", "*"),
    ("artifact.*", "artifact:*"),
    ("folder.*", "folder:*"),
    ("memory.write", "*"),
    ("project.memory", "project:*"),
    ("resource.*", "resource:*"),
)
DISPATCHES: Final[Scope] = (
    ("message.send", "*"),
    ("session.spawn", "*"),
    ("session.send", "*"),
    ("task.assign", "*"),
)
"""Asking for help is never outside one's preflight (instinct C)."""


class Preflight(msgspec.Struct, frozen=True):
    """A row. `evidence`: `who`, `how`, `where`, `card` with their scores. `verdict`: `hit`, `none`
    (no capability), `not_permitted`, `other` (another agent's); None for a claim's. `token` is the
    fence of a claim. Times in Unix ms; `expires_ms` None: it ends with the lease."""

    id: str
    company: str
    agent: str
    task: str | None
    kind: str
    intent: str
    verdict: str | None
    evidence: dict[str, Any]
    scope: Scope
    perm: str
    route_level: int
    capability: str | None
    token: int | None
    created_ms: int
    expires_ms: int | None

    def live(self, now_ms: int, task: TaskFacts | None) -> bool:
        """`task`: the facts of its task. At `expires_ms` exactly it is over."""
        if self.kind != CLAIM:
            return self.expires_ms is not None and now_ms < self.expires_ms
        return (
            task is not None
            and task.token == self.token
            and task.lease_until_ms is not None
            and now_ms < task.lease_until_ms
        )


def claim_id(task: str, token: int) -> str:
    """The id of the preflight that this claim made."""
    return derived_id(task, token)


def for_claim(
    tx: Tx, *, agent: str, task: str, token: int, capability: str | None, level: int
) -> str:
    """The preflight of a claim that just happened: one insert; its id.

    `token`: the new fence. `level`: of the route, 0 to 3.
    """
    made = claim_id(task, token)
    tx.run(_CLAIMED, (made, tx.company, agent, task, level, capability, token, tx.now_ms))
    return made


def claim_scope(task: str, capability: str | None) -> Scope:
    """Its notes, result, threads, artifacts, memory of task and project, resources, dispatches, and
    what the task is bound to (governance contract, 1)."""
    own = f"task:{task}"
    bound = () if capability is None else ((capability, own), (capability, f"{own}/**"))
    return (("task.*", own), *_ANYWHERE, *bound)


def put(tx: Tx, row: Preflight) -> None:
    """Store a thought one. The caller emits."""
    tx.run(
        f"insert into preflight({_COLUMNS}) values(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            row.id, row.company, row.agent, row.task, row.kind, row.intent, row.verdict,
            json.dumps(row.evidence), json.dumps(row.scope), row.perm, row.route_level,
            row.capability, row.token, row.created_ms, row.expires_ms,
        ),
    )  # fmt: skip


def _preflight(row: Row) -> Preflight:
    values = list(row)
    values[7] = {} if values[7] is None else json.loads(values[7])
    if values[8] is None:
        values[8] = claim_scope(values[3], values[11])
    else:
        values[8] = tuple((capability, target) for capability, target in json.loads(values[8]))
    return Preflight(*values)


def by_id(rx: Rx, company: str, preflight: str) -> Preflight | None:
    row = rx.one(
        f"select {_COLUMNS} from preflight where id=? and company=?",  # noqa: S608
        (preflight, company),
    )
    return None if row is None else _preflight(row)


def latest(rx: Rx, company: str, agent: str, task: str | None) -> Preflight | None:
    """The agent's newest thought preflight; with `task` the newest for that task."""
    where, params = ("", ()) if task is None else (" and task=?", (task,))
    row = rx.one(
        f"select {_COLUMNS} from preflight where company=? and agent=? and kind<>'claim'{where} "  # noqa: S608
        "order by created_ms desc limit 1",
        (company, agent, *params),
    )
    return None if row is None else _preflight(row)


# -- scopes --------------------------------------------------------------------------------


def covers(scope: Iterable[tuple[str, str]], capability: str, target: str) -> bool:
    """Whether one of the pairs matches both.

    `*` stands for any run of characters within one part (parts of a capability end at `.`, of a
    target at `/`), `**` for anything, `?` for one character of a part; `*` as a whole for
    everything. A target that climbs (`..`, encoded or not) is covered by its own text alone.
    """
    if not 0 < len(target) <= MAX_TARGET or len(capability) > MAX_PATTERN:
        return False
    return any(
        matches(wanted, capability, ".")
        and (place == target or (not climbs(target) and matches(place, target, "/")))
        for wanted, place in scope
    )


def climbs(target: str) -> bool:
    """Whether a target steps upwards, or hides a separator."""
    plain = target.lower()
    if "\\" in plain or "%2f" in plain or "%5c" in plain or "%00" in plain:
        return True
    return ".." in plain.replace("%2e", ".").replace(":", "/", 1).split("/")


def matches(pattern: str, text: str, separator: str) -> bool:
    """Whether the whole text is covered, found without backtracking: at most MAX_STARS times the
    text's length steps."""
    if pattern in (text, "*"):
        return True
    if len(pattern) > MAX_PATTERN or pattern.count("*") > MAX_STARS:
        return False
    if "*" not in pattern and "?" not in pattern:
        return False
    places = {0}
    for token in _tokens(pattern):
        places = _step(token, places, text, separator)
        if not places:
            return False
    return len(text) in places


def _tokens(pattern: str) -> Iterator[str]:
    """Stars, question marks, and the texts between them."""
    for n, wide in enumerate(pattern.split("**")):
        if n:
            yield "**"
        for m, narrow in enumerate(wide.split("*")):
            if m:
                yield "*"
            for k, piece in enumerate(narrow.split("?")):
                if k:
                    yield "?"
                if piece:
                    yield piece


def _step(token: str, places: set[int], text: str, separator: str) -> set[int]:
    """Where a match may go on after this token."""
    if token == "**":  # noqa: S105 - a wildcard
        return set(range(min(places), len(text) + 1))
    if token == "?":  # noqa: S105 - a wildcard
        return {at + 1 for at in places if at < len(text) and text[at] != separator}
    if token != "*":  # noqa: S105 - a wildcard
        return {at + len(token) for at in places if text.startswith(token, at)}
    found: set[int] = set()
    for at in sorted(places):
        if at not in found:
            end = text.find(separator, at)
            found.update(range(at, (len(text) if end < 0 else end) + 1))
    return found
