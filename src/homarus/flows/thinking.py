"""The four steps before an act: who, how, where, whether (governance contract, 5).

`think` reads; `preflight` also keeps what it found as a row that R6 honours.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.company import agents, cards
from homarus.flows import intents, mainline, roster
from homarus.kernel import classifier, preflights, search, settings
from homarus.kernel.facts import GOVERNED_ROLES
from homarus.kernel.preflights import Preflight, Scope
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks

MAX_INTENT: Final = 1_000
MAX_HITS: Final = 10
GOVERNOR: Final = "coo"
"""Whose work the company's own rules are (governance contract, 7: gate 4)."""

UNTRUSTED: Final = 30
"""Below this score an agent may read only (governance contract, 12)."""

HIT: Final = "hit"
NONE: Final = "none"
NOT_PERMITTED: Final = "not_permitted"
OTHER: Final = "other"
VERDICTS: Final = {
    HIT: "a registered capability fits, and this identity may use it",
    NONE: "no registered capability fits: ask for help, write no script of your own",
    NOT_PERMITTED: "a capability fits, but this identity is not granted it",
    OTHER: "it is another agent's work: hand it over",
}


class Asker(msgspec.Struct, frozen=True):
    """Whose boundaries are asked for. `id` None: no agent, an operator of this role."""

    id: str | None
    name: str
    role: str | None
    trust: int = 60

    @property
    def grants(self) -> frozenset[str]:
        """What a capability's grants must name one of (the kernel's rule of permission)."""
        return frozenset({"*", f"role:{self.role}", f"agent:{self.id}"})


class Found(msgspec.Struct, frozen=True):
    """A capability that fits; `targets`: where it may be called, as registered."""

    id: str
    title: str
    score: float
    matched: tuple[str, ...]
    granted: bool
    targets: tuple[str, ...] = ()


class Thought(msgspec.Struct, frozen=True):
    """What the four steps found. `scope` is what the asker may do then."""

    asker: Asker
    intent: str
    task: str | None
    verdict: str
    other: str | None
    evidence: dict[str, Any]
    scope: Scope
    perm: str
    route_level: int


def of_agent(rx: Rx, company: str, ref: str) -> Asker:
    """Raises `agent.unknown`."""
    agent = agents.need(rx, company, ref)
    row = rx.one("select trust from agent where id=?", (agent.id,))
    return Asker(agent.id, agent.name, agent.role, 0 if row is None else row[0])


def think(rx: Rx, company: str, who: Asker, intent: str, task: str | None) -> Thought:
    """The four steps. Raises `preflight.intent`, `task.unknown`."""
    intent = " ".join(intent.split())
    if not 0 < len(intent) <= MAX_INTENT:
        raise Invalid(
            "preflight.intent",
            f"the intent has {len(intent)} characters",
            f"Say in 1 to {MAX_INTENT} characters what you want to do.",
        )
    said = intents.words(intent)
    signs = _signs(rx, company, intent)
    subject = None if task is None else tasks.need(rx, company, task)
    spec = None if subject is None else tasks.spec_of(rx, subject.id)
    fits = roster.choose(roster.load(rx, company), who.id, said, signs.professions)
    found = _how(rx, company, who, intent, None if spec is None else spec.capability)
    place = mainline.place(rx, company, said, None if subject is None else subject.project)
    fitting = None if place.project is None else cards.fitting(rx, place.project, said)
    card = mainline.card(
        intent,
        said,
        agents=sum(1 for fit in fits.fits if fit.domain),
        is_new=signs.is_new,
        number=None if fitting is None else fitting.number,
    )
    other = fits.other if who.id is not None else None
    level = mainline.level_of(
        other=other is not None, large=card.needed, governance=signs.governance
    )
    usable = [hit for hit in found if hit.granted]
    return Thought(
        asker=who,
        intent=intent,
        task=None if subject is None else subject.id,
        verdict=_verdict(found, usable, other is not None),
        other=None if other is None else other.id,
        evidence={
            "who": fits.evidence(who.id),
            "how": {
                "capability": usable[0].id if usable else None,
                "hits": [msgspec.to_builtins(hit) for hit in found],
            },
            "where": place.evidence(),
            "card": card.evidence(),
        },
        scope=_scope(usable, None if subject is None else subject.id),
        perm=_perm(who),
        route_level=level if spec is None else max(level, spec.level),
    )


