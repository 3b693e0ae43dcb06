"""Gates at a task's entry: gather facts, evaluate, apply what is safe to apply (contract, 7).

`enter` runs inside the create's own transaction. The ordinary task costs one look (is anything
registered?) and one row; roster, settings, cards and search are read when a sign asks for them.
A company of level `observe` gets the row and nothing else.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.company import agents, cards
from homarus.flows.facts import SqlFacts
from homarus.kernel import gates, rdp, settings
from homarus.kernel.classifier import NOTHING, classify, content_words, coverage, words
from homarus.kernel.gates import CompanySeen, Covering, Evaluation, Outcome, TaskAsked
from homarus.kernel.search import search
from homarus.pipelines import service as pipelines
from homarus.pipelines.model import Pipeline
from homarus.store.port import Rx, Tx
from homarus.tasks.model import Spec, State, Task
from homarus.tasks.rules import done_items

MAX_LABELS: Final = 50
MAX_ASSETS: Final = 50
MAX_ROSTER: Final = 1_000
MAX_HITS: Final = 5
RECHECK_MS: Final = 10_000
"""How soon a held task is looked at again."""

DECLARED: Final = ("routeLevel", "domain", "produces", "pipeline", "target")
"""Fields of a task's input that gates go by, beside its labels."""

AWAITS_AUDIT: Final = "gate-4: waits for an audit (level L3)"

_HAS: Final = (
    "select exists(select 1 from capability where company=? and enabled=1), "
    "exists(select 1 from pipeline where company=?), "
    "exists(select 1 from capability where company=? and id=? and enabled=1)"
)
_SHIPPED_TYPES: Final = frozenset(
    word
    for row in (pipelines.find_shipped(name) for name in pipelines.SHIPPED)
    for word in (*row.definition.starts, *row.definition.covers)
)


class Entered(msgspec.Struct, frozen=True):
    """A task as the gates let it in. `start`: the pipeline that gate 3 sends it to."""

    task: Task
    spec: Spec
    found: Evaluation
    start: str | None = None
    waits: bool = False

    @property
    def told(self) -> bool:
        """Whether there is something to tell in the task's time line."""
        return self.found.held is not None or self.found.level > 0


def enter(tx: Tx, task: Task, spec: Spec, stage: gates.Stage | None = None) -> Entered:
    """A task that is about to be inserted, `queued`, as the gates want it. Leaves its first
    decision; the caller inserts the task and, where `start` is set, starts that pipeline."""
    entered = decide(tx, task, spec, 1, stage=stage)
    if entered.waits:
        wait(tx, task.id)
    return entered


def told(tx: Tx, entered: Entered, emit: Callable[..., None]) -> None:
    """The event of an evaluation that somebody will want to know of."""
    if not entered.told:
        return
    held = entered.found.held
    more: dict[str, Any] = {"verdicts": entered.found.letters, "level": entered.found.level}
    if held is not None:
        n, verdict = held
        said = f"Gate {n} ({gates.NAMES[n - 1]}): {verdict.why}. {verdict.remedy}"
        more |= {"gate": n, "why": verdict.why, "remedy": verdict.remedy, "c": said}
    emit(tx, "task_gated", entered.task, **more)


def decide(
    tx: Tx,
    task: Task,
    spec: Spec,
    n: int,
    *,
    stage: gates.Stage | None = None,
    chosen: bool = False,
    run_done: bool = False,
    floor: int = 0,
    keep: Callable[[Evaluation], bool] | None = None,
) -> Entered:
    """Evaluate, record as the n-th decision, apply. `floor`: the least level. `keep` False for an
    evaluation: it says nothing new, and leaves no row."""
    facts = _Gathering(tx, task, spec)
    asked = facts.asked(stage, chosen, run_done)
    found = gates.evaluate(asked, facts.company(asked))
    if found.level < floor:
        found = msgspec.structs.replace(found, level=floor)
    matters = found.held is not None or found.level > 0 or _binds(found) or _mounts(found)
    observed = matters and settings.level(tx, tx.company) == settings.OBSERVE
    if keep is None or keep(found):
        name = None if stage is None else stage.stage
        rdp.record(tx, task.id, n, found, stage=name, observed=observed)
    spec = msgspec.structs.replace(spec, level=found.level, assets=bool(asked.assets))
    if not matters or observed:
        return Entered(task, spec, found)
    return _applied(tx, task, spec, found, facts)


