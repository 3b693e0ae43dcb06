"""The seven gates: pure functions over what a task says and what its company is (contract, 7).

`evaluate` runs them in order. A gate diverts or blocks on declared facts, or on a score above the
company's threshold; a weaker sign passes and is noted as uncertain. What a verdict brings about is
`flows/gating.py`'s business.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from homarus.kernel.classifier import NOTHING, Scores

RULES_VERSION: Final = 1
NAMES: Final = (
    "capability discovery",
    "project card",
    "pipeline",
    "governance",
    "role",
    "flow",
    "asset backwrite",
)
COO: Final = "coo"
PRODUCT_DEV: Final = "product-dev"

CAPABILITY_LABELS: Final = frozenset({"new-capability", "new-feature", "new-mechanism"})
PRODUCT_LABELS: Final = frozenset({"new-product", "new-module", "new-workflow"})
GOVERNANCE_LABELS: Final = frozenset({"governance", "agent-rules", "routing-rules"})
GOVERNANCE_TYPES: Final = frozenset(
    {"governance", "governance_change", "company_mechanism", "agent_rules", "routing_rules",
     "onboarding_process"}
)  # fmt: skip
RISK_LABELS: Final = frozenset(
    {"high-risk", "risk:money", "risk:architecture", "risk:governance", "risk:security"}
)
SOLO_LABELS: Final = frozenset({"solo", "no-dispatch"})
LEVEL_LABELS: Final = {"l0": 0, "l1": 1, "l2": 2, "l3": 3, "reverse-brief": 2}
PREFIXES: Final = ("domain:", "pipeline:")
LABELS: Final = frozenset().union(
    CAPABILITY_LABELS, PRODUCT_LABELS, GOVERNANCE_LABELS, RISK_LABELS, SOLO_LABELS, LEVEL_LABELS
)
"""Every label that a gate goes by, beside those that begin with one of PREFIXES."""

ASSET_KINDS: Final = frozenset({"governance", "policy", "rule", "sop", "wiki"})
"""Artifact kinds that are governance assets (gate 7)."""


class Outcome(StrEnum):
    """The letters are what a decision's row keeps."""

    PASS = "p"  # noqa: S105
    UNCERTAIN = "u"
    SKIPPED = "s"
    DIVERT = "d"
    BLOCK = "b"


class Stage(msgspec.Struct, frozen=True):
    """Where a task stands in a pipeline's run."""

    run: str
    pipeline: str
    stage: str
    gates: tuple[int, ...] = ()


class TaskAsked(msgspec.Struct, frozen=True):
    """What a task declares. `labels` in lower case. `role`: its owner role, else the role of the
    agent it is assigned to. `card`, `pipeline`: named by the task. `assets`: paths or kinds of
    governance documents that it says it produces. `person`: somebody human does it. `chosen`: an
    operator named who does it. `checks`: capabilities that its Definition of Done wants run."""

    type: str
    title: str
    labels: frozenset[str] = frozenset()
    role: str | None = None
    domain: str | None = None
    capability: str | None = None
    card: str | None = None
    pipeline: str | None = None
    target: str = ""
    level: int = 0
    assets: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    person: bool = False
    chosen: bool = False
    stage: Stage | None = None
    run_done: bool = False
    scores: Scores = NOTHING


class Covering(msgspec.Struct, frozen=True):
    """A mature pipeline that declares a task's type, or that the task names. `starts`: the type
    begins it; else the type is work inside it."""

    id: str
    first_stage: str
    starts: bool = False


class CompanySeen(msgspec.Struct, frozen=True):
    """What the gates need of the company. `experts`: role -> names of its holders (at work, not
    suspended). `registered`: the company has the capability that the task names. `found`: the
    registered capability that answers the task best, and how well."""

    threshold: float
    experts: Mapping[str, tuple[str, ...]] = {}
    registered: bool = True
    found: tuple[str, float] | None = None
    card: str | None = None
    product_dev: bool = False
    covering: Covering | None = None
    governed_target: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """One gate's answer. `to`: where a diversion goes (a role or a pipeline); `why` and `remedy`
    of a block or diversion are for people."""

    outcome: Outcome
    evidence: Mapping[str, Any] = {}
    to: str | None = None
    why: str = ""
    remedy: str = ""


