-- Approvals: durable questions to a person or a governed role, each bound to the hash of what was
-- asked; and notices: what is to be posted to the outside, a row before the act.

create table approval (
    id text primary key,
    company text not null,
    no bigint not null,                     -- A-<no>
    kind text not null,                      -- act | task_done | custom
    capability text not null,
    target text not null,
    payload bytea not null,                   -- SHA-256 of the arguments asked for
    what text not null,                      -- for people
    requester text not null,                 -- actor key
    credential text not null default '',     -- id of the access token that asked
    agent text,
    task text,
    project text,
    reason text not null default '',
    confidence double precision,
    cost bigint,                            -- millionths of the currency unit; null: unknown
    risk text not null,                      -- low | medium | high
    scope text not null,                     -- once | task | hours
    hours bigint,
    status text not null,                    -- see kernel/approvals.py: MOVES
    expires_ms bigint not null,             -- pending: to decide; approved: to use
    decided_by text,
    decided_ms bigint,
    note text,
    uses bigint not null default 0,
    created_ms bigint not null,
    updated_ms bigint not null
);
create unique index approval_no on approval (company, no);
create index approval_match on approval (company, agent, capability, status);
create index approval_open on approval (expires_ms) where status in ('pending', 'approved');
create index approval_status on approval (company, status, no);

-- The tasks that an approval is about.
create table approval_task (
    approval text not null,
    task text not null,
    primary key (approval, task)
);
create index approval_task_of on approval_task (task);

create table notice (
    id text primary key,
    company text not null,
    approval text not null,
    url text not null,
    state text not null,                     -- pending | sent | failed | dropped
    attempts bigint not null default 0,
    next_ms bigint not null,                -- not before; moved on before each attempt
    error text,
    created_ms bigint not null,
    ended_ms bigint
);
create index notice_due on notice (next_ms) where state = 'pending';