class _Signs(msgspec.Struct, frozen=True):
    """What the gates' classifier says above the company's threshold: a guess routes nothing."""

    professions: dict[str, float]
    governance: bool
    is_new: bool


def _signs(rx: Rx, company: str, intent: str) -> _Signs:
    least = float(settings.value(rx, company, "gates.threshold"))
    scores = classifier.classify(intent)
    known = dict((*scores.roles, (GOVERNOR, scores.governance)))
    return _Signs(
        professions={role: score for role, score in known.items() if score > least},
        governance=scores.governance > least,
        is_new=max(scores.new_capability, scores.new_product) > least,
    )


def _how(rx: Rx, company: str, who: Asker, intent: str, bound: str | None) -> list[Found]:
    """Ranked capabilities; what the task is bound to comes first."""
    hits = search.search(rx, company, intent, limit=MAX_HITS)
    scores = {hit.id: hit for hit in hits}
    ids = [*([bound] if bound and bound not in scores else []), *scores]
    if not ids:
        return []
    rows = rx.all(
        "select id, title, grants, targets, quarantined from capability "  # noqa: S608
        "where company=? and enabled=1 "
        f"and id in ({','.join('?' * len(ids))})",
        (company, *ids),
    )
    found = []
    for id, title, grants, targets, quarantined in rows:
        hit = scores.get(id)
        granted = not quarantined and not who.grants.isdisjoint(json.loads(grants))
        score, matched = (0.0, ("task",)) if hit is None else (hit.score, hit.matched)
        reach = tuple(json.loads(targets))
        found.append(Found(id, title, round(score, 3), tuple(matched), granted, reach))
    return sorted(found, key=lambda hit: (hit.id != bound, -hit.score, hit.id))


def _verdict(found: list[Found], usable: list[Found], is_others: bool) -> str:
    if usable:
        return HIT
    if is_others:
        return OTHER
    return NOT_PERMITTED if found else NONE


def _scope(usable: list[Found], task: str | None) -> Scope:
    """Capabilities found and granted, on what the task is about; and asking for help."""
    places = ("agent:self",) if task is None else (f"task:{task}", f"task:{task}/**")
    pairs = [(hit.id, place) for hit in usable for place in (*places, *hit.targets)]
    return (*pairs[: preflights.MAX_SCOPE], *preflights.DISPATCHES)


def _perm(who: Asker) -> str:
    if who.role in GOVERNED_ROLES:
        return preflights.GOVERN
    return preflights.READ if who.trust < UNTRUSTED else preflights.READ_WRITE


def preflight(tx: Tx, agent: str, intent: str, task: str | None = None) -> Preflight:
    """Think, and keep it: a preflight of this agent, live for the company's `preflight.s`.

    `task` by id or number. Raises `agent.unknown`, `preflight.intent`, `task.unknown`.
    """
    return keep(tx, agent, think(tx, tx.company, of_agent(tx, tx.company, agent), intent, task))


def keep(tx: Tx, agent: str, thought: Thought) -> Preflight:
    """Make a thought this agent's preflight."""
    row = Preflight(
        id=tx.new_id(),
        company=tx.company,
        agent=agent,
        task=thought.task,
        kind=preflights.QUERY,
        intent=thought.intent,
        verdict=thought.verdict,
        evidence=thought.evidence,
        scope=thought.scope,
        perm=thought.perm,
        route_level=thought.route_level,
        capability=None,
        token=None,
        created_ms=tx.now_ms,
        expires_ms=tx.now_ms + int(settings.value(tx, tx.company, "preflight.s") * 1000),
    )
    preflights.put(tx, row)
    if row.task is not None:
        tx.about(task=row.task)
    tx.emit("preflight_made", row.id, {"agent": agent, "verdict": row.verdict})
    return row
