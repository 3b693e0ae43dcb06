-- Registries: an agent's face in a project, jobs (recurring tasks, schedules), pipelines that run
-- elsewhere with what was reported of their runs, and lists of execution logs.

-- One live face for each agent in a project: what a worker is called there, what it knows first.
create table project_agent_profile (
    id text primary key,
    no integer not null,                     -- order, and the keyset of lists
    company text not null,
    project text not null,
    agent text not null,
    role_type text not null,                 -- worker | lead, free text on the wire
    display_name text,
    signature text,
    memory_seed text,
    resource_policy text not null default '{}',  -- JSON object
    created_ms integer not null,
    updated_ms integer not null,
    deleted_ms integer
) without rowid;
create unique index project_agent_profile_live on project_agent_profile (project, agent)
    where deleted_ms is null;
create index project_agent_profile_list on project_agent_profile (project, no)
    where deleted_ms is null;

-- What comes again. The scheduler reads cron, active and next_run_ms; until then people and agents
-- spawn by hand.
create table job (
    id text primary key,
    no integer not null,                     -- J-4; also the keyset of lists
    company text not null,
    kind text not null,                      -- recurring | schedule: the wire it came by
    name text not null,
    project text,                            -- null: nothing can be spawned yet
    agent text,                              -- whom the spawned task is assigned to
    task_type text,
    cron text,                               -- in UTC; null: by hand only
    payload text not null default '{}',      -- JSON object: the input of what is spawned
    priority integer not null default 0,
    proof_required integer not null default 0,
    approval_required integer,               -- null: as the project says
    proof_types text not null default '[]',  -- JSON list
    playbook text,                           -- schedules: the recorded playbook they follow
    agent_pattern text,                      -- schedules: which agents, in the client's own words
    active integer not null default 1,
    next_run_ms integer,                     -- null: not due at any time
    last_run_ms integer,
    runs integer not null default 0,         -- tasks spawned
    created_by text not null,                -- as receipts name the actor
    created_ms integer not null,
    updated_ms integer not null,
    deleted_ms integer
) without rowid;
create unique index job_no on job (company, no);
create index job_project on job (project, no) where project is not null and deleted_ms is null;
create unique index job_schedule on job (company, name)
    where kind = 'schedule' and deleted_ms is null;

-- Pipelines, playbooks and templates that clients keep here and run elsewhere. What this company
-- runs itself is in `pipeline`, and is governed.
create table recorded_pipeline (
    id text primary key,
    no integer not null,
    company text not null,
    kind text not null,                      -- pipeline | playbook | template
    name text not null,
    purpose text,
    doc text,                                -- Markdown
    trigger_kind text not null,              -- cron | event | manual
    trigger_config text not null default '{}',   -- JSON object
    steps text not null default '[]',        -- JSON list
    runtime_ref text,
    project text,
    customer text,
    agent text,
    status text not null,                    -- draft | active | paused | retired
    context_query text,
    context_resources text not null default '[]',  -- JSON list of ids
    context_tags text not null default '[]',
    context_max_chars integer,
    extra text not null default '{}',        -- JSON object: fields of playbooks and templates
    last_run_ms integer,
    last_run_status text,
    runs integer not null default 0,
    created_by text not null,
    created_ms integer not null,
    updated_ms integer not null,
    deleted_ms integer
) without rowid;
create unique index recorded_pipeline_name on recorded_pipeline (company, kind, name)
    where deleted_ms is null;
create index recorded_pipeline_list on recorded_pipeline (company, kind, no)
    where deleted_ms is null;

create table recorded_run (
    id text primary key,
    no integer not null,
    company text not null,
    pipeline text not null,
    status text not null,                    -- running | succeeded | failed | partial
    summary text,
    stats text,                              -- JSON object
    reported_by text not null,
    started_ms integer not null,
    ended_ms integer,
    created_ms integer not null
) without rowid;
create index recorded_run_list on recorded_run (pipeline, no);

-- Newest first, by id: they begin with the time.
create index action_run_list on action_run (company, id);
create index action_run_agent on action_run (agent, id) where agent is not null;
create index action_run_project on action_run (project, id) where project is not null;