class Evaluation(msgspec.Struct, frozen=True):
    """Seven verdicts, and the route level that follows from them and from what is declared."""

    verdicts: tuple[Verdict, ...]
    level: int

    @property
    def letters(self) -> str:
        return "".join(verdict.outcome.value for verdict in self.verdicts)

    @property
    def evidence(self) -> dict[str, Any]:
        return {
            str(n): dict(verdict.evidence)
            | ({"to": verdict.to} if verdict.to else {})
            | ({"why": verdict.why} if verdict.why else {})
            for n, verdict in enumerate(self.verdicts, 1)
            if verdict.evidence or verdict.to or verdict.why
        }

    @property
    def block(self) -> tuple[int, Verdict] | None:
        """The first gate that blocks."""
        return self._first(Outcome.BLOCK)

    @property
    def held(self) -> tuple[int, Verdict] | None:
        """The first gate that blocks or diverts."""
        return self._first(Outcome.BLOCK, Outcome.DIVERT)

    def gate(self, n: int) -> Verdict:
        return self.verdicts[n - 1]

    def _first(self, *outcomes: Outcome) -> tuple[int, Verdict] | None:
        for n, verdict in enumerate(self.verdicts, 1):
            if verdict.outcome in outcomes:
                return n, verdict
        return None


PASS: Final = Verdict(Outcome.PASS)
SKIPPED: Final = Verdict(Outcome.SKIPPED)
Gate = Callable[[TaskAsked, CompanySeen], Verdict]


def _uncertain(**evidence: Any) -> Verdict:
    return Verdict(Outcome.UNCERTAIN, evidence)


def _passed(**evidence: Any) -> Verdict:
    return Verdict(Outcome.PASS, evidence)


def gate_1_capability(task: TaskAsked, company: CompanySeen) -> Verdict:
    """Does a capability exist already? A hit binds the task to it."""
    if task.capability is not None and not company.registered:
        return _uncertain(capability=task.capability, missing="it is not registered")
    if task.capability is not None:
        more = {"checks": list(task.checks)} if task.checks else {}
        return _passed(capability=task.capability, by="declared", **more)
    if task.stage is not None or company.found is None:
        return PASS
    capability, score = company.found
    if score > company.threshold:
        more = {"checks": list(task.checks)} if task.checks else {}
        return _passed(capability=capability, by="search", score=score, **more)
    return _uncertain(capability=capability, score=score)


def bound(verdict: Verdict) -> str | None:
    """The capability that gate 1 binds the task to."""
    hit = verdict.outcome is Outcome.PASS and verdict.evidence.get("capability")
    return str(hit) if hit else None


def gate_2_project_card(task: TaskAsked, company: CompanySeen) -> Verdict:
    """New capability, feature or mechanism? It is mounted on a project card."""
    if task.card is not None:
        return _passed(card=task.card, by="declared")
    if task.stage is not None:
        return PASS
    labels = sorted(task.labels & (CAPABILITY_LABELS | PRODUCT_LABELS))
    score = task.scores.new_capability
    if not labels and score <= company.threshold:
        return _uncertain(score=score) if score else PASS
    sign: dict[str, Any] = {"labels": labels} if labels else {"score": score}
    return _passed(**sign, card=company.card, by="found" if company.card else "created")


def gate_3_pipeline(task: TaskAsked, company: CompanySeen) -> Verdict:
    """New product, module or workflow? It starts `product-dev` at its first stage."""
    if task.stage is not None or task.run_done:
        return _passed(run="done") if task.run_done else PASS
    covering = company.covering
    if covering is not None and covering.starts:
        return _start(covering.id, type=task.type)
    labels = sorted(task.labels & PRODUCT_LABELS)
    score = task.scores.new_product
    if not labels and score <= company.threshold:
        return _uncertain(score=score) if score else PASS
    sign: dict[str, Any] = {"labels": labels} if labels else {"score": score}
    if not company.product_dev:
        return _uncertain(**sign, missing="holders of the pipeline's roles")
    return _start(PRODUCT_DEV, **sign)


def _start(pipeline: str, **sign: Any) -> Verdict:
    return Verdict(
        Outcome.DIVERT,
        sign,
        to=pipeline,
        why=f"new products go through the pipeline {pipeline}",
        remedy="It was started at its first stage; this task comes back when the run is done.",
    )


def gate_4_governance(task: TaskAsked, company: CompanySeen) -> Verdict:
    """Company mechanism, agent rules, routing, onboarding? The coo's, on level L3."""
    if task.stage is not None:
        return PASS
    sign: dict[str, Any] = {}
    if task.labels & GOVERNANCE_LABELS:
        sign["labels"] = sorted(task.labels & GOVERNANCE_LABELS)
    if task.type in GOVERNANCE_TYPES:
        sign["type"] = task.type
    if company.governed_target:
        sign["target"] = task.target
    score = task.scores.governance
    if not sign and score <= company.threshold:
        return _uncertain(score=score) if score else PASS
    if not sign and COO not in company.experts:
        return _uncertain(score=score, missing="a holder of the role coo")
    sign = sign or {"score": score}
    if task.role == COO or COO not in company.experts:
        return _passed(**sign, level=3)
    return Verdict(
        Outcome.DIVERT,
        sign,
        to=COO,
        why="it changes how the company itself works",
        remedy="The coo implements it, after an audit by somebody else (level L3).",
    )


