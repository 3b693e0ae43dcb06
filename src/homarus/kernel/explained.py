"""Every rule in words: what it asks, what it refuses, what to do instead, how to try it.

`homarus explain RULE`, `GET /rules` and docs/reference/rules.md are made of this one table. Codes
that other words complete at run time are named with `*`.
"""

import difflib
from typing import Final

import msgspec

from homarus.base.errors import NotFound

MAX_RULE: Final = 60


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """`title` the plain word, `manual` the manual's; `refused`: (code, when); `instead` what to do;
    `try_it` commands that show it; `holds_always` also at level `observe`."""

    id: str
    title: str
    manual: str
    asks: str
    refused: tuple[tuple[str, str], ...]
    instead: str
    try_it: str
    holds_always: bool = True
    aliases: tuple[str, ...] = ()


_TABLE: Final = (
    Rule(
        "identity", "Who are you", "identity",
        "Every act has a known author. A token acts for itself; a company token only for agents "
        "that it created, registered or was granted, and never for holders of governed roles.",
        (
            ("identity.unknown", "no such access token"),
            ("identity.expired", "its time is over"),
            ("identity.revoked", "an owner took it back"),
            ("identity.company", "it belongs to another company"),
            ("identity.device", "a device's token, without a signature of the device"),
            ("identity.agent_missing", "only agents do this, and none is named"),
            ("identity.agent_gone", "the token's agent was removed"),
            ("identity.not_you", "an agent's token names another agent"),
            ("identity.not_granted", "a company token names an agent it does not hold"),
            ("identity.governed_role", "a company token names a holder of a governed role"),
            ("identity.role", "a viewer would act for somebody"),
            ("agent.unknown", "no agent of that name"),
        ),
        "Use a token that may speak for the agent: `homarus token create`, `homarus token grant`.",
        "homarus --token ec_nothing status",
    ),
    Rule(
        "stop", "STOP", "stop",
        "While a STOP is in force on a company, project, agent, task or trace, agents and workers "
        "bring nothing about there. Reads go on; operators are free.",
        (("stop.*", "a STOP of that scope covers the act"),),
        "Wait until an owner lifts it: `homarus stop lift ID`.",
        "homarus stop set company, then homarus task claim --agent NAME",
        aliases=("halt",),
    ),
    Rule(
        "suspended", "Read-only agent", "suspended",
        "A suspended agent reads, and nothing else, until an operator restores it. A repeated "
        "untrusted execution suspends by itself.",
        (("suspended.agent", "the acting agent is suspended"),),
        "An operator restores it: `homarus trust review AGENT`, or `homarus agent update AGENT "
        "--resume` where a person suspended it.",
        "homarus agent update AGENT --suspend, then homarus task claim --agent AGENT",
    ),
    Rule(
        "trust", "How far an agent is trusted", "Agent Trust Score",
        "A score of 0 to 100 from finished work, refusals, preflights and reviews. From 80 an "
        "agent gets fresh tasks first; below 50 another identity accepts its work; below 30 it "
        "claims nothing.",
        (
            ("trust.untrusted", "an agent below 30 claims a task"),
            ("trust.acceptance", "an agent below 50 would accept its own work"),
            ("trust.nothing", "a review of an agent that needs none"),
        ),
        "See what would raise it: `homarus trust AGENT`. An operator restores an untrusted agent: "
        "`homarus trust review AGENT`.",
        "homarus trust AGENT",
    ),
    Rule(
        "R1", "The local store is the truth", "SSOT authority",
        "Claims, state and progress go to this store. A claim names a task of this store, never a "
        "record of a mirror.",
        (("R1.external_id", "a claim names an id of another system"),),
        "Claim here: `homarus task claim`; the mirror follows.",
        "POST /tasks/lark:rec1/claim",
        holds_always=False,
    ),
    Rule(
        "R2", "Look here first", "local scan first",
        "Lists are read from this store. An agent does not list a mirror's contents.",
        (("R2.external_scan", "an agent calls a mirror's list"),),
        "Use the local list: `homarus task list`.",
        "homarus capability show ID: a capability with a mirror and effect read is refused to "
        "agents",
        holds_always=False,
    ),
    Rule(
        "R3", "Write here, others follow", "async dual write",
        "Only the outbox writes to mirrors, from a row that commits with the local change. Other "
        "acts outside need a claimed task, a grant and a preflight, and a worker carries them out.",
        (
            ("R3.direct_write", "somebody but the outbox writes to a mirror"),
            ("R3.not_whitelisted", "the mirror is not among the company's"),
            ("R3.unclaimed", "an act outside for which no claimed task asks"),
        ),
        "Write locally; the outbox delivers it.",
        "call a capability that writes outside without a claimed task",
        holds_always=False,
    ),
    Rule(
        "R4", "Rules are changed by agreement", "Line A write protection",
        "Governed documents change only by a change record that somebody else approved. A foreign "
        "edit on disk is kept as a change, and the approved text stays in force.",
        (
            ("R4.governed", "a write to a governed document outside an approved change"),
            ("R4.path", "a path that no rule can be sure of"),
        ),
        "Propose a change and have somebody else approve it: `homarus change new`.",
        "write a governed document with an agent's token",
    ),
    Rule(
        "R5", "Hand over with a note", "kernel injection",
        "Work goes from agent to agent with a signed routing note: who, which task, which trace, "
        "which permission. A note opens one dispatch and can narrow permissions, never widen them.",
        (
            ("R5.missing", "no note"),
            ("R5.malformed", "a key of it is unusable"),
            ("R5.forged", "its signature is wrong"),
            ("R5.expired", "its time is over"),
            ("R5.replayed", "it has opened its dispatch already"),
            ("R5.widened", "it passes on more than its author has"),
            ("R5.wrong_caller", "it is another agent's"),
            ("R5.wrong_task", "it is about another task"),
            ("R5.wrong_trace", "it is about another trace"),
            ("R5.depth", "too many spawns deep"),
            ("R5.breadth", "too many spawns from one task or trace"),
            ("R5.cycle", "the callee stands above its caller on the trace"),
        ),
        "Write the short form (caller, task_id, trace_id, perm); the kernel completes and signs "
        "it.",
        "send a note twice: the second time it is refused as replayed",
    ),
    Rule(
        "R6", "Ask before acting", "preflight (PTP)",
        "Running, sending, dispatching and governed writing need a live preflight of the same "
        "agent and task whose scope covers the act. A claim is the preflight of its own task.",
        (
            ("R6.none", "none is named, and the claim does not cover the act"),
            ("R6.unknown", "no such preflight"),
            ("R6.not_yours", "another agent's"),
            ("R6.wrong_task", "for another task"),
            ("R6.expired", "its time or its claim is over"),
            ("R6.outside", "its scope does not cover the act"),
        ),
        "Ask first (`homarus query --intent`, POST /preflights), and name the preflight with "
        "X-Homarus-Preflight.",
        "run a command capability with an agent that holds no task",
        holds_always=False, aliases=("preflight", "ptp"),
    ),
    Rule(
        "permission", "What you were granted", "capability permission",
        "Only what the table of built-in capabilities or the registry grants is allowed. Nothing "
        "is implicit.",
        (
            ("permission.capability", "not granted to this identity"),
            ("permission.scope", "the token's scope is too low"),
            ("permission.unknown_capability", "no such capability is registered"),
            ("permission.disabled", "the capability is switched off"),
            ("permission.quarantined", "the capability is new or changed and waits for its grant"),
            ("permission.target", "the capability does not reach that target"),
            ("permission.narrowed", "the task was handed over with perm=read"),
            ("permission.operator", "a field that only an operator changes"),
        ),
        "See what there is: `homarus capability list`. A grant is a change record.",
        "homarus --token AGENT_TOKEN token create",
    ),
    *(
        Rule(
            f"gate-{n}", title, f"gate {n}, {manual}", asks, refused, instead, try_it,
            holds_always=False,
        )
        for n, title, manual, asks, refused, instead, try_it in (
            (1, "Use what exists", "capability discovery (L0)",
             "If a capability exists for the work, the task is bound to it.",
             (("gate-1.wild_script", "something else is run for a bound task"),),
             "Use the capability that the task names.",
             "create a task whose words name a registered capability"),
            (2, "Plan what is new", "project card",
             "A new capability, feature or mechanism has a project card.", (),
             "Create the card; the task is mounted on it.",
             "create a task that declares a new feature"),
            (3, "Build in stages", "pipeline",
             "A new product, module or workflow starts the product pipeline at its first stage.",
             (), "Start the pipeline.", "create a task that declares a new product"),
            (4, "Rules have their own road", "governance (L3)",
             "Company mechanisms, agent rules, routing and onboarding go through governance, and "
             "an audit comes first.",
             (("gate-4.audit", "done before another identity audited it"),
              ("gate.declared", "who is no operator takes away what gates go by")),
             "Have it audited by an identity that neither does nor accepts it.",
             "create a task about agent rules"),
            (5, "The right profession", "role, gate A (L1)",
             "Another agent's profession is done by that agent.", (),
             "Hand it over with spawn or send.",
             "create a task that declares another role's work for an agent"),
            (6, "The agreed way", "flow, gate B (L2)",
             "Work that a pipeline covers starts there; a contract is confirmed before execution.",
             (("gate-6.brief", "execution before the reverse brief was confirmed"),),
             "Write the reverse brief, or start the pipeline at the right stage.",
             "claim an L2 task and run something before its brief is confirmed"),
            (7, "Write assets back", "asset backwrite (L3)",
             "Governance assets are in the main space before the task is done.",
             (("gate-7.not_written_back", "done, and the asset is not in the main space"),),
             "Propose the document as a change; then report done.",
             "finish a governance task whose document is in a private workspace"),
        )
    ),
    Rule(
        "approval", "Somebody must agree", "approval",
        "Acts that need an approval wait for one that is bound to exactly that act. Who asked does "
        "not decide; a changed payload needs a new one.",
        (
            ("approval.*", "the act waits for an approval, or its approval does not fit"),
            ("approval.requester", "who asked would decide"),
            ("approval.role", "the role does not suffice"),
            ("approval.own_token", "decided by another's token"),
            ("approval.not_yours", "withdrawn by somebody else"),
        ),
        "Wait; the task is parked and goes on by itself once an approver agreed.",
        "call a capability that needs an approval",
    ),
    Rule(
        "budget", "Money first", "budget",
        "What an act may cost is reserved before it happens, from every budget it falls under.",
        (
            ("budget.exhausted", "less is left than the act may cost"),
            ("budget.debt", "the budget is overdrawn"),
            ("budget.unknown_price", "the scope is limited and the price is not known"),
            ("budget.task", "the task named does not pay for this agent"),
            ("budget.amount", "the act names an amount that no budget can hold"),
        ),
        "An owner raises the budget or sets the price; else the next period brings more.",
        "homarus status",
    ),
    Rule(
        "quota", "Not too often", "quota",
        "An agent makes a bounded number of calls outside in an hour; trusted agents half as many "
        "again.",
        (("quota.exhausted", "this hour's calls are used up"),),
        "Try again in the next hour.",
        "homarus trust AGENT",
        holds_always=False,
    ),
    Rule(
        "A", "Look before you act", "Line A, infrastructure instinct",
        "Nothing is run, sent or governed without asking first, and commands run in the sandbox. "
        "The second untrusted execution within a day makes the agent read-only.",
        (("R6.*", "see R6: refused, the task blocked, counted against the agent"),),
        "Ask first: see `homarus explain R6`.",
        "homarus explain R6",
        aliases=("untrusted_execution", "infrastructure"),
    ),
    Rule(
        "B", "Tasks are the only work", "Line B, business instinct",
        "Work counts for a claimed task alone; done means that every item of its Definition of "
        "Done is met; a result is written back before the lease ends.",
        (
            ("divert.wild_task", "a report on a task that its author never claimed"),
            ("task.dod_unmet", "done while something is missing"),
            ("task.lease_lost", "a report after the lease ended"),
        ),
        "Claim the task, bring the evidence, report. A lease that runs out with no result is an "
        "incident `no_write_back`.",
        "homarus task result T-1 done --agent AGENT",
        aliases=("wild-task", "wild_task", "business", "no_write_back", "unmet_dod"),
    ),
    Rule(
        "C", "Ask for help", "Line C, governance instinct",
        "Work outside an agent's role is handed over; scripts that nobody registered are refused.",
        (
            ("permission.unknown_capability", "an unregistered script"),
            ("task.not_claimable", "a task of another role"),
        ),
        "Hand over with spawn or send; the preflight names the expert.",
        "ask for a preflight about another role's work: it names who is to do it",
        aliases=("help",),
    ),
    Rule(
        "L0", "Simple work", "RDP L0, execution",
        "In scope and simple: gate 1, do it, write it back.", (), "Claim it and report.",
        "homarus task show T-1",
    ),
    Rule(
        "L1", "Another's field", "RDP L1, recognition",
        "Gate 5: it goes to the right profession, and the caller waits for the result or hands "
        "over.",
        (), "Spawn or send.", "homarus task show T-1",
    ),
    Rule(
        "L2", "Agree before you build", "RDP L2, contract",
        "Complex work starts with a reverse brief (goal, scope, plan, risks, acceptance) that the "
        "requester confirms, amends or rejects.",
        (
            ("gate-6.brief", "execution before confirmation"),
            ("brief.*", "a brief that lacks a text, or is decided by its author or a stranger"),
        ),
        "Write the brief and wait for the confirmation.", "homarus task show T-1",
    ),
    Rule(
        "L3", "Three pairs of eyes", "RDP L3, collaboration",
        "High-risk work has three identities: audit, implementation, acceptance, in this order. No "
        "one holds two.",
        (
            ("gate-4.audit", "implementation without the audit"),
            ("route.two_parts", "one identity would hold two parts"),
            ("route.acceptance", "done by whoever implemented it"),
            ("route.asserted", "a token that speaks for many audits or accepts"),
            ("route.person", "a person has to accept, and an agent would"),
        ),
        "Ask somebody else to audit, and a third to accept.", "homarus task show T-1",
    ),
)  # fmt: skip

RULES: Final[dict[str, Rule]] = {rule.id: rule for rule in _TABLE}
_NAMES: Final = {name.lower(): rule.id for rule in _TABLE for name in (rule.id, *rule.aliases)}


def find(name: str) -> Rule:
    """By id, alias or one of its codes, in any case. Raises `rule.unknown` with the nearest."""
    key = name.strip().lower()[:MAX_RULE]
    found = _NAMES.get(key)
    if found is None:
        found = next((rule.id for rule in _TABLE if _refuses(rule, key)), None)
    if found is None:
        near = difflib.get_close_matches(key, _NAMES, n=3, cutoff=0.5)
        wanted = ", ".join(RULES[_NAMES[n]].id for n in near) or ", ".join(RULES)
        raise NotFound("rule.unknown", f"no rule {name[:MAX_RULE]!r}", f"Try {wanted}.")
    return RULES[found]


def _refuses(rule: Rule, code: str) -> bool:
    return any(
        code == known.lower() or (known.endswith("*") and code.startswith(known[:-1].lower()))
        for known, _ in rule.refused
    )
