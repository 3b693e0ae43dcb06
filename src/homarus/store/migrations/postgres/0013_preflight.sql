-- Preflights: what an agent thought before it acts, and what it may do then (governance contract, 5).
-- A claim makes one whose scope follows from the task; it lives as long as the lease with its fence.

create table preflight (
    id text primary key,                     -- of a claim: made from task and fence
    company text not null,
    agent text not null,
    task text,
    kind text not null,                      -- claim | query | turn
    intent text not null default '',
    verdict text,                            -- hit | none | not_permitted | other
    evidence text,                           -- JSON: who, how, where, card
    scope text,                              -- JSON [[capability, target]]; null: a claim's
    perm text not null default 'read_write', -- read | read_write | govern
    route_level bigint not null default 0,
    capability text,                         -- claims: what the task is bound to
    token bigint,                           -- claims: the lease's fence
    created_ms bigint not null,
    expires_ms bigint                       -- null: a claim's, which ends with its lease
);
create index preflight_thought on preflight (company, agent, created_ms) where kind <> 'claim';

-- The course of a new agent: a week is passed with its quiz and its practice task.
create table onboarding (
    company text not null,
    agent text not null,
    week bigint not null,                   -- 1 to 4
    task text,                               -- the practice task
    attempts bigint not null default 0,
    quiz_ms bigint,                         -- when the quiz was passed
    passed_ms bigint,
    primary key (company, agent, week)
);
