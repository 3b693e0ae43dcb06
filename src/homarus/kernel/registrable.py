"""What may be registered as a capability: its fields, their bounds, and what each kind needs.

Pure. Rows, grants and writes: `registry.py`; the declarative form: `declared.py`.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homarus.base.action import Effect
from homarus.base.errors import Invalid
from homarus.base.nearest import did_you_mean
from homarus.kernel import schemas, targets
from homarus.kernel.argv import Template
from homarus.kernel.capabilities import BUILTIN
from homarus.kernel.limits import Limits

COMMAND: Final = "command"
SKILL: Final = "skill"
KINDS: Final = ("tool", COMMAND, SKILL, "mcp", "pipeline")
RISKS: Final = ("low", "medium", "high")
EFFECT_OF_KIND: Final = {COMMAND: Effect.EXEC, SKILL: Effect.READ, "pipeline": Effect.DISPATCH}
"""What a capability does when its row does not say; tools of every kind must say it."""

EFFECTS: Final = {effect.name.lower(): effect for effect in Effect if effect is not Effect.MODEL}
OWNER: Final = "owner"

MAX_ID: Final = 100
MAX_TITLE: Final = 200
MAX_DESCRIPTION: Final = 4_000
MAX_SLOTS: Final = 32
MAX_GRANTS: Final = 64
MAX_KEYWORDS: Final = 32
MAX_KEYWORD: Final = 60
MAX_TARGETS: Final = 32
MAX_WORD: Final = 40
MAX_REGISTERED: Final = 10_000

_ID: Final = re.compile(r"[a-z][a-z0-9_]*(?:[.-][a-z0-9_]+)+")
GRANT: Final = re.compile(r"\*|role:[^\s]{1,100}|agent:[^\s]{1,200}")
_PLAIN_WORD: Final = re.compile(r"[a-z][a-z0-9_.-]{0,39}")


class NewCapability(msgspec.Struct, frozen=True):
    """What is registered. `effect` None: that of its kind. `grants` None: as they are, of a new
    command `*`, of anything else nobody. `owner` and `agent:` grants: by id or name."""

    id: str
    title: str
    argv: tuple[str, ...] = ()
    description: str = ""
    slots: dict[str, Any] = {}
    trusted: bool = False
    grants: tuple[str, ...] | None = None
    limits: dict[str, int] = {}
    restartable: bool = False
    kind: str = COMMAND
    effect: Effect | None = None
    keywords: tuple[str, ...] = ()
    risk: str = "medium"
    owner: str | None = None
    input: dict[str, Any] | None = None
    targets: tuple[str, ...] = ()
    quota: str | None = None
    approval: bool = False
    mirror: str | None = None
    sha256: bytes | None = None
    content: str | None = None
    source: str = OWNER


class Fault(Exception):
    """What is wrong with one field; `field` by its name in NewCapability, `place` within it."""

    def __init__(self, code: str, field: str, message: str, remedy: str, place: Any = None) -> None:
        super().__init__(message)
        self.code, self.field, self.message, self.remedy = code, field, message, remedy
        self.place = place


def effect_of(new: NewCapability) -> Effect | None:
    return EFFECT_OF_KIND.get(new.kind) if new.effect is None else new.effect


def faults(new: NewCapability) -> list[Fault]:
    """Everything that is wrong with it by itself, whatever else the company holds."""
    return [*_of_words(new), *_of_kind(new), *_of_targets(new), *_of_input(new)]


def _of_words(new: NewCapability) -> Iterable[Fault]:
    if len(new.id) > MAX_ID or not _ID.fullmatch(new.id) or new.id in BUILTIN:
        yield Fault("id", "id", f"{new.id[:MAX_ID]!r} cannot be a capability's id",
                    "Use a dotted name of your own, such as `files.inventory`.")  # fmt: skip
    if not 0 < len(new.title) <= MAX_TITLE:
        yield Fault("title", "title", "the title has a wrong length", f"1 to {MAX_TITLE}.")
    if len(new.description) > MAX_DESCRIPTION:
        yield Fault("title", "description", "the description is too long",
                    f"At most {MAX_DESCRIPTION} characters.")  # fmt: skip
    if new.risk not in RISKS:
        yield Fault("risk", "risk", f"the risk cannot be {new.risk[:MAX_WORD]!r}",
                    f"One of {', '.join(RISKS)}.")  # fmt: skip
    if len(new.keywords) > MAX_KEYWORDS or not all(0 < len(k) <= MAX_KEYWORD for k in new.keywords):
        yield Fault("keywords", "keywords", "the keywords are too many or of a wrong length",
                    f"At most {MAX_KEYWORDS}, each of 1 to {MAX_KEYWORD} characters.")  # fmt: skip
    for field, word in (("quota", new.quota), ("mirror", new.mirror)):
        if word is not None and not _PLAIN_WORD.fullmatch(word):
            yield Fault(
                field, field, f"{word[:MAX_WORD]!r} cannot be a {field}",
                f"Lower-case letters, digits, `_`, `.`, `-`; at most {MAX_WORD}.",
            )  # fmt: skip
    grants = new.grants or ()
    if len(grants) > MAX_GRANTS:
        yield Fault("grants", "grants", "there are too many grants", f"At most {MAX_GRANTS}.")
    for grant in grants[:MAX_GRANTS]:
        if not GRANT.fullmatch(grant):
            yield Fault("grants", "grants", f"the grant {grant[:MAX_ID]!r} is unreadable",
                        "Use `*`, `role:NAME` or `agent:ID`.", grant)  # fmt: skip


def _of_kind(new: NewCapability) -> Iterable[Fault]:
    if new.kind not in KINDS:
        yield Fault("kind", "kind", f"there is no kind {new.kind[:MAX_WORD]!r}",
                    did_you_mean(new.kind, KINDS, f"One of {', '.join(KINDS)}."))  # fmt: skip
        return
    effect = effect_of(new)
    if effect is None or effect is Effect.MODEL:
        yield Fault("effect", "effect", f"a {new.kind} must say its effect",
                    f"One of {', '.join(EFFECTS)}.")  # fmt: skip
    if new.kind != COMMAND:
        if new.argv or new.slots or new.trusted or new.limits:
            yield Fault("argv", "argv", f"a {new.kind} has no command line",
                        "Leave out argv, slots, limits and trusted.")  # fmt: skip
        return
    if effect not in (Effect.EXEC, Effect.EXTERNAL_WRITE):
        yield Fault("effect", "effect", "a command runs a program",
                    "Its effect is exec, or external_write.")  # fmt: skip
    if not new.argv or len(new.slots) > MAX_SLOTS:
        yield Fault("argv", "argv", "argv is empty, or there are too many slots", "Name a program.")
        return
    try:
        Template.parse(new.argv, new.slots)
    except Invalid as error:
        what = "A value fills a whole element, or follows `option=`; each has a typed slot."
        yield Fault("argv", "argv", error.message.rstrip("."), what)
    try:
        Limits.from_json(new.limits)
    except Invalid as error:
        yield Fault("limits", "limits", error.message, error.remedy)


def _of_targets(new: NewCapability) -> Iterable[Fault]:
    if len(new.targets) > MAX_TARGETS:
        yield Fault("targets", "targets", "there are too many patterns", f"At most {MAX_TARGETS}.")
    for pattern in new.targets[:MAX_TARGETS]:
        wrong = targets.fault(pattern, reads=effect_of(new) is Effect.READ)
        if wrong is not None:
            yield Fault(
                "targets", "targets", f"the pattern {pattern[:MAX_ID]!r} {wrong}",
                "Name a scheme and a place, such as `workspace:notes/**`.", pattern,
            )  # fmt: skip


def _of_input(new: NewCapability) -> Iterable[Fault]:
    if new.input is None:
        return
    try:
        schemas.check(new.input)
    except schemas.Fault as fault:
        yield Fault("schema", "input", f"the input schema cannot be used: {fault}",
                    "Correct it: JSON Schema, draft 7 or 2020-12, without references to other "
                    "documents.", fault.path)  # fmt: skip


def check(new: NewCapability) -> None:
    """Raises `capability.id|title|risk|keywords|quota|mirror|grants|kind|effect|argv|limits|
    targets|schema`: the first fault."""
    for fault in faults(new):
        raise Invalid(f"capability.{fault.code}", fault.message, fault.remedy)