def _binds(found: Evaluation) -> bool:
    return found.gate(1).evidence.get("by") == "search"


def _mounts(found: Evaluation) -> bool:
    return found.gate(2).evidence.get("by") in ("found", "created")


def _applied(tx: Tx, task: Task, spec: Spec, found: Evaluation, facts: "_Gathering") -> Entered:
    if _binds(found):
        spec = msgspec.structs.replace(spec, capability=gates.bound(found.gate(1)))
    if _mounts(found):
        spec = _mounted(tx, task, spec, found)
    block = found.block
    if block is not None:
        reason = f"gate-{block[0]}: {block[1].why}. {block[1].remedy}"
        reason = reason.replace("TASK", task.number)
        return Entered(_held(task, State.BLOCKED, reason), spec, found, waits=True)
    for n in (4, 5):
        verdict = found.gate(n)
        if verdict.outcome is Outcome.DIVERT and verdict.to is not None:
            task, spec = facts.given_to(task, spec, verdict.to)
            break
    start = found.gate(3)
    if start.outcome is Outcome.DIVERT:
        task = _held(task, State.INBOX, f"gate-3: {start.why}")
        return Entered(task, spec, found, start=start.to, waits=True)
    if found.level == 3 and rdp.audited(rdp.parts(tx, task.id)) is None:
        task = _held(task, State.INBOX, AWAITS_AUDIT)
    return Entered(task, spec, found)


def _held(task: Task, state: State, reason: str) -> Task:
    return msgspec.structs.replace(task, state=state, reason=reason)


def _mounted(tx: Tx, task: Task, spec: Spec, found: Evaluation) -> Spec:
    """The task on its card, which is made where there is none (gate 2)."""
    number = found.gate(2).evidence.get("card")
    if number is None:
        title = title_of(spec)[: cards.MAX_TITLE]
        governed = found.level == 3
        new = cards.NewCard(
            project=task.project,
            title=title,
            words=content_words(title),
            goal=str(spec.input.get("goal") or "")[: cards.MAX_GOAL],
            class_="governance" if governed else "normal",
        )
        number = cards.create(tx, new).number
    return msgspec.structs.replace(spec, input=spec.input | {"card": number})


# -- waiting -------------------------------------------------------------------------------


def wait(tx: Tx, task: str) -> None:
    """Look at it again after RECHECK_MS."""
    tx.run(
        "insert into gate_waiting(task, company, check_ms) values(?,?,?) "
        "on conflict(task) do update set check_ms=excluded.check_ms",
        (task, tx.company, tx.now_ms + RECHECK_MS),
    )


def no_longer(tx: Tx, task: str) -> None:
    tx.run("delete from gate_waiting where task=?", (task,))


def look_again(tx: Tx) -> None:
    """Facts of the company changed: every held task is due now."""
    tx.run("update gate_waiting set check_ms=0 where company=? and check_ms>0", (tx.company,))


def by_gate(task: Task) -> bool:
    """Whether a gate holds the task."""
    return task.state in (State.INBOX, State.BLOCKED) and (task.reason or "").startswith("gate-")


# -- facts ---------------------------------------------------------------------------------


def title_of(spec: Spec) -> str:
    for field in ("title", "goal"):
        value = spec.input.get(field)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return spec.type


