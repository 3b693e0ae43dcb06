"""The routing note: who dispatches whom, on which task, with which permission (contract, 4).

    [DISPATCHER_ROUTING_NOTE]
    [KERNEL_CONTEXT] caller=pm, task_id=T-123, trace_id=0198…, perm=read_write,
        ts=2026-05-01T09:00:00Z, nonce=9f2c41d07be35a68, sig=…        (one line)

The short form has neither `ts`, `nonce` nor `sig`; the kernel completes it. Pure: the rules that
judge a note are in `dispatching.py`, the rows in `contexts.py`.
"""

import calendar
import difflib
import hmac
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.kernel.facts import GOVERNED_ROLES, AgentFacts, TaskFacts

MAX_NOTE: Final = 2_000
"""Characters of a note that are read at all."""

HEADER: Final = "[DISPATCHER_ROUTING_NOTE]"
CONTEXT: Final = "[KERNEL_CONTEXT]"
KEYS: Final = ("caller", "task_id", "trace_id", "perm", "ts", "nonce", "sig")
SHORT: Final = KEYS[:4]
COMPLETION: Final = KEYS[4:]
ALIASES: Final = {"permission_scope": "perm"}
NO_TASK: Final = "none"
"""`task_id` of a note that the kernel made for an agent without a task."""

METADATA: Final = "routingNote"
"""Where a message's metadata carries its note."""

_TEXT: Final = re.compile(r"[^\s,=\[\]]{1,100}")
_TS: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", re.ASCII)
_NONCE: Final = re.compile(r"[0-9a-f]{16}")
_SIG: Final = re.compile(r"[0-9a-f]{64}")
_BARE_NUMBER: Final = re.compile(r"[Tt](\d{1,15})", re.ASCII)


class Perm(StrEnum):
    """From least to most."""

    READ = "read"
    READ_WRITE = "read_write"
    GOVERN = "govern"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS: Final = {perm: rank for rank, perm in enumerate(Perm)}


def meet(one: Perm, other: Perm) -> Perm:
    """What both allow."""
    return one if one.rank <= other.rank else other


def own_perm(role: str | None) -> Perm:
    """What an agent may by its role alone."""
    return Perm.GOVERN if role in GOVERNED_ROLES else Perm.READ_WRITE


class Note(msgspec.Struct, frozen=True):
    """A note, parsed. `ts` as written (RFC 3339, UTC, whole seconds), `nonce` and `sig` lower-case
    hexadecimal; all three None in the short form."""

    caller: str
    task_id: str
    trace_id: str
    perm: Perm
    ts: str | None = None
    nonce: str | None = None
    sig: str | None = None

    @property
    def short(self) -> bool:
        return self.sig is None


class Malformed(msgspec.Struct, frozen=True):
    """Why a text is no note. `key`: the key at fault, or `note`."""

    key: str
    why: str


class Context(msgspec.Struct, frozen=True):
    """What an allowed dispatch carries: `Allow.context`.

    `note` complete and signed; `task` the caller's, None: it holds none; `callee` None: unknown;
    `perm` what the callee gets (the meet); `depth` and `above` (agent ids, from the top) are those
    of the caller on this trace.
    """

    note: Note
    task: TaskFacts | None
    trace: str
    callee: AgentFacts | None
    perm: Perm
    depth: int = 0
    above: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return render(self.note)


# -- text ----------------------------------------------------------------------------------


def parse(text: str) -> Note | Malformed:
    """Read a note, long or short, with or without its first line."""
    if len(text) > MAX_NOTE:
        return Malformed("note", f"it has more than {MAX_NOTE} characters")
    lines = [line.strip(" \r") for line in text.strip().split("\n") if line.strip(" \r")]
    if lines and lines[0] == HEADER:
        lines = lines[1:]
    if len(lines) != 1 or not lines[0].startswith(CONTEXT + " "):
        return Malformed("note", f"it is not one line that begins with {CONTEXT}")
    fields = _fields(lines[0].removeprefix(CONTEXT))
    return fields if isinstance(fields, Malformed) else _note(fields)


