"""One action being judged: what it is, who acts, and the facts that the rules ask for.

An interceptor is `(case) -> Refuse | Divert | None`. It reads only. What an allowed action must
bring about with it (use up a note, reserve money) it leaves as a consequence: `case.then(...)`.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from homarus.base.action import (
    Action,
    Actor,
    ActorKind,
    Consequence,
    Divert,
    Effect,
    Refuse,
)
from homarus.kernel import settings
from homarus.kernel.capabilities import BUILTIN, Builtin
from homarus.kernel.facts import AgentFacts, Facts, TaskFacts
from homarus.kernel.routing import Context
from homarus.kernel.stop import Stop, active
from homarus.kernel.tokens import Token
from homarus.store.port import Rx

_CREDENTIAL: Final = (
    "select t.id, t.company, t.kind, t.role, t.scope, t.agent, t.name, t.created_ms, t.expires_ms, "
    "t.revoked_ms, exists(select 1 from stop s where s.company=? and s.lifted_ms is null) "
    "from token t where t.id=?"
)
_REGISTERED: Final = (
    "select effect, enabled, grants, kind, mirror, approval, targets, quarantined from capability "
    "where company=? and id=?"
)

NoteKey = Callable[[str], bytes]
"""The key that signs a company's routing notes, by company id."""


class Registered:
    """What the rules need of a registered capability."""

    __slots__ = (
        "approval",
        "effect",
        "enabled",
        "grants",
        "kind",
        "mirror",
        "quarantined",
        "targets",
    )

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.effect = Effect(row[0])
        self.enabled = bool(row[1])
        self.grants: frozenset[str] = frozenset(json.loads(row[2]))
        self.kind: str = row[3]
        self.mirror: str | None = row[4]
        self.approval = bool(row[5])
        self.targets: tuple[str, ...] = tuple(json.loads(row[6]))
        self.quarantined = bool(row[7])


class Case:
    """Facts load when first asked for, and once."""

    __slots__ = (
        "_callee",
        "_held",
        "_level",
        "_registered",
        "_stopped",
        "_task",
        "action",
        "actor",
        "agent",
        "builtin",
        "consequences",
        "context",
        "facts",
        "note_key",
        "preflight",
        "rx",
        "token",
    )

    def __init__(
        self, rx: Rx, action: Action, facts: Facts, note_key: NoteKey | None = None
    ) -> None:
        self.rx = rx
        self.action = action
        self.facts = facts
        self.note_key = note_key
        self.builtin: Builtin | None = BUILTIN.get(action.capability)
        self.token: Token | None = None
        self.agent: AgentFacts | None = None
        self.actor: Actor | None = None
        self.consequences: tuple[Consequence, ...] = ()
        self.preflight: str | None = None
        self.context: Context | None = None
        self._stopped: bool | None = None
        self._level: str | None = None
        self._task: TaskFacts | None = None
        self._held: TaskFacts | bool | None = False
        self._callee: AgentFacts | bool | None = False
        self._registered: Registered | bool | None = False

    def refuse(self, code: str, rule: str, reason: str, remedy: str, **more: Any) -> Refuse:
        """`more`: further fields of `Refuse` (`once`, `consequences`, `details`)."""
        return Refuse(code, rule, reason, remedy, actor=self.actor, **more)

    def then(self, kind: str, subject: str, **data: Any) -> None:
        """If the action is allowed, this happens in its transaction, before its function runs."""
        self.consequences += (Consequence(kind, subject, data),)

    def load_credential(self) -> None:
        row = self.rx.one(_CREDENTIAL, (self.action.company, self.action.credential))
        if row is not None:
            self.token = Token(*row[:10])
            self._stopped = bool(row[10])

    @property
    def effect(self) -> Effect:
        """Of the built-in capability, else of the registered one, else as the caller says."""
        if self.builtin is not None:
            return self.builtin.effect
        registered = self.registered
        return self.action.effect if registered is None else registered.effect

    @property
    def registered(self) -> Registered | None:
        """The company's own capability of that name; None for built-in and unknown ones."""
        if isinstance(self._registered, bool):
            row = None
            if self.builtin is None:
                row = self.rx.one(_REGISTERED, (self.action.company, self.action.capability))
            self._registered = None if row is None else Registered(row)
        return self._registered

    @property
    def by_agent(self) -> bool:
        return self.actor is not None and self.actor.kind is ActorKind.AGENT

    @property
    def stopped(self) -> bool:
        """Whether a STOP may be in force in the company."""
        return self._stopped is not False

    def stops(self) -> list[Stop]:
        return active(self.rx, self.action.company) if self.stopped else []

    @property
    def observes(self) -> bool:
        """Whether the company only observes what some rules refuse (governance contract, 1)."""
        if self._level is None:
            self._level = settings.level(self.rx, self.action.company)
        return self._level == settings.OBSERVE

    def setting(self, name: str) -> Any:
        """A governed setting of the company (`kernel/settings.py`)."""
        return settings.value(self.rx, self.action.company, name)

    def task(self) -> TaskFacts | None:
        """The task that the action names; None: it names none, or none that exists."""
        if self._task is None and self.action.task is not None:
            self._task = self.facts.task(self.rx, self.action.company, self.action.task)
        return self._task

    def held(self) -> TaskFacts | None:
        """The task that the acting agent works on now: the named one if it holds it, else the one
        it claimed last."""
        if isinstance(self._held, bool):
            agent = self.agent
            self._held = (
                None
                if agent is None
                else self.facts.held(self.rx, self.action.company, agent.id, self.action.task)
            )
        return self._held

    def callee(self) -> AgentFacts | None:
        """The agent that a dispatch is for; None: nobody is named, or nobody of that name."""
        if isinstance(self._callee, bool):
            ref = self.action.callee
            self._callee = (
                None if ref is None else self.facts.agent(self.rx, self.action.company, ref)
            )
        return self._callee


Judgement = Refuse | Divert | None
Interceptor = Callable[[Case], Judgement]
