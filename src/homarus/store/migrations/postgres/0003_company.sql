-- Agents, customers and projects: what tasks stand on.

create table agent (
    id text primary key,
    no bigint not null,
    company text not null,
    name text not null,
    role text,
    avatar_url text,
    skills text not null default '[]',        -- JSON list of text
    skills_wire text,                         -- the client's own skillsJson, when it is not a list of text
    memory text,
    model_policy text,                        -- JSON object
    concurrency_limit bigint not null default 1,
    active bigint not null default 0,        -- tasks it holds now
    llm_provider text,
    llm_model text,
    monthly_budget_cents bigint not null default 0,
    monthly_cost_cents bigint not null default 0,
    monthly_token_usage bigint not null default 0,
    budget_status text not null default 'active',
    suspended bigint not null default 0,
    executor text not null default 'external', -- external | command (design, 7)
    status text not null default 'offline',
    current_load bigint not null default 0,
    last_seen_ms bigint,
    created_ms bigint not null,
    updated_ms bigint not null,
    deleted_ms bigint
);
create unique index agent_name on agent (company, name) where deleted_ms is null;
create index agent_created on agent (company, created_ms) where deleted_ms is null;

create table customer (
    id text primary key,
    company text not null,
    name text not null,
    notes text,
    created_ms bigint not null,
    deleted_ms bigint
);
create unique index customer_name on customer (company, name) where deleted_ms is null;

create table project (
    id text primary key,
    no bigint not null,
    company text not null,
    customer text,
    goal text not null,
    status text not null default 'active',
    lead_agent text,
    require_approval_for_done bigint not null default 0,
    require_review_before_done bigint not null default 0,
    comment_required_for_review bigint not null default 0,
    block_status_changes_with_pending_approval bigint not null default 0,
    only_lead_can_change_status bigint not null default 0,
    max_active_agents bigint,                -- null: no cap
    created_ms bigint not null,
    updated_ms bigint not null,
    deleted_ms bigint
);
create index project_created on project (company, created_ms) where deleted_ms is null;

create table project_memory (
    id text primary key,
    company text not null,
    project text not null,
    content text not null,
    tags text not null default '[]',
    agent text,
    created_ms bigint not null
);
create index project_memory_project on project_memory (project, created_ms);
