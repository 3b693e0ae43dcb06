-- What an agent's runtime leaves behind: nodes, sessions, memory, integrations; and the company's
-- scoped resources and execution logs.

create table runtime_node (
    id text primary key,
    company text not null,
    runtime text not null,                   -- runtimeId, as the client chose it
    name text not null,
    hostname text,
    gateway_version text,
    capabilities text not null default '[]', -- JSON list
    status text not null default 'active',
    last_seen_ms integer not null,
    started_ms integer,
    created_ms integer not null,
    deleted_ms integer
) without rowid;
create unique index runtime_node_key on runtime_node (company, runtime);

create table agent_session (
    id text primary key,
    company text not null,
    agent text not null,
    runtime_node text,
    openclaw_session text not null,          -- openclawSessionId, as the client chose it
    type text not null,
    channel text,
    checkpoint text,                         -- JSON object
    sync_status text not null,
    started_ms integer not null,
    last_checkpoint_ms integer,
    last_heartbeat_ms integer,
    checkin_deadline_ms integer,             -- null: not watched
    last_wake_ms integer,
    wake_attempts integer not null default 0,
    max_wake_attempts integer not null,
    generation integer not null default 1,
    last_provision_error text,
    ended_ms integer,
    status text not null,
    summary text,
    created_ms integer not null
) without rowid;
create unique index agent_session_live on agent_session (agent, openclaw_session)
    where ended_ms is null;
create index agent_session_agent on agent_session (agent, created_ms);
create index agent_session_ended on agent_session (agent, ended_ms);
create index agent_session_deadline on agent_session (company, checkin_deadline_ms)
    where checkin_deadline_ms is not null;

create table agent_memory_entry (
    id text primary key,
    company text not null,
    agent text not null,
    no integer not null,                     -- order of writing
    session text,
    project text,
    task text,
    kind text not null,
    content text not null,
    summary text,
    metadata text not null default '{}',     -- JSON object
    created_ms integer not null
) without rowid;
create index agent_memory_entry_agent on agent_memory_entry (agent, no);

create table agent_memory_snapshot (
    id text primary key,
    company text not null,
    agent text not null,
    no integer not null,                     -- of the entry that came with it
    entry text not null,
    content text not null,
    created_ms integer not null
) without rowid;
create index agent_memory_snapshot_agent on agent_memory_snapshot (agent, no);

create table agent_integration (
    id text primary key,
    company text not null,
    agent text not null,
    provider text not null,
    name text not null,
    ownership text not null,                 -- managed | local_runtime
    config text not null default '{}',       -- JSON
    secret_sealed blob,
    status text not null default 'active',
    last_used_ms integer,
    last_failure_ms integer,
    last_failure_reason text,
    compat_mode integer not null default 0,
    created_ms integer not null,
    updated_ms integer not null
) without rowid;
create index agent_integration_agent on agent_integration (agent, created_ms)
    where status = 'active';

create table resource (
    id text primary key,
    no integer not null,
    company text not null,
    scope_type text not null,                -- company | customer | project | agent
    scope text,                              -- null for the company itself
    provider text not null,
    type text not null,
    name text not null,
    display_name text,
    path text not null default '',           -- folder, parts joined with /
    config text,
    secret_sealed blob,                      -- never listed; see homarus.company.resources
    status text not null,
    is_shared integer not null default 0,
    ownership text not null,                 -- managed | local-runtime
    last_used_ms integer,
    last_failure_ms integer,
    last_failure_reason text,
    created_ms integer not null,
    updated_ms integer not null,
    deleted_ms integer
) without rowid;
create index resource_list on resource (company, no) where deleted_ms is null;
create index resource_path on resource (company, path) where deleted_ms is null;
create index resource_scope on resource (scope, no) where deleted_ms is null;

create table action_run (
    id text primary key,
    company text not null,
    agent text,
    session text,
    project text,
    task text,
    kind text not null,
    status text not null,
    summary text,
    metadata text not null default '{}',     -- JSON object
    started_ms integer not null,
    ended_ms integer,
    created_ms integer not null
) without rowid;
create index action_run_task on action_run (task, created_ms) where task is not null;

create table action_step (
    run text not null,
    n integer not null,
    id text not null,
    type text not null,
    tool text,
    status text not null,
    target text,
    input_summary text,                      -- JSON
    output_summary text,                     -- JSON
    error text,
    started_ms integer not null,
    ended_ms integer,
    created_ms integer not null,
    primary key (run, n)
) without rowid;