def gate_labels(given: dict[str, Any]) -> frozenset[str]:
    """The labels of a task's input that a gate knows."""
    labels = (label.lower() for label in _texts(given.get("labels"), MAX_LABELS))
    return frozenset(x for x in labels if x in gates.LABELS or x.startswith(gates.PREFIXES))


def _texts(value: Any, most: int) -> tuple[str, ...]:
    """The texts of a list that a client sent, or the one text."""
    items = value if isinstance(value, list) else [value]
    return tuple(i.strip() for i in items[:most] if isinstance(i, str) and i.strip())


def _level(value: Any) -> int:
    text = str(value).upper().removeprefix("L") if isinstance(value, str | int) else ""
    return int(text) if text in ("0", "1", "2", "3") and not isinstance(value, bool) else 0


def _word(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


class _Gathering:
    """The facts of one evaluation; each is read when it is first asked for."""

    def __init__(self, rx: Rx, task: Task, spec: Spec) -> None:
        self.rx = rx
        self.task = task
        self.spec = spec
        self._roster: dict[str, list[tuple[str, str]]] | None = None

    def asked(self, stage: gates.Stage | None, chosen: bool, run_done: bool) -> TaskAsked:
        given = self.spec.input
        labels = frozenset(label.lower() for label in _texts(given.get("labels"), MAX_LABELS))
        domain = _word(given.get("domain")) or _labelled(labels, "domain:")
        description = given.get("description")
        scores = NOTHING
        if stage is None:
            scores = classify(
                title_of(self.spec), description if isinstance(description, str) else ""
            )
        signs = domain is not None or bool(scores.roles) or scores.governance > 0
        checks: tuple[str, ...] = ()
        if "definitionOfDone" in given:
            items = done_items(given["definitionOfDone"])
            checks = tuple(value for kind, value in items if kind == "check")
        return TaskAsked(
            type=self.spec.type,
            title=title_of(self.spec),
            labels=labels,
            role=self._role() if signs else self.spec.role,
            domain=domain,
            capability=self.spec.capability,
            card=self._card(given.get("card")),
            pipeline=_word(given.get("pipeline")) or _labelled(labels, "pipeline:"),
            target=_word(given.get("target")) or "",
            level=_level(given.get("routeLevel")),
            assets=_texts(given.get("produces"), MAX_ASSETS) if "produces" in given else (),
            checks=checks,
            person=self.task.member is not None,
            chosen=chosen,
            stage=stage,
            run_done=run_done,
            scores=scores,
        )

    def company(self, asked: TaskAsked) -> CompanySeen:
        company = self.task.company
        row = self.rx.one(_HAS, (company, company, company, asked.capability or ""))
        has_capabilities, has_pipelines, registered = map(bool, row or (0, 0, 0))
        found = None
        if has_capabilities and asked.capability is None and asked.stage is None:
            found = best_capability(self.rx, self.task.company, asked.title)
        scores = asked.scores
        new_product = bool(scores.new_product or asked.labels & gates.PRODUCT_LABELS)
        new_capability = scores.new_capability > 0 or bool(
            asked.labels & (gates.CAPABILITY_LABELS | gates.PRODUCT_LABELS)
        )
        governed = bool(
            scores.governance
            or asked.target
            or asked.labels & gates.GOVERNANCE_LABELS
            or asked.type in gates.GOVERNANCE_TYPES
        )
        covering = self._covering(asked, has_pipelines)
        roles = asked.domain is not None or bool(scores.roles)
        signs = found is not None or new_product or new_capability or governed or roles
        experts = self.roster() if governed or roles else {}
        return CompanySeen(
            threshold=settings.value(self.rx, self.task.company, "gates.threshold")
            if signs
            else 0.0,
            experts={role: tuple(n for n, _ in rows) for role, rows in experts.items()},
            registered=registered,
            found=found,
            card=self._fitting(asked) if new_capability and asked.card is None else None,
            product_dev=new_product and self._can_run(gates.PRODUCT_DEV),
            covering=covering,
            governed_target=bool(asked.target) and self._governed(asked.target),
        )

    def roster(self) -> dict[str, list[tuple[str, str]]]:
        """Role -> (name, id) of the agents that hold it and are at work."""
        if self._roster is None:
            self._roster = {}
            for role, name, agent in self.rx.all(
                "select role, name, id from agent where company=? and deleted_ms is null "
                "and suspended=0 and role is not null order by no limit ?",
                (self.task.company, MAX_ROSTER),
            ):
                self._roster.setdefault(role, []).append((name, agent))
        return self._roster

    def given_to(self, task: Task, spec: Spec, role: str) -> tuple[Task, Spec]:
        """The task for a role; for its one holder where somebody was named before."""
        holders = self.roster().get(role, [])
        agent = task.agent
        if agent is not None and agent not in [found for _, found in holders]:
            agent = holders[0][1] if len(holders) == 1 else None
        return (
            msgspec.structs.replace(task, agent=agent),
            msgspec.structs.replace(spec, role=role, input=spec.input | {"ownerRole": role}),
        )

    def _role(self) -> str | None:
        if self.task.agent is None:
            return self.spec.role
        agent = agents.by_id(self.rx, self.task.company, self.task.agent)
        return self.spec.role if agent is None or agent.role is None else agent.role

    def _card(self, ref: Any) -> str | None:
        """What is named and no card of ours counts as not named."""
        text = _word(ref)
        card = None if text is None else cards.find(self.rx, self.task.company, text)
        return None if card is None else card.number

    def _fitting(self, asked: TaskAsked) -> str | None:
        card = cards.fitting(self.rx, self.task.project, content_words(asked.title))
        return None if card is None else card.number

    def _governed(self, target: str) -> bool:
        path = target.removeprefix("doc:")
        return SqlFacts().document(self.rx, self.task.company, path) == "governed"

    def _can_run(self, pipeline: str) -> bool:
        row = pipelines.find(self.rx, self.task.company, pipeline)
        return row is not None and self._mature(row)

    def _mature(self, row: Pipeline) -> bool:
        """Somebody holds each of its roles: else it would hold work up for ever."""
        return row.definition.roles <= self.roster().keys()

    def _covering(self, asked: TaskAsked, own: bool) -> Covering | None:
        if not own and asked.pipeline is None and asked.type not in _SHIPPED_TYPES:
            return None
        for row in pipelines.mature(self.rx, self.task.company, own=own):
            plan = row.definition
            starts = asked.type in plan.starts
            named = row.id == asked.pipeline or asked.type in plan.covers
            if (starts or named) and self._mature(row):
                return Covering(row.id, plan.stages[0].id, starts=starts and not named)
        return None


def _labelled(labels: frozenset[str], prefix: str) -> str | None:
    return next((x.removeprefix(prefix) for x in sorted(labels) if x.startswith(prefix)), None)


def best_capability(rx: Rx, company: str, intent: str) -> tuple[str, float] | None:
    """Of the registry's best hits the one whose id, title and keywords have most of an intent's
    words. Their BM25 scores say which to look at; how much of the intent it is says whether to
    bind (descriptions count for the first, not for the second)."""
    best: tuple[str, float] | None = None
    for hit in search(rx, company, intent, limit=MAX_HITS):
        row = rx.one(
            "select title, keywords from capability where company=? and id=?", (company, hit.id)
        )
        if row is None:
            continue
        score = coverage(intent, words(f"{hit.id} {row[0]} {row[1]}"))
        if score and (best is None or score > best[1]):
            best = (hit.id, round(score, 3))
    return best


def next_n(rx: Rx, task: str) -> int:
    """The number of a task's next decision."""
    row = rx.one("select coalesce(max(n), 0) from gate_decision where task=?", (task,))
    return 1 if row is None else int(row[0]) + 1
