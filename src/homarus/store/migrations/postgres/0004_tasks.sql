-- Tasks. A lane is where a claimer looks: (project, audience); an audience is one agent, or a role
-- (or none) with required skills. See docs/explanation/store.md.

create table task (
    id text primary key,
    seq bigint not null,                    -- the number of T-192; also age within a priority
    company text not null,
    project text not null,
    state text not null,
    lane bigint,
    priority bigint not null default 0,
    blocked bigint not null default 0,      -- unfinished blockers
    agent text,                              -- assigned to
    member text,                             -- assigned to a person
    reviewer text,                           -- agent that holds a review lease
    token bigint not null default 0,        -- fencing: one up at every claim
    lease_until_ms bigint,
    lease_proof text,                        -- access token that claimed
    lease_owner text,                        -- the agent as the claimer named it
    started_ms bigint,
    retries bigint not null default 0,
    reason text,                             -- why blocked, failed, dead
    trace text not null,
    created_ms bigint not null,
    updated_ms bigint not null
);
create index task_claimable on task (lane, priority desc, seq) where state = 'queued' and blocked = 0;
create index task_lease on task (lease_until_ms) where lease_until_ms is not null;
create index task_agent on task (agent, seq) where agent is not null;
create index task_held on task (agent) where state = 'in_progress';
create index task_list on task (company, seq);
create index task_review on task (company, priority desc, seq) where state = 'review';
create index task_reviewer on task (reviewer) where reviewer is not null;
create index task_stopped on task (company, seq) where state = 'blocked' and reason = 'stop';
create index task_project on task (project, seq);

-- What does not change at every move lives beside the task, so that a claim rewrites few bytes.
create table task_spec (
    task text primary key,
    type text not null,
    kind text not null default 'standard',
    role text,                               -- owner role
    skills text,                             -- JSON list, sorted
    input text not null default '{}',        -- JSON: title, description, acceptance criteria, …
    capability text,                         -- command capability that the dispatcher runs
    max_retries bigint not null default 3,
    proof_required bigint not null default 0,
    approval_required bigint not null default 0,
    proof_types text not null default '[]',
    sla_due_ms bigint,
    recurring text,
    blockers text                            -- JSON list, as given
);

create table task_result (
    task text primary key,
    output text,                             -- JSON
    comment text,
    digest bytea not null,
    agent text,
    at_ms bigint not null
);

create table task_dependency (
    blocker text not null,
    task text not null,
    primary key (blocker, task)
);
create index task_dependency_task on task_dependency (task);

-- Definition of Done: typed items need evidence, free text is met by a result that says so.
create table task_done_item (
    task text not null,
    n bigint not null,
    kind text not null,                      -- text | artifact | check | review
    value text not null,
    evidence text,                           -- id or word of what met it; null: open
    met_ms bigint,
    primary key (task, n)
);

create table task_note (
    id text primary key,
    task text not null,
    agent text,
    text text not null,
    handoff text,                            -- JSON
    created_ms bigint not null
);
create index task_note_task on task_note (task, created_ms);

create table lane (
    id bigint generated always as identity primary key,
    company text not null,
    project text not null,
    agent text,
    role text,
    skills text not null default '',         -- sorted, joined with newlines
    cap bigint,                             -- the project's; null: none
    is_open bigint not null default 1,         -- project active and not stopped
    is_full bigint not null default 0,         -- as many agents at work in the project as its cap allows
    live bigint not null default 0          -- may have claimable work; cleared lazily by claims
);
create unique index lane_key on lane (project, coalesce(agent, ''), coalesce(role, ''), skills);
create index lane_live on lane (company) where live = 1;

create table project_active (
    project text not null,
    agent text not null,
    n bigint not null,
    primary key (project, agent)
);

create table notification (
    id text primary key,
    company text not null,
    agent text not null,
    kind text not null,
    task text,
    text text not null,
    created_ms bigint not null,
    delivered_ms bigint
);
create index notification_waiting on notification (agent, created_ms) where delivered_ms is null;
