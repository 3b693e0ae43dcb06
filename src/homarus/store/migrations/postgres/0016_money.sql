-- Money, tokens and calls: limits that an owner sets, what was spent and is reserved under them,
-- prices, and how often an agent reached outside this hour. Money is in millionths of the
-- company's currency unit.

create table budget (
    id text primary key,
    company text not null,
    scope text not null,                     -- company | project | agent | task
    subject text not null,                   -- its id
    unit text not null,                      -- money | tokens | calls
    period text not null,                    -- day | month | total
    amount bigint not null check (amount >= 0),
    set_by text not null,                    -- as receipts name the actor
    created_ms bigint not null,
    updated_ms bigint not null
);
create unique index budget_subject on budget (company, subject, unit, period);

-- Counted for every scope and period, whether it has a limit or not: `homarus status` tells today's
-- cost without one. A period turns by its key (2026-05-01, 2026-05, total); nothing is reset.
create table spend (
    company text not null,
    subject text not null,
    period_key text not null,
    scope text not null,
    money bigint not null default 0,
    tokens bigint not null default 0,
    calls bigint not null default 0,
    money_held bigint not null default 0 check (money_held >= 0),
    tokens_held bigint not null default 0 check (tokens_held >= 0),
    calls_held bigint not null default 0 check (calls_held >= 0),
    primary key (company, subject, period_key)
);
create index spend_period on spend (company, period_key, scope);

create table reservation (
    id text primary key,
    company text not null,
    agent text,
    task text,
    project text,
    money bigint not null,
    tokens bigint not null,
    calls bigint not null,
    spent_money bigint,                     -- what it came to; null until settled
    spent_tokens bigint,
    spent_calls bigint,
    state text not null,                     -- held | settled | expired | released
    model text,
    capability text not null,
    target text not null,
    actor text not null,                     -- as its receipt names it
    trace text,
    at_ms bigint not null,                  -- fixes the periods that it counts in
    expires_ms bigint not null,
    ended_ms bigint
);
create index reservation_due on reservation (expires_ms, company) where state = 'held';
create index reservation_list on reservation (company, at_ms, id);

create table price (
    company text not null,
    name text not null,                      -- a model, or the id of a capability
    provider text not null default '',
    label text not null default '',
    input_micros bigint not null,           -- for a million tokens
    output_micros bigint not null,
    call_micros bigint not null default 0,  -- for one call
    active bigint not null default 1,
    created_ms bigint not null,
    updated_ms bigint not null,
    primary key (company, name)
);

create table quota_use (
    company text not null,
    agent text not null,
    hour bigint not null,                   -- hours since 1970
    calls bigint not null,
    primary key (company, agent)
);

-- The wire's budget fields of an agent become a face of these rows. Its status belongs to a month;
-- the agent's id serves as the id of the row that its old limit becomes.
alter table agent add column budget_month text not null default '';
update agent set budget_month = to_char(now() at time zone 'utc', 'YYYY-MM');
insert into budget
    select id, company, 'agent', id, 'money', 'month', monthly_budget_cents * 10000, 'system:upgrade',
        updated_ms, updated_ms
    from agent where monthly_budget_cents > 0;
insert into spend (company, subject, period_key, scope, money, tokens)
    select company, id, to_char(now() at time zone 'utc', 'YYYY-MM'), 'agent', monthly_cost_cents * 10000, monthly_token_usage
    from agent where monthly_cost_cents > 0 or monthly_token_usage > 0;
