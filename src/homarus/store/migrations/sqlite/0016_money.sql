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
    amount integer not null check (amount >= 0),
    set_by text not null,                    -- as receipts name the actor
    created_ms integer not null,
    updated_ms integer not null
) without rowid;
create unique index budget_subject on budget (company, subject, unit, period);

-- Counted for every scope and period, whether it has a limit or not: `homarus status` tells today's
-- cost without one. A period turns by its key (2026-05-01, 2026-05, total); nothing is reset.
create table spend (
    company text not null,
    subject text not null,
    period_key text not null,
    scope text not null,
    money integer not null default 0,
    tokens integer not null default 0,
    calls integer not null default 0,
    money_held integer not null default 0 check (money_held >= 0),
    tokens_held integer not null default 0 check (tokens_held >= 0),
    calls_held integer not null default 0 check (calls_held >= 0),
    primary key (company, subject, period_key)
) without rowid;
create index spend_period on spend (company, period_key, scope);

create table reservation (
    id text primary key,
    company text not null,
    agent text,
    task text,
    project text,
    money integer not null,
    tokens integer not null,
    calls integer not null,
    spent_money integer,                     -- what it came to; null until settled
    spent_tokens integer,
    spent_calls integer,
    state text not null,                     -- held | settled | expired | released
    model text,
    capability text not null,
    target text not null,
    actor text not null,                     -- as its receipt names it
    trace text,
    at_ms integer not null,                  -- fixes the periods that it counts in
    expires_ms integer not null,
    ended_ms integer
) without rowid;
create index reservation_due on reservation (expires_ms, company) where state = 'held';
create index reservation_list on reservation (company, at_ms, id);

create table price (
    company text not null,
    name text not null,                      -- a model, or the id of a capability
    provider text not null default '',
    label text not null default '',
    input_micros integer not null,           -- for a million tokens
    output_micros integer not null,
    call_micros integer not null default 0,  -- for one call
    active integer not null default 1,
    created_ms integer not null,
    updated_ms integer not null,
    primary key (company, name)
) without rowid;

create table quota_use (
    company text not null,
    agent text not null,
    hour integer not null,                   -- hours since 1970
    calls integer not null,
    primary key (company, agent)
) without rowid;

-- The wire's budget fields of an agent become a face of these rows. Its status belongs to a month;
-- the agent's id serves as the id of the row that its old limit becomes.
alter table agent add column budget_month text not null default '';
update agent set budget_month = strftime('%Y-%m', 'now');
insert into budget
    select id, company, 'agent', id, 'money', 'month', monthly_budget_cents * 10000, 'system:upgrade',
        updated_ms, updated_ms
    from agent where monthly_budget_cents > 0;
insert into spend (company, subject, period_key, scope, money, tokens)
    select company, id, strftime('%Y-%m', 'now'), 'agent', monthly_cost_cents * 10000, monthly_token_usage
    from agent where monthly_cost_cents > 0 or monthly_token_usage > 0;
