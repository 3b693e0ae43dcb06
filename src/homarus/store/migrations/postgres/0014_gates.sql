-- Gates and routes: what each evaluation of a task found, reverse briefs, who holds which part of
-- an L3 task, project cards, pipelines and their runs.

-- One row per evaluation. The n-th of its task; the first one's actor is the task's requester.
create table gate_decision (
    task text not null,
    n bigint not null,
    at_ms bigint not null,
    actor text not null,                     -- who brought the evaluation about, as in receipts
    stage text,                              -- stage of a pipeline; null: at entry
    level bigint not null,                  -- L0 to L3
    rules bigint not null,                  -- version of the gates' rules
    verdicts text not null,                  -- a letter a gate: p pass, u uncertain, s skipped, d, b
    evidence text,                           -- JSON: gate -> what it used; null: nothing to say
    observed bigint not null default 0,     -- 1: the company only observes, nothing was done
    primary key (task, n)
);

-- Tasks that a gate holds, and when to look at them again.
create table gate_waiting (
    task text primary key,
    company text not null,
    check_ms bigint not null
);
create index gate_waiting_due on gate_waiting (check_ms);

alter table task_spec add column assets bigint not null default 0;  -- 1: names governance assets

create table reverse_brief (
    task text not null,
    n bigint not null,                      -- the last one counts
    author text not null,
    credential text not null,                -- access token it was written with
    goal text not null,
    scope text not null,
    plan text not null,
    risks text not null,
    acceptance text not null,
    at_ms bigint not null,
    decision text,                           -- confirm | amend | reject
    decided_by text,
    decided_ms bigint,
    note text,
    primary key (task, n)
);

-- Who audits, implements and accepts an L3 task: one identity holds one part.
create table task_part (
    task text not null,
    n bigint not null,
    part text not null,                      -- audit | implementation | acceptance
    actor text not null,
    outcome text not null,                   -- pass | reject, claimed, accept | return
    note text,
    at_ms bigint not null,
    primary key (task, n)
);

create table project_card (
    id text primary key,
    no bigint not null,                     -- C-7
    company text not null,
    project text not null,
    title text not null,
    words text not null,                     -- of the title, sorted: what a task is matched with
    goal text not null,
    class text not null,                     -- normal | governance
    status text not null,                    -- open | closed
    created_by text not null,
    created_ms bigint not null,
    updated_ms bigint not null
);
create unique index project_card_no on project_card (company, no);
create index project_card_project on project_card (project, no);

create table pipeline (
    company text not null,
    id text not null,
    version bigint not null,                -- the highest is in force
    title text not null,
    status text not null,                    -- active | retired
    text text not null,                      -- YAML as approved
    created_ms bigint not null,
    primary key (company, id, version)
);

create table pipeline_run (
    id text primary key,
    no bigint not null,
    company text not null,
    pipeline text not null,
    version bigint not null,                -- 0: as shipped
    project text not null,
    card text,
    title text not null,
    origin text,                             -- the task that a gate diverted here
    trace text not null,
    stage text,                              -- where it stands; null: at its end
    status text not null,                    -- running | succeeded
    started_by text not null,
    started_ms bigint not null,
    ended_ms bigint
);
create unique index pipeline_run_no on pipeline_run (company, no);
create index pipeline_run_origin on pipeline_run (origin) where origin is not null;

create table pipeline_position (
    run text not null,
    n bigint not null,
    stage text not null,
    task text not null,
    done_ms bigint,
    primary key (run, n)
);
create unique index pipeline_position_task on pipeline_position (task);
