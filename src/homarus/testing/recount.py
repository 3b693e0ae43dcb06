"""Everything that the task tables store twice, counted again from the task rows.

Counters, lane flags and leases are kept by many small updates; a state that no sequence of moves
may leave behind is one sentence here (store notes, "shape of a claim").
"""

import json
from collections import Counter
from collections.abc import Iterator

from homarus.kernel import audit, reservations
from homarus.kernel.budgets import Amounts
from homarus.kernel.verify import Verifier
from homarus.records import quota
from homarus.store.port import Rx


def recount(rx: Rx, company: str) -> list[str]:
    """What is wrong, one sentence each; an empty list when stored and counted agree."""
    return [
        *_blocked(rx, company),
        *_leases(rx, company),
        *_agents(rx, company),
        *_projects(rx, company),
        *_lanes(rx, company),
        *_money(rx, company),
        *_files(rx, company),
        *_folders(rx, company),
        *_feeds(rx, company),
    ]


def _blocked(rx: Rx, company: str) -> Iterator[str]:
    rows = rx.all(
        "select t.seq, t.blocked, count(b.id) from task t "
        "left join task_dependency d on d.task=t.id "
        "left join task b on b.id=d.blocker and b.state not in ('done', 'archived') "
        "where t.company=? group by t.id, t.seq, t.blocked",
        (company,),
    )
    for seq, stored, counted in rows:
        if stored != counted:
            yield f"T-{seq}: blocked={stored}, but {counted} blockers are unfinished"


def _leases(rx: Rx, company: str) -> Iterator[str]:
    rows = rx.all(
        "select seq, state, agent, reviewer, token, lease_until_ms, lease_proof from task "
        "where company=?",
        (company,),
    )
    for seq, state, agent, reviewer, token, until, proof in rows:
        leased = until is not None
        if leased != (proof is not None):
            yield f"T-{seq}: half a lease (until={until}, proof={proof})"
        if state == "in_progress" and not (leased and agent and token):
            yield f"T-{seq}: in progress without lease, agent or fence"
        if state != "in_progress" and leased and not (state == "review" and reviewer):
            yield f"T-{seq}: a lease in state {state}"
        if reviewer and not (state == "review" and leased):
            yield f"T-{seq}: a reviewer without a review lease"


def _agents(rx: Rx, company: str) -> Iterator[str]:
    rows = rx.all(
        "select a.name, a.active, count(t.id) from agent a "
        "left join task t on t.agent=a.id and t.state='in_progress' "
        "where a.company=? group by a.id, a.name, a.active",
        (company,),
    )
    for name, stored, counted in rows:
        if stored != counted:
            yield f"{name}: active={stored}, but {counted} tasks are in its hands"


def _at_work(rx: Rx, project: str) -> Counter[str]:
    rows = rx.all("select agent from task where project=? and state='in_progress'", (project,))
    return Counter(row[0] for row in rows)


def _projects(rx: Rx, company: str) -> Iterator[str]:
    for project, cap in rx.all(
        "select id, max_active_agents from project where company=?", (company,)
    ):
        laned = rx.one("select 1 from lane where project=? limit 1", (project,))
        counted = dict(_at_work(rx, project)) if cap is not None and laned else {}
        rows = rx.all("select agent, n from project_active where project=?", (project,))
        if dict(rows) != counted:
            yield f"project {project}: active={dict(rows)}, but at work are {counted}"


def _folders(rx: Rx, company: str) -> Iterator[str]:
    stored = rx.all(
        "select path, scope, n from resource_folder where company=? order by path, scope",
        (company,),
    )
    counted = rx.all(
        "select path, coalesce(scope, ''), count(*) from resource where company=? "
        "and deleted_ms is null and path<>'' group by path, coalesce(scope, '') order by 1, 2",
        (company,),
    )
    if [tuple(row) for row in stored] != [tuple(row) for row in counted]:
        yield f"folders of resources: {stored}, but there are {counted}"


def _lanes(rx: Rx, company: str) -> Iterator[str]:
    lanes = {
        row[0]: row[1:]
        for row in rx.all(
            "select id, project, agent, role, skills, cap, is_open, is_full, live from lane "
            "where company=?",
            (company,),
        )
    }
    for lane, (project, _, _, _, cap, is_open, is_full, _) in lanes.items():
        yield from _lane_flags(rx, company, lane, project, (cap, is_open, is_full))
    rows = rx.all(
        "select t.seq, t.lane, t.project, t.agent, t.member, t.blocked, s.role, s.skills "
        "from task t join task_spec s on s.task=t.id where t.company=? and t.state='queued'",
        (company,),
    )
    for seq, lane, project, agent, member, blocked, role, skills in rows:
        if member is not None:
            if lane is not None:
                yield f"T-{seq}: a person's task stands in lane {lane}"
            continue
        if lane not in lanes:
            yield f"T-{seq}: queued in no lane"
            continue
        audience = (agent, None, "") if agent else (None, role, _joined(skills))
        if lanes[lane][:4] != (project, *audience):
            yield f"T-{seq}: for {audience} stands in the lane of {lanes[lane][:4]}"
        if not blocked and not lanes[lane][7]:
            yield f"T-{seq}: claimable in lane {lane}, which is not live"