def gate_5_role(task: TaskAsked, company: CompanySeen) -> Verdict:
    """Another agent's profession? It goes to the expert; forced solo is a block (L1)."""
    if task.stage is not None or task.person or task.role is None:
        return PASS
    sign: dict[str, Any]
    if task.domain is not None:
        domain, sign = task.domain, {"declared": task.domain}
    else:
        best = task.scores.best_role
        if best is None:
            return PASS
        domain, sign = best[0], {"domain": best[0], "score": best[1]}
    if domain == task.role or domain not in company.experts or task.role == COO:
        return PASS
    own = dict(task.scores.roles).get(task.role, 0.0)
    if task.domain is None and (sign["score"] <= company.threshold or own >= sign["score"]):
        return _uncertain(**sign)
    if task.domain is None and task.chosen:
        return _uncertain(**sign, chosen="by an operator")
    expert = company.experts[domain][0]
    if task.labels & SOLO_LABELS:
        return Verdict(
            Outcome.BLOCK,
            sign,
            why=f"it is the profession of {domain}, and its label forbids handing it over",
            remedy=f"Hand it to {expert} (`homarus task assign TASK {expert}`), "
            "or take the label away.",
        )
    return Verdict(
        Outcome.DIVERT,
        sign | {"from": task.role},
        to=domain,
        why=f"it is the profession of {domain}",
        remedy=f"It now waits for {expert}.",
    )


def gate_6_flow(task: TaskAsked, company: CompanySeen) -> Verdict:
    """A mature pipeline covers it, and it was not started through it? That is an L2 block."""
    covering = company.covering
    if covering is None or covering.starts:
        return PASS
    if task.stage is not None:
        return _passed(pipeline=task.stage.pipeline, stage=task.stage.stage)
    return Verdict(
        Outcome.BLOCK,
        {"pipeline": covering.id},
        why=f"work of this kind runs through the pipeline {covering.id}, "
        f"beginning with its stage {covering.first_stage}",
        remedy=f"Start it: `homarus pipeline start {covering.id} --project PROJECT "
        f'--title "{task.title[:60]}"`. What comes before is completed first.',
    )


def gate_7_assets(task: TaskAsked, company: CompanySeen) -> Verdict:
    """Does it produce governance assets? They have to be in the main space before done."""
    if not task.assets:
        return PASS
    return _passed(assets=list(task.assets), due="before done")


GATES: Final[tuple[Gate, ...]] = (
    gate_1_capability,
    gate_2_project_card,
    gate_3_pipeline,
    gate_4_governance,
    gate_5_role,
    gate_6_flow,
    gate_7_assets,
)


def evaluate(task: TaskAsked, company: CompanySeen) -> Evaluation:
    """All seven, in order. A hit in gate 1 skips 2 and 3; 4 to 7 still apply. What the coo is to
    have is nobody else's profession: gate 5 is asked of the owner that gate 4 names."""
    first = gate_1_capability(task, company)
    hit = bound(first) is not None
    card = SKIPPED if hit else gate_2_project_card(task, company)
    pipeline = SKIPPED if hit else gate_3_pipeline(task, company)
    governance = gate_4_governance(task, company)
    owned = task
    if governance.outcome is Outcome.DIVERT:
        owned = msgspec.structs.replace(task, role=COO)
    verdicts: tuple[Verdict, ...] = (
        first,
        card,
        pipeline,
        governance,
        gate_5_role(owned, company),
        gate_6_flow(task, company),
        gate_7_assets(task, company),
    )
    if task.stage is not None:
        asked = dict.fromkeys(task.stage.gates, task.stage.stage)
        verdicts = tuple(
            _passed(stage=asked[n]) if n in asked and verdict == PASS else verdict
            for n, verdict in enumerate(verdicts, 1)
        )
    return Evaluation(verdicts, _level(task, verdicts))


def _level(task: TaskAsked, verdicts: tuple[Verdict, ...]) -> int:
    """The highest that a gate or a declaration asks for (RDP)."""
    declared = [LEVEL_LABELS[label] for label in task.labels if label in LEVEL_LABELS]
    levels = [task.level, *declared]
    if task.labels & RISK_LABELS:
        levels.append(3)
    if verdicts[3].outcome is Outcome.DIVERT or "level" in verdicts[3].evidence:
        levels.append(3)
    if verdicts[4].outcome in (Outcome.DIVERT, Outcome.BLOCK):
        levels.append(1)
    if verdicts[5].outcome is Outcome.BLOCK:
        levels.append(2)
    return max(levels)