def _fields(line: str) -> dict[str, str] | Malformed:
    fields: dict[str, str] = {}
    for part in line.split(","):
        key, equals, value = part.lstrip(" ").partition("=")
        if not equals:
            return Malformed("note", f"{part.strip()[:40]!r} is not key=value")
        key = ALIASES.get(key, key)
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            meant = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(KEYS)}"
            return Malformed(key[:40] or "note", f"it is no key of a note; {meant}")
        if key in fields:
            return Malformed(key, "it is there twice")
        fields[key] = value
    return fields


def _note(fields: Mapping[str, str]) -> Note | Malformed:
    signed = any(key in fields for key in COMPLETION)
    for key in KEYS if signed else SHORT:
        if key not in fields:
            return Malformed(key, "it is missing")
        wrong = _wrong(key, fields[key])
        if wrong is not None:
            return Malformed(key, f"{fields[key][:60]!r} is not {wrong}")
    return Note(**{**fields, "perm": Perm(fields["perm"])})  # type: ignore[arg-type]


def _wrong(key: str, value: str) -> str | None:
    """What the value should have been; None: it is that."""
    match key:
        case "perm":
            return None if value in list(Perm) else f"one of {', '.join(Perm)}"
        case "ts":
            return None if ts_ms(value) is not None else "a time such as 2026-05-01T09:00:00Z"
        case "nonce":
            return None if _NONCE.fullmatch(value) else "16 lower-case hexadecimal digits"
        case "sig":
            return None if _SIG.fullmatch(value) else "64 lower-case hexadecimal digits"
        case _:
            return None if _TEXT.fullmatch(value) else "1 to 100 characters without spaces"


def ts_ms(text: str) -> int | None:
    """Unix ms of a note's time; None: it is none."""
    found = _TS.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    try:
        seconds = calendar.timegm((year, month, day, hour, minute, second))
    except ValueError:
        return None
    exact = iso_ms(seconds * 1000)[:19] == text[:19]
    return seconds * 1000 if exact else None


def _pairs(note: Note, keys: tuple[str, ...]) -> str:
    return ", ".join(f"{key}={getattr(note, key)}" for key in keys)


def render(note: Note) -> str:
    """The two lines of its text form."""
    return f"{HEADER}\n{CONTEXT} {_pairs(note, SHORT if note.short else KEYS)}"


def label(agent: AgentFacts) -> str:
    """How a note names an agent: by name where a note can hold it, else by id."""
    plain = agent.name.isascii() and _TEXT.fullmatch(agent.name)
    return agent.name if plain else agent.id


def task_ref(text: str) -> str:
    """A `task_id` as the task tables know it: `T123` means T-123."""
    bare = _BARE_NUMBER.fullmatch(text)
    return f"T-{bare[1]}" if bare else text


# -- signatures ----------------------------------------------------------------------------


def signature(note: Note, key: bytes) -> str:
    """HMAC-SHA-256 over the other keys in their order (contract, 4)."""
    return hmac.digest(key, _pairs(note, KEYS[:-1]).encode(), "sha256").hex()


def complete(note: Note, key: bytes, *, now_ms: int, nonce: bytes) -> Note:
    """Time, nonce (8 bytes) and signature put to a short note."""
    dated = msgspec.structs.replace(note, ts=iso_ms(now_ms)[:19] + "Z", nonce=nonce.hex())
    return msgspec.structs.replace(dated, sig=signature(dated, key))


def verified(note: Note, key: bytes) -> bool:
    """Whether a long note bears the company's signature. Constant time."""
    return note.sig is not None and hmac.compare_digest(note.sig, signature(note, key))


def with_note(text: str, context: Any) -> str:
    """A notification's text with the note of the dispatch that caused it, where there is one."""
    return f"{text}\n{context.text}" if isinstance(context, Context) else text
