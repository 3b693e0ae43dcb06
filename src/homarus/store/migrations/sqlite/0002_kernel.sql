-- The kernel's tables: the ledger and its seals, credentials, STOP, registered capabilities.

create table receipt (
    company_no integer not null,
    seq integer not null,
    at_ms integer not null,
    of_seq integer,                 -- outcome rows: the receipt they complete
    actor text not null,
    proof integer not null,
    credential blob,
    capability text not null,
    target text not null,
    effect integer not null,
    verdict integer not null,
    rule text,
    code text,
    reason text,
    outcome integer,
    repeats integer,
    task blob,
    trace blob,
    preflight blob,
    arguments blob,
    rules integer not null,
    leaf blob not null,
    primary key (company_no, seq)
) without rowid;
create index receipt_task on receipt (task, seq) where task is not null;
create index receipt_trace on receipt (trace, seq) where trace is not null;

create table seal (
    company_no integer not null,
    no integer not null,
    at_ms integer not null,
    first_seq integer not null,
    last_seq integer not null,
    root blob not null,
    previous blob not null,
    hash blob not null,
    signature blob not null,
    primary key (company_no, no)
) without rowid;

create table company_key (
    company_no integer primary key,
    public blob not null,
    sealed blob not null             -- the private key, encrypted with the home's master key
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
    sha256 blob not null unique,
    created_ms integer not null,
    expires_ms integer,
    revoked_ms integer
) without rowid;
create index token_company on token (company, created_ms);

-- The agents that a runtime's token may act for: created, registered or granted (design, 5).
create table token_agent (
    token text not null,
    agent text not null,
    granted_ms integer not null,
    how text not null,               -- created | registered | granted
    primary key (token, agent)
) without rowid;

create table stop (
    id text primary key,
    company text not null,
    scope text not null,             -- company | project | agent | task | trace
    subject text not null,
    reason text not null,
    by_actor text not null,
    created_ms integer not null,
    lifted_ms integer
) without rowid;
create index stop_active on stop (company, scope, subject) where lifted_ms is null;

create table capability (
    company text not null,
    id text not null,
    version integer not null default 1,
    title text not null,
    description text not null default '',
    kind text not null,              -- command (others come with the registry)
    effect integer not null,
    argv text not null,              -- JSON list: literals and typed slots
    slots text not null,             -- JSON object: slot -> type
    trusted integer not null default 0,
    enabled integer not null default 1,
    restartable integer not null default 0,  -- running it again does no harm
    grants text not null,            -- JSON list: role:NAME, agent:ID or *
    limits text not null default '{}',
    created_ms integer not null,
    updated_ms integer not null,
    primary key (company, id)
) without rowid;
