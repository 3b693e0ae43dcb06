"""What a surface wants done, and what the kernel says to it (governance contract, 1)."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any

import msgspec


class Effect(IntEnum):
    """What kind of effect an action has. The numbers are stored in receipts."""

    READ = 0
    LOCAL_WRITE = 1
    EXTERNAL_WRITE = 2
    DISPATCH = 3
    GOVERNED_WRITE = 4
    EXEC = 5
    MODEL = 6


class Proof(IntEnum):
    """How the actor is known (design, 5). ASSERTED: named by a token that may act for it."""

    TOKEN = 0
    DEVICE = 1
    SESSION = 2
    ASSERTED = 3
    SYSTEM = 4


class ActorKind(StrEnum):
    OPERATOR = "operator"
    AGENT = "agent"
    RUNTIME = "runtime"
    SERVICE = "service"
    SYSTEM = "system"


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """The most that an act may cost. `money` in millionths of the company's currency unit; None:
    what the price of `model`, or of the capability, makes of it. `output_tokens` of `tokens` are
    output."""

    money: int | None = None
    tokens: int = 0
    calls: int = 1
    output_tokens: int = 0
    model: str | None = None


class Action(msgspec.Struct, frozen=True, gc=False):
    """One thing that somebody wants done.

    `company`       id of the company; "" for acts above companies (founding one)
    `capability`    registry id, such as `task.claim`; fixes the effect and who may
    `target`        URI-like: `task:<id>`, `project:<id>`; the id as the caller gave it
    `credential`    id of the access token behind it; "" for acts of the daemon itself
    `acting`        the agent that a caller names in the request: id or name; None: nobody named
    `task`, `trace` what it belongs to, when the caller says so
    `arguments`     SHA-256 of the canonical request, or None where there is none
    `preflight`     id of the preflight that the caller names
    `routing_note`  the note as the caller gave it (governance contract, 4)
    `callee`        the agent that a dispatch is for: id or name, as the caller gave it
    `estimate`      what it may cost; None: nothing that a budget counts
    `what`          the arguments in plain words, for whoever has to approve them; never judged
    """

    company: str
    capability: str
    target: str
    effect: Effect = Effect.LOCAL_WRITE
    credential: str = ""
    acting: str | None = None
    proof: Proof = Proof.TOKEN
    task: str | None = None
    trace: str | None = None
    preflight: str | None = None
    routing_note: str | None = None
    arguments: bytes | None = None
    system: str | None = None
    estimate: Estimate | None = None
    callee: str | None = None
    what: str = ""


class Actor(msgspec.Struct, frozen=True, gc=False):
    """Who acts, as the kernel resolved it inside the transaction.

    `key` is the text that receipts and events carry: `agent:<id>`, `operator:<id>`,
    `runtime:<token id>`, `system:<worker>`.
    """

    kind: ActorKind
    id: str
    name: str = ""
    role: str | None = None
    proof: Proof = Proof.TOKEN
    credential: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.id}"


class Consequence(msgspec.Struct, frozen=True):
    """What a verdict brings about besides itself; applied by `flows/` in the same transaction."""

    kind: str
    subject: str
    data: Mapping[str, Any] = {}


class Refuse(msgspec.Struct, frozen=True):
    """No, with the rule, one sentence of reason and what to do instead.

    `once`: the rule is about something that can be used up (a note, an approval, money), so that a
    request repeated under its idempotency key is answered by its stored reply, not by this.
    `details`: plain values for the caller.
    """

    code: str
    rule: str
    reason: str
    remedy: str
    actor: Actor | None = None
    consequences: tuple[Consequence, ...] = ()
    once: bool = False
    details: Mapping[str, Any] = {}


class Divert(msgspec.Struct, frozen=True):
    """Not like this: the work belongs on another road."""

    route: str
    reason: str
    rule: str = "wild-task"
    actor: Actor | None = None
    consequences: tuple[Consequence, ...] = ()


class Allow(msgspec.Struct, frozen=True, gc=False):
    """Go on. `actor` is who does it.

    What the kernel has seen in this transaction, so that the unit need not look again: `agent` the
    acting agent's facts (`kernel.facts.AgentFacts`, None: no agent acts), `stops` False when no
    STOP is in force in the company. `observed`: what the company's level let pass. `preflight`: the
    one that covered it. `context`: what a dispatch carries (`kernel.routing.Context`).
    """

    actor: Actor
    agent: Any = None
    stops: bool = True
    consequences: tuple[Consequence, ...] = ()
    observed: Refuse | Divert | None = None
    preflight: str | None = None
    context: Any = None


Verdict = Allow | Refuse | Divert


class VerdictKind(IntEnum):
    """Stored in receipts."""

    ALLOW = 0
    REFUSE = 1
    DIVERT = 2


class Outcome(IntEnum):
    """What became of an allowed act. Stored in receipts of kind outcome."""

    DONE = 0
    FAILED = 1
    UNKNOWN = 2
