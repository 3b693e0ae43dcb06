-- The kernel's tables; see the SQLite file of the same number.

create table receipt (
    company_no bigint not null,
    seq bigint not null,
    at_ms bigint not null,
    of_seq bigint,                 -- outcome rows: the receipt they complete
    actor text not null,
    proof bigint not null,
    credential bytea,
    capability text not null,
    target text not null,
    effect bigint not null,
    verdict bigint not null,
    rule text,
    code text,
    reason text,
    outcome bigint,
    repeats bigint,
    task bytea,
    trace bytea,
    preflight bytea,
    arguments bytea,
    rules bigint not null,
    leaf bytea not null,
    primary key (company_no, seq)
);
create index receipt_task on receipt (task, seq) where task is not null;
create index receipt_trace on receipt (trace, seq) where trace is not null;

create table seal (
    company_no bigint not null,
    no bigint not null,
    at_ms bigint not null,
    first_seq bigint not null,
    last_seq bigint not null,
    root bytea not null,
    previous bytea not null,
    hash bytea not null,
    signature bytea not null,
    primary key (company_no, no)
);

create table company_key (
    company_no bigint primary key,
    public bytea not null,
    sealed bytea not null             -- the private key, encrypted with the home's master key
);

-- Who may call: operators, runtimes (company tokens), agents, services. Only the hash is kept.
create table token (
    id text primary key,
    company text not null,           -- '' : of the instance
    kind text not null,              -- operator | runtime | agent | service
    role text,                       -- operators: viewer | operator | approver | owner
    scope text not null,             -- mcp_full | mcp_danger
    agent text,                      -- kind agent: whose it is
    name text not null,
    sha256 bytea not null unique,
    created_ms bigint not null,
    expires_ms bigint,
    revoked_ms bigint
);
create index token_company on token (company, created_ms);

-- The agents that a runtime's token may act for: created, registered or granted (design, 5).
create table token_agent (
    token text not null,
    agent text not null,
    granted_ms bigint not null,
    how text not null,               -- created | registered | granted
    primary key (token, agent)
);

create table stop (
    id text primary key,
    company text not null,
    scope text not null,             -- company | project | agent | task | trace
    subject text not null,
    reason text not null,
    by_actor text not null,
    created_ms bigint not null,
    lifted_ms bigint
);
create index stop_active on stop (company, scope, subject) where lifted_ms is null;

create table capability (
    company text not null,
    id text not null,
    version bigint not null default 1,
    title text not null,
    description text not null default '',
    kind text not null,              -- command (others come with the registry)
    effect bigint not null,
    argv text not null,              -- JSON list: literals and typed slots
    slots text not null,             -- JSON object: slot -> type
    trusted bigint not null default 0,
    enabled bigint not null default 1,
    restartable bigint not null default 0,  -- running it again does no harm
    grants text not null,            -- JSON list: role:NAME, agent:ID or *
    limits text not null default '{}',
    created_ms bigint not null,
    updated_ms bigint not null,
    primary key (company, id)
);
