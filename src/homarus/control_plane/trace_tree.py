"""A trace as a tree: which task was spawned from which, by whom, and what else was dispatched."""

from collections.abc import Iterable, Mapping
from typing import Any

from homarus.base.clock import iso_ms
from homarus.company import agents
from homarus.kernel import contexts
from homarus.kernel.contexts import Position, Used
from homarus.kernel.dispatching import SPAWN
from homarus.store.port import Rx
from homarus.tasks import rules, sql

Node = dict[str, Any]


def tree(
    rx: Rx, company: str, trace: str, receipts: Mapping[str, int]
) -> tuple[list[Node], list[Node]]:
    """`(roots, dispatches beside any task)`. `receipts`: how many each task of the trace has.

    A node: `task`, `number`, `title`, `state`, `agent`, `by` (who dispatched it), `perm`, `depth`,
    `receipts`, `dispatches` (messages, sends and assignments from it), `children`.
    """
    positions = {row.task: row for row in contexts.of_trace(rx, company, trace)}
    names = _Names(rx, company)
    nodes = {
        task: _node(rx, company, task, positions.get(task), names)
        | {"receipts": receipts.get(task, 0)}
        for task in dict.fromkeys([*_oldest_first(rx, company, receipts), *positions])
    }
    beside: list[Node] = []
    for used in contexts.notes_of(rx, company, trace):
        if used.capability != SPAWN:
            home = nodes[used.task]["dispatches"] if used.task in nodes else beside
            home.append(_dispatch(used, names))
    roots: list[Node] = []
    for task, node in nodes.items():
        position = positions.get(task)
        parent = None if position is None or position.parent is None else nodes.get(position.parent)
        (roots if parent is None else parent["children"]).append(node)
    return roots, beside


def _oldest_first(rx: Rx, company: str, tasks: Iterable[str]) -> list[str]:
    rows = {task: sql.by_id(rx, company, task) for task in tasks}
    return sorted(rows, key=lambda task: getattr(rows[task], "seq", 0))


class _Names:
    """Names of actors, each looked up once."""

    def __init__(self, rx: Rx, company: str) -> None:
        self._rx = rx
        self._company = company
        self._known: dict[str, str] = {}

    def of(self, agent: str | None) -> str | None:
        if agent is None:
            return None
        if agent not in self._known:
            row = agents.by_id(self._rx, self._company, agent)
            self._known[agent] = agent if row is None else row.name
        return self._known[agent]

    def of_actor(self, key: str) -> str:
        kind, _, ref = key.partition(":")
        return (self.of(ref) or ref) if kind == "agent" else kind


def _node(rx: Rx, company: str, task: str, position: Position | None, names: _Names) -> Node:
    row = sql.by_id(rx, company, task)
    spec = None if row is None else sql.spec_of(rx, task)
    return {
        "task": task,
        "number": None if row is None else row.number,
        "title": None if spec is None else spec.input.get("title"),
        "state": None if row is None else rules.to_wire(row.state),
        "agent": names.of(None if row is None else row.agent),
        "by": None if position is None else names.of_actor(position.caller),
        "perm": None if position is None else position.perm.value,
        "depth": 0 if position is None else position.depth,
        "dispatches": [],
        "children": [],
    }


def _dispatch(used: Used, names: _Names) -> Node:
    return {
        "capability": used.capability,
        "from": names.of(used.caller),
        "to": names.of(used.callee),
        "perm": used.perm.value,
        "at": iso_ms(used.used_ms),
        "nonce": used.nonce,
    }
