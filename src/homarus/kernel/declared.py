"""capabilities.yaml: the declarative form of a company's registry (governance contract, 6 and 13).

    version: 1
    capabilities:
      - id: files.count
        title: Count lines
        argv: [wc, -l, "{file}"]
        slots: {file: path}
        grants: ["role:coder", "like:files.read"]

The approved text is applied to the rows, which are the truth. What is wrong is listed with line,
column and what was expected; then nothing of it is applied. A grant `like:ID` gives what ID gives.
What stands outside of the sandbox's own view (`trusted`, a path slot's `root`) is not declared
here: an owner registers it.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid
from homarus.base.marked import Node, Problem, Unreadable, read
from homarus.base.nearest import nearest
from homarus.kernel import registrable, registry
from homarus.kernel.registrable import NewCapability
from homarus.kernel.registry import Capability
from homarus.store.port import Rx, Tx

FILE: Final = "capabilities.yaml"
MAX_ENTRIES: Final = 250
MAX_PROBLEMS: Final = 50
MAX_KEPT: Final = 8
MAX_AGENTS: Final = 10_000
LIKE: Final = "like:"

TEXT: Final = "a text"
TEXTS: Final = "a list of texts"
TRUTH: Final = "true or false"
MAPPING: Final = "a mapping"
NUMBERS: Final = "a mapping to whole numbers"
FIELDS: Final = {
    "id": TEXT, "title": TEXT, "description": TEXT, "keywords": TEXTS, "kind": TEXT,
    "effect": TEXT, "risk": TEXT, "owner": TEXT, "input": MAPPING, "targets": TEXTS,
    "quota": TEXT, "approval": TRUTH, "mirror": TEXT, "argv": TEXTS, "slots": MAPPING,
    "grants": TEXTS, "limits": NUMBERS, "restartable": TRUTH,
}  # fmt: skip
REQUIRED: Final = ("id", "title")


def near(name: str, known: Iterable[str], otherwise: str) -> str:
    """What was expected: the nearest valid names, where there are any."""
    return " or ".join(f"`{each}`" for each in nearest(name, known)) or otherwise


class Entry(msgspec.Struct, frozen=True):
    """One capability and where it stands; its grants as they are written."""

    node: Node
    new: NewCapability


class Document(msgspec.Struct, frozen=True):
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


class Applied(msgspec.Struct, frozen=True):
    """Ids that were registered or changed, and those that are no longer declared."""

    changed: tuple[str, ...]
    disabled: tuple[str, ...]


@lru_cache(maxsize=MAX_KEPT)
def parse(text: str) -> Document:
    """What the text says by itself, and all that is wrong with it; an empty one declares nothing.
    Pure."""
    try:
        root = read(text)
    except Unreadable as error:
        return Document((), (error.problem,))
    problems: list[Problem] = []
    nodes = _entries(root, problems)
    entries = []
    for node in nodes:
        entry = _entry(node, problems)
        if entry is not None:
            entries.append(entry)
    problems += _twice(entries)
    problems += [problem for entry in entries for problem in _faults(entry)]
    problems += _chains(entries)
    return Document(tuple(entries), tuple(problems))


def _entries(root: Node, problems: list[Problem]) -> list[Node]:
    shape = "`version: 1` and `capabilities:`"
    if root.kind == "scalar" and root.value is None:
        return []
    if root.kind != "map":
        problems.append(root.problem(f"the file holds {root.shown()}", shape))
        return []
    _keys(root, ("version", "capabilities"), problems)
    version, listed = root.get("version"), root.get("capabilities")
    if version is None or version.value != 1 or isinstance(version.value, bool):
        at = version or root
        said = "no version" if version is None else f"the version {version.shown()}"
        problems.append(at.problem(said, "`version: 1`"))
    if listed is None or listed.kind != "list":
        at = listed or root
        said = "no `capabilities`" if listed is None else f"`capabilities` is {listed.shown()}"
        problems.append(at.problem(said, "a list of capabilities"))
        return []
    if len(listed.value) > MAX_ENTRIES:
        over = listed.value[MAX_ENTRIES]
        problems.append(
            over.problem(f"{len(listed.value)} entries", f"at most {MAX_ENTRIES} in one file")
        )
        return []
    return list(listed.value)


def _keys(node: Node, known: tuple[str, ...], problems: list[Problem]) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        name = str(key.value)
        if name in seen:
            problems.append(key.problem(f"the key {name[:60]!r} is there twice", "it once"))
        elif name == "trusted":
            problems.append(
                key.problem("a file cannot mark a command as trusted", "an owner to register it")
            )
        elif name not in known:
            hint = near(name, known, f"one of {', '.join(known)}")
            problems.append(key.problem(f"the key {name[:60]!r} is unknown", hint))
        seen.add(name)


def _entry(node: Node, problems: list[Problem]) -> Entry | None:
    """The entry; a field of a wrong type is told and then left out, so that the rest is checked."""
    if node.kind != "map":
        problems.append(node.problem(f"an entry is {node.shown()}", "a mapping with an id"))
        return None
    _keys(node, tuple(FIELDS), problems)
    values: dict[str, Any] = {"grants": ()}
    for key, value in node.value:
        kind = FIELDS.get(str(key.value))
        if kind is None:
            continue
        if not _fits(value, kind):
            problems.append(value.problem(f"`{key.value}` is {value.shown()}", kind))
            continue
        plain = value.plain()
        values[str(key.value)] = tuple(plain) if kind == TEXTS else plain
    for name in REQUIRED:
        if node.get(name) is None:
            problems.append(node.problem(f"the entry has no {name}", f"`{name}:` and a text"))
    if "id" not in values:
        return None
    effect = values.pop("effect", None)
    if effect is not None and effect not in registrable.EFFECTS:
        hint = near(effect, registrable.EFFECTS, f"one of {', '.join(registrable.EFFECTS)}")
        problems.append(node.at(("effect",)).problem(f"there is no effect {effect[:40]!r}", hint))
        effect = "exec"
    values["effect"] = None if effect is None else registrable.EFFECTS[effect]
    new = NewCapability(**({"title": "untitled"} | values), source=registry.DOCUMENT)
    return Entry(node, new)


def _fits(node: Node, kind: str) -> bool:
    if kind == TEXT:
        return isinstance(node.value, str)
    if kind == TRUTH:
        return isinstance(node.value, bool)
    if kind == TEXTS:
        return node.kind == "list" and all(isinstance(each.value, str) for each in node.value)
    if node.kind != "map":
        return False
    return kind != NUMBERS or all(type(each.value) is int for _, each in node.value)


def _twice(entries: list[Entry]) -> Iterator[Problem]:
    first: dict[str, Entry] = {}
    for entry in entries:
        before = first.setdefault(entry.new.id, entry)
        if before is not entry:
            yield entry.node.at(("id",)).problem(
                f"the id {entry.new.id!r} stands in line {before.node.line} already", "another id"
            )


def _faults(entry: Entry) -> Iterator[Problem]:
    """What the registry refuses, at the place in the file that says it."""
    new, node = entry.new, entry.node
    if new.kind == registrable.SKILL:
        yield node.at(("kind",)).problem(
            "a skill is a folder", "`homarus capability add-skill DIR` instead"
        )
        return
    plain = tuple(g for g in new.grants or () if not g.startswith(LIKE))
    for fault in registrable.faults(msgspec.structs.replace(new, grants=plain)):
        at = node.at((fault.field,))
        if isinstance(fault.place, tuple):
            at = at.at(fault.place)
        elif fault.place is not None:
            at = next((each for each in at.value if each.value == fault.place), at)
        expected = fault.remedy[:1].lower() + fault.remedy[1:].rstrip(".")
        yield at.problem(fault.message, expected)
    for name, slot in new.slots.items():
        if isinstance(slot, dict) and "root" in slot:
            yield node.at(("slots", name, "root")).problem(
                f"the slot {name!r} leads outside of the workspace",
                "a path below the workspace; an owner registers any other",
            )


def _chains(entries: list[Entry]) -> Iterator[Problem]:
    """Grants `like:ID`: of an id in this file, and never in a circle."""
    known = {entry.new.id: entry for entry in entries}
    for entry in entries:
        for at in _likes(entry):
            name = at.value.removeprefix(LIKE)
            if name not in known:
                hint = near(name, known, "an id of this file")
                yield at.problem(f"`{at.value[:100]}` names no capability of this file", hint)
            elif entry.new.id in _reached(known, name):
                yield at.problem(
                    f"`{at.value[:100]}` leads back to {entry.new.id}", "grants without a circle"
                )


def _likes(entry: Entry) -> list[Node]:
    grants = entry.node.get("grants")
    return [] if grants is None else [g for g in grants.value if g.value.startswith(LIKE)]


def _reached(known: dict[str, Entry], start: str) -> set[str]:
    """`start` and every id that its grants lead to."""
    found: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in found or name not in known:
            continue
        found.add(name)
        todo += [at.value.removeprefix(LIKE) for at in _likes(known[name])]
    return found


# -- in a company ----------------------------------------------------------------------------


def problems(rx: Rx, company: str, text: str) -> list[Problem]:
    """All that is wrong with the text in this company, in the order of the file."""
    document = parse(text)
    found = [*document.problems]
    agents = _agents(rx, company)
    rows = _rows(rx, company)
    for entry in document.entries:
        found += _unknown_agents(entry, agents)
        before = rows.get(entry.new.id)
        if before is not None and before.kind != entry.new.kind:
            at = entry.node.at(("kind",))
            found.append(at.problem(f"{before.id} is registered as a {before.kind}", "another id"))
    return sorted(found, key=lambda each: (each.line, each.column))


def _unknown_agents(entry: Entry, agents: dict[str, str]) -> Iterator[Problem]:
    grants = entry.node.get("grants")
    named = [] if grants is None else [(at, *at.value.split(":", 1)) for at in grants.value]
    refs = [(at, rest[1]) for at, *rest in named if rest[0] == "agent" and len(rest) == 2]
    owner = entry.node.get("owner")
    if owner is not None:
        refs.append((owner, owner.value))
    for at, ref in refs:
        if ref not in agents:
            hint = near(ref, agents, "an agent of this company")
            yield at.problem(f"the company has no agent {ref[:100]!r}", hint)


def _agents(rx: Rx, company: str) -> dict[str, str]:
    """Name and id -> id of each live agent; names first."""
    rows = rx.all(
        "select name, id from agent where company=? and deleted_ms is null order by name limit ?",
        (company, MAX_AGENTS),
    )
    return {row[0]: row[1] for row in rows} | {row[1]: row[1] for row in rows}


def _rows(rx: Rx, company: str) -> dict[str, Capability]:
    rows = registry.listed(rx, company, limit=registrable.MAX_REGISTERED)
    return {row.id: row for row in rows}


def refuse(found: list[Problem]) -> None:
    """Raises `capability.document` when there is a problem; `details` lists the first 50."""
    if not found:
        return
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    raise Invalid(
        "capability.document",
        found[0].told(FILE) + more,
        "Correct the file; what is in force stays.",
        problems=[problem.told(FILE) for problem in found[:MAX_PROBLEMS]],
        count=len(found),
    )


def apply_document(tx: Tx, text: str) -> Applied:
    """Make the registry what the approved text says; a change record's switch calls it.

    Entries that are as they were keep their version. What an earlier text declared and this one
    does not is disabled; what an owner registered stays. Raises `capability.document`,
    `capability.many`.
    """
    refuse(problems(tx, tx.company, text))
    document = parse(text)
    grants = _granted(tx, document)
    rows = _rows(tx, tx.company)
    changed = []
    if len(rows | grants) > registrable.MAX_REGISTERED:
        raise Conflict("capability.many", "too many would be registered", "Disable some.")
    for entry in document.entries:
        before = rows.get(entry.new.id)
        new = entry.new
        if before is not None and (before.argv, before.slots) == (new.argv, new.slots):
            new = msgspec.structs.replace(new, trusted=before.trusted)
        values = registry.values_of(tx, new, before, grants[new.id], quarantined=False)
        if before is None or not registry.unchanged(before, values):
            registry.write(tx, new, before, values)
            changed.append(new.id)
    gone = [
        row.id
        for row in rows.values()
        if row.source == registry.DOCUMENT and row.enabled and row.id not in grants
    ]
    for id_ in gone:
        registry.disable(tx, id_)
    return Applied(tuple(changed), tuple(gone))


def _granted(tx: Tx, document: Document) -> dict[str, tuple[str, ...]]:
    """Each id's grants with agents by id and `like:` followed."""
    known = {entry.new.id: entry for entry in document.entries}
    agents = _agents(tx, tx.company)

    def own(entry: Entry) -> set[str]:
        found = set()
        for grant in entry.new.grants or ():
            if grant.startswith("agent:"):
                found.add(f"agent:{agents[grant.removeprefix('agent:')]}")
            elif not grant.startswith(LIKE):
                found.add(grant)
        return found

    return {
        id_: tuple(sorted(set().union(*(own(known[name]) for name in _reached(known, id_)))))
        for id_ in known
    }
