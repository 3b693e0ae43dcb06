"""Step 1 of a preflight: who fits an intent best (governance contract, 5)."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homarus.company import agents
from homarus.flows import intents
from homarus.store.port import Rx

MAX_ROSTER: Final = 200
"""Agents that are looked at, the most trusted first."""

ROLE: Final = 3.0
SKILL_WORD: Final = 1.5
DECISIVE: Final = 2.0
"""How much better another must fit before the work is theirs: a guess routes nothing."""

_ROSTER: Final = (
    "select id, name, role, skills, trust, suspended, active, concurrency_limit, status "
    "from agent where company=? and deleted_ms is null order by trust desc, no limit ?"
)


class Member(msgspec.Struct, frozen=True):
    """An agent as the roster shows it. `active` of `limit` tasks in hand."""

    id: str
    name: str
    role: str | None
    skills: frozenset[str]
    trust: int
    suspended: bool
    active: int
    limit: int
    status: str

    @property
    def free(self) -> bool:
        return not self.suspended and self.active < self.limit


class Fit(msgspec.Struct, frozen=True):
    """`domain`: how far role and skills are the intent's; `score`: with availability, load and
    trust; `matched`: what was found."""

    member: Member
    domain: float
    score: float
    matched: tuple[str, ...]


class Who(msgspec.Struct, frozen=True):
    """`other` None: the asking agent itself, or nobody in particular. `fits`: the best first."""

    other: Member | None
    fits: tuple[Fit, ...]

    def evidence(self, agent: str | None) -> dict[str, Any]:
        shown = [fit for i, fit in enumerate(self.fits) if i < 3 or fit.member.id == agent]
        return {
            "agent": "self" if self.other is None else self.other.id,
            "name": None if self.other is None else self.other.name,
            "candidates": [
                {
                    "agent": fit.member.id,
                    "name": fit.member.name,
                    "role": fit.member.role,
                    "score": fit.score,
                    "domain": fit.domain,
                    "matched": list(fit.matched),
                    "free": fit.member.free,
                    "load": fit.member.active,
                    "trust": fit.member.trust,
                }
                for fit in shown
            ],
        }


def load(rx: Rx, company: str) -> list[Member]:
    return [
        Member(
            id=row[0],
            name=row[1],
            role=row[2],
            skills=agents.skills_of(row[3]),
            trust=row[4],
            suspended=bool(row[5]),
            active=row[6],
            limit=row[7],
            status=row[8],
        )
        for row in rx.all(_ROSTER, (company, MAX_ROSTER))
    ]


def fit(member: Member, said: frozenset[str], professions: dict[str, float]) -> Fit:
    """`professions`: role -> how far the intent is its work, where that is known."""
    domain, matched = 0.0, []
    role = intents.words(member.role or "")
    if role and role <= said:
        domain += ROLE
        matched.append(f"role {member.role}")
    known = professions.get((member.role or "").lower(), 0.0)
    if known:
        domain += known
        matched.append(f"profession {member.role}")
    for skill in sorted(member.skills):
        of_skill = intents.words(skill)
        if of_skill and of_skill <= said:
            domain += SKILL_WORD * len(of_skill)
            matched.append(f"skill {skill}")
    load_free = 1 - member.active / member.limit if member.limit else 0.0
    score = 10 * domain + 2 * member.free + load_free + member.trust / 100
    return Fit(member, round(domain, 3), round(score, 3), tuple(matched))


def choose(
    roster: Iterable[Member],
    agent: str | None,
    said: frozenset[str],
    professions: dict[str, float],
) -> Who:
    """Pure. Another agent only when its profession fits decisively better than the asker's."""
    fits = sorted(
        (fit(member, said, professions) for member in roster),
        key=lambda f: (-f.score, f.member.name),
    )
    own = next((f.domain for f in fits if f.member.id == agent), 0.0)
    best = next((f for f in fits if f.member.id != agent and not f.member.suspended), None)
    is_other = best is not None and best.domain - own >= DECISIVE
    return Who(best.member if best is not None and is_other else None, tuple(fits))
