"""What agents read about the company, made from its rows: pure functions, text out (contract, 5).

The main space writes them after commit. No time stands in them, so that a view changes only when
what it shows does. Text of agents is put on one line and cannot break out of a table.
"""

import json
from typing import Any, Final

from homarus.company import agents
from homarus.flows import roster
from homarus.kernel import settings
from homarus.kernel.capabilities import BUILTIN
from homarus.store.port import Rx

MAX_AGENTS: Final = roster.MAX_ROSTER
MAX_PROJECTS: Final = 500
MAX_GRANTED: Final = 500
CELL_CHARS: Final = 200

INSTINCTS: Final = (
    ("A", "Infrastructure", "Look for a registered capability before you act. Commands, writes "
     "outside and governed writes need a preflight that covers them; they run in a sandbox."),
    ("B", "Business", "Tasks are what you work on, and you hold them by a claim. Done means that "
     "every item of the Definition of Done is met and written back here."),
    ("C", "Governance", "What is not your profession goes to whose it is: spawn or send. Write no "
     "script of your own where no capability fits: ask."),
)  # fmt: skip
REDLINES: Final = (
    ("R1", "Source of truth", "State, claims and progress live in the company's store."),
    ("R2", "Local first", "Lists and searches are answered from the store, never from a mirror."),
    ("R3", "Outbox", "Nothing writes to a mirror but the outbox worker."),
    ("R4", "Governed documents", "Rules and manuals change by an approved change alone."),
    ("R5", "Hand-over", "Work given to another agent carries a routing note."),
    ("R6", "Preflight", "Effects need a live preflight of your own that covers them."),
)  # fmt: skip


def cell(value: Any) -> str:
    """One line that ends no table cell and opens no markup."""
    text = " ".join(str(value).split())[:CELL_CHARS]
    for mark in "\\|`<>[]*_":
        text = text.replace(mark, "\\" + mark)
    return "".join(char for char in text if char.isprintable()) or "-"


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    lines = [columns, tuple("---" for _ in columns), *(tuple(cell(v) for v in r) for r in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _word(member: roster.Member) -> str:
    if member.suspended:
        return "suspended"
    return "free" if member.free else "busy"


def roster_md(rx: Rx, company: str) -> str:
    """ACTIVE_ROSTER.md: who works here, what they can, whether they are free."""
    members = sorted(roster.load(rx, company), key=lambda m: m.name)
    rows = [
        (
            m.name, m.role or "-", ", ".join(sorted(m.skills)) or "-", _word(m),
            f"{m.active}/{m.limit}", m.trust, m.id,
        )
        for m in members
    ]  # fmt: skip
    columns = ("agent", "role", "skills", "is", "tasks", "trust", "id")
    return "\n".join(
        [
            "# Active roster",
            "",
            "Made from the company's store; changes here are overwritten.",
            "",
            *(_table(columns, rows) if rows else ["Nobody works here yet."]),
            "",
        ]
    )


def index_json(rx: Rx, company: str) -> str:
    """INDEX.json: the active projects, the newest first, with how many tasks are open."""
    rows = rx.all(
        "select p.id, p.no, p.goal, p.customer, p.lead_agent, (select count(*) from task t "
        "where t.project=p.id and t.state in ('inbox', 'queued', 'in_progress', 'review', "
        "'blocked')) from project p where p.company=? and p.status='active' "
        "and p.deleted_ms is null order by p.no desc limit ?",
        (company, MAX_PROJECTS),
    )
    projects = [
        {
            "id": id,
            "number": f"P-{no}",
            "goal": goal,
            "customerId": customer,
            "leadAgentId": lead,
            "openTasks": count,
        }
        for id, no, goal, customer, lead, count in rows
    ]
    return json.dumps({"projects": projects}, ensure_ascii=False, indent=2) + "\n"


def agents_md_generated(rx: Rx, company: str, agent: str | None = None) -> str:
    """The generated part of AGENTS.md: instincts, redlines, permissions.

    `agent` an id: what this agent may; None: what any agent may. Raises `agent.unknown`.
    """
    who = None if agent is None else agents.need(rx, company, agent)
    level = settings.level(rx, company)
    held = (
        "They are enforced."
        if level == settings.ENFORCE
        else "The company observes: R1, R2, R3, R6, gates and quotas are recorded, not refused."
    )
    lines = [
        f"## What holds for {'every agent' if who is None else cell(who.name)}",
        "",
        "### Instincts",
        "",
        *(f"- **{id} ({name}).** {text}" for id, name, text in INSTINCTS),
        "",
        "### Redlines",
        "",
        held,
        "",
        *(f"- **{id} ({name}).** {text}" for id, name, text in REDLINES),
        "",
        "### Permissions",
        "",
        "Built in: " + ", ".join(f"`{row.id}`" for row in BUILTIN.values() if row.agents) + ".",
        "",
    ]
    granted = _granted(rx, company, who)
    if not granted:
        return "\n".join([*lines, "No registered capability is granted.", ""])
    return "\n".join([*lines, *_table(("capability", "what it does"), granted), ""])


def _granted(rx: Rx, company: str, who: agents.Agent | None) -> list[tuple[Any, ...]]:
    mine = {"*"} if who is None else {"*", f"role:{who.role}", f"agent:{who.id}"}
    rows = rx.all(
        "select id, title, grants from capability where company=? and enabled=1 order by id",
        (company,),
    )
    found = [(id, title) for id, title, grants in rows if mine.intersection(json.loads(grants))]
    return [(id, title) for id, title in found[:MAX_GRANTED]]