def _joined(skills: str | None) -> str:
    return "\n".join(json.loads(skills)) if skills else ""


def _lane_flags(
    rx: Rx, company: str, lane: int, project: str, stored: tuple[int | None, int, int]
) -> Iterator[str]:
    row = rx.one("select status, deleted_ms, max_active_agents from project where id=?", (project,))
    if row is None:
        yield f"lane {lane}: its project {project} has no row"
        return
    status, deleted_ms, cap = row
    stopped = rx.one(
        "select 1 from stop where company=? and scope='project' and subject=? "
        "and lifted_ms is null",
        (company, project),
    )
    is_open = int(status == "active" and deleted_ms is None and stopped is None)
    is_full = int(cap is not None and len(_at_work(rx, project)) >= cap)
    if stored != (cap, is_open, is_full):
        yield f"lane {lane}: (cap, open, full)={stored}, should be {(cap, is_open, is_full)}"


def _money(rx: Rx, company: str) -> Iterator[str]:
    """What is set aside is the sum of the reservations that are held, in each scope and period."""
    counted = {(s, key): held for s, key, held in reservations.held_amounts(rx, company)}
    rows = rx.all(
        "select subject, period_key, money_held, tokens_held, calls_held from spend "
        "where company=?",
        (company,),
    )
    for subject, key, *stored in rows:
        held = counted.pop((subject, key), Amounts())
        if held != Amounts(*stored):
            yield f"{subject} in {key}: set aside {stored}, but held is {held}"
    for where, held in counted.items():
        yield f"{where}: no counter, but held is {held}"


def _files(rx: Rx, company: str) -> Iterator[str]:
    """Bytes in use are those of stored artifacts and kept versions; heights are those of trees."""
    used, _ = quota.usage(rx, company)
    now = rx.one(
        "select coalesce(sum(size_bytes), 0) from artifact "
        "where company=? and stored=1 and deleted_ms is null",
        (company,),
    )
    before = rx.one(
        "select coalesce(sum(size_bytes), 0) from artifact_version where company=?", (company,)
    )
    counted = sum(int(row[0]) for row in (now, before) if row is not None)
    if used != counted:
        yield f"artifacts: {used} bytes in use, but stored are {counted}"
    rows = rx.all(
        "select id, parent, height, no from artifact_folder where company=? and deleted_ms is null",
        (company,),
    )
    below: dict[str, list[str]] = {}
    for folder, parent, _, _ in rows:
        below.setdefault(parent, []).append(folder)
    for folder, _, stored, no in rows:
        level, height = below.get(folder, []), 0
        while level:
            height, level = height + 1, [c for one in level for c in below.get(one, [])]
        if stored != height:
            yield f"F-{no}: height={stored}, but {height} levels are below it"


def _feeds(rx: Rx, company: str) -> Iterator[str]:
    """Events and receipts are numbered 1, 2, 3 … up to the company's head, tasks up to T-n."""
    head = rx.one(
        "select c.no, h.event_seq, h.receipt_seq from company c "
        "join company_head h on h.company_no=c.no where c.id=?",
        (company,),
    )
    if head is None:
        yield f"company {company} has no head"
        return
    no, events, receipts = head
    for table, last in (("event", events), ("receipt", receipts)):
        sql = f"select count(*), coalesce(max(seq), 0) from {table} where company_no=?"  # noqa: S608
        found = rx.one(sql, (no,))
        if found != (last, last):
            yield f"{table}: (rows, last)={found}, the head says {last}"
    found = rx.one("select count(*), coalesce(max(seq), 0) from task where company=?", (company,))
    counter = rx.one("select n from counter where company_no=? and kind='task'", (no,))
    last = 0 if counter is None else counter[0]
    if found != (last, last):
        yield f"task: (rows, last)={found}, the counter says {last}"


def verify(rx: Rx, company: str) -> list[str]:
    """What the offline check of the company's whole ledger finds."""
    _, no = audit.company_of(rx, company)
    verifier = Verifier()
    after: int | None = 0
    while after is not None:
        page = audit.page(rx, company, no, after)
        if after == 0:
            verifier.feed(page.header)
        for line in page.lines:
            verifier.feed(line)
        after = page.next
    return [f"{found.code}: {found.message}" for found in verifier.finish().findings]
