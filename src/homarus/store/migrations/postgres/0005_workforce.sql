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
    last_seen_ms bigint not null,
    started_ms bigint,
    created_ms bigint not null,
    deleted_ms bigint
);
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
    started_ms bigint not null,
    last_checkpoint_ms bigint,
    last_heartbeat_ms bigint,
    checkin_deadline_ms bigint,             -- null: not watched
    last_wake_ms bigint,
    wake_attempts bigint not null default 0,
    max_wake_attempts bigint not null,
    generation bigint not null default 1,
    last_provision_error text,
    ended_ms bigint,
    status text not null,
    summary text,
    created_ms bigint not null
);
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
    no bigint not null,                     -- order of writing
    session text,
    project text,
    task text,
    kind text not null,
    content text not null,
    summary text,
    metadata text not null default '{}',     -- JSON object
    created_ms bigint not null
);
create index agent_memory_entry_agent on agent_memory_entry (agent, no);

create table agent_memory_snapshot (
    id text primary key,
    company text not null,
    agent text not null,
    no bigint not null,                     -- of the entry that came with it
    entry text not null,
    content text not null,
    created_ms bigint not null
);
create index agent_memory_snapshot_agent on agent_memory_snapshot (agent, no);

create table agent_integration (
    id text primary key,
    company text not null,
    agent text not null,
    provider text not null,
    name text not null,
    ownership text not null,                 -- managed | local_runtime
    config text not null default '{}',       -- JSON
    secret_sealed bytea,
    status text not null default 'active',
    last_used_ms bigint,
    last_failure_ms bigint,
    last_failure_reason text,
    compat_mode bigint not null default 0,
    created_ms bigint not null,
    updated_ms bigint not null
);
create index agent_integration_agent on agent_integration (agent, created_ms)
    where status = 'active';

create table resource (
    id text primary key,
    no bigint not null,
    company text not null,
    scope_type text not null,                -- company | customer | project | agent
    scope text,                              -- null for the company itself
    provider text not null,
    type text not null,
    name text not null,
    display_name text,
    path text not null default '',           -- folder, parts joined with /
    config text,
    secret_sealed bytea,                      -- never listed; see homarus.company.resources
    status text not null,
    is_shared bigint not null default 0,
    ownership text not null,                 -- managed | local-runtime
    last_used_ms bigint,
    last_failure_ms bigint,
    last_failure_reason text,
    created_ms bigint not null,
    updated_ms bigint not null,
    deleted_ms bigint
);
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
    started_ms bigint not null,
    ended_ms bigint,
    created_ms bigint not null
);
create index action_run_task on action_run (task, created_ms) where task is not null;

create table action_step (
    run text not null,
    n bigint not null,
    id text not null,
    type text not null,
    tool text,
    status text not null,
    target text,
    input_summary text,                      -- JSON
    output_summary text,                     -- JSON
    error text,
    started_ms bigint not null,
    ended_ms bigint,
    created_ms bigint not null,
    primary key (run, n)
);
