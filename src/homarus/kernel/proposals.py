"""Proposed skills: what an agent learned and offers to the company (control-plane contract, 7).

A proposal is a skill like any other: a SKILL.md, written here from the words that came, in
quarantine until a change grants it. It never takes the place of a skill that somebody registered,
or of one that was granted since; and only what still waits can be withdrawn.
"""

import hashlib
import json
import re
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.skill_folder import FILE
from homarus.kernel import registry, skills
from homarus.kernel.registrable import MAX_DESCRIPTION, MAX_TITLE, SKILL
from homarus.store.port import Tx

PROMOTED: Final = "promoted"
PREFIX: Final = "tactic."
MAX_WAITING: Final = 200
MAX_SLUG: Final = 80
MAX_JSON: Final = 16_384

_BLOCK: Final = re.compile(r"^```json\n(.*)\n```$", re.MULTILINE)


class Proposal(msgspec.Struct, frozen=True):
    """`intent`: when to use it. `steps`, `inputs`: any JSON, in the proposer's own form."""

    name: str
    intent: str
    steps: Any = None
    inputs: Any = None


def id_of(name: str) -> str:
    """`Stealth Retries` → `tactic.stealth_retries`. Raises `tactic.name`."""
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:MAX_SLUG].rstrip("_")
    if not slug or len(name) > MAX_TITLE:
        raise Invalid(
            "tactic.name",
            "a tactic needs a name",
            f"1 to {MAX_TITLE}; some of them Latin letters or digits.",
        )
    return PREFIX + slug


def text_of(new: Proposal) -> str:
    """Its SKILL.md. Raises `tactic.name`, `tactic.intent`, `tactic.steps`."""
    name, intent = id_of(new.name), " ".join(new.intent.split())
    if not 0 < len(intent) <= MAX_DESCRIPTION:
        raise Invalid("tactic.intent", "what is it for?", f"1 to {MAX_DESCRIPTION} characters.")
    blocks = [_compact(new.steps), _compact(new.inputs)]
    if any(len(block.encode()) > MAX_JSON for block in blocks):
        raise Invalid("tactic.steps", "steps or inputs are too long", f"{MAX_JSON} bytes each.")
    quoted = json.dumps(intent, ensure_ascii=False)
    head = f"---\nname: {name}\ndescription: {quoted}\n---\n"
    parts = zip(("Steps", "Required inputs"), blocks, strict=True)
    body = "".join(f"\n## {title}\n\n```json\n{block}\n```\n" for title, block in parts)
    return f"{head}\n# {' '.join(new.name.split())}\n{body}"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def parts(text: str) -> tuple[Any, Any]:
    """`(steps, inputs)` of a text that `text_of` made."""
    found = [json.loads(block) for block in _BLOCK.findall(text)[:2]]
    return (found[0], found[1]) if len(found) == 2 else (None, None)


def promote(tx: Tx, new: Proposal) -> registry.Capability:
    """A proposal in quarantine: a new one, or the waiting one of that name with these words.

    Raises `tactic.*`, `tactic.taken`, `tactic.many`, `capability.*`.
    """
    text = text_of(new)
    raw = text.encode()
    file = skills.SkillFile(FILE, hashlib.sha256(raw).hexdigest(), len(raw))
    ready = msgspec.structs.replace(
        skills.read_text(text),
        title=" ".join(new.name.split()),
        sha256=skills.folder_hash([file]),
        source=PROMOTED,
    )
    before = registry.by_id(tx, tx.company, ready.id)
    if before is not None:
        if not waits(before):
            raise Conflict(
                "tactic.taken",
                f"{ready.id} is a skill of this company already",
                "Choose another name; an owner replaces it: `homarus capability add-skill`.",
            )
        if before.sha256 == ready.sha256:
            return before
    elif _waiting(tx) >= MAX_WAITING:
        raise Conflict(
            "tactic.many", f"{MAX_WAITING} proposals wait", "Grant or withdraw some first."
        )
    return registry.register(tx, ready)


def _waiting(tx: Tx) -> int:
    row = tx.one(
        "select count(*) from capability where company=? and source=? and quarantined=1",
        (tx.company, PROMOTED),
    )
    return 0 if row is None else int(row[0])


def waits(row: registry.Capability) -> bool:
    """Whether it is a proposal that nobody has granted yet."""
    return row.source == PROMOTED and row.quarantined


def withdraw(tx: Tx, ref: str) -> registry.Capability:
    """Raises `tactic.unknown`, `tactic.granted`."""
    row = registry.by_id(tx, tx.company, ref)
    if row is None or row.kind != SKILL:
        raise NotFound("tactic.unknown", f"no tactic {ref[:80]!r}", "See GET /tactics.")
    if not waits(row):
        raise Conflict(
            "tactic.granted",
            f"{row.id} is no waiting proposal: it is registered or granted",
            f"An owner disables it: `homarus capability disable {row.id}`.",
        )
    registry.forget(tx, row.id)
    return row
