-- Trust: what happened (events), every change of a score with its causes, and when each agent's was
-- computed last. The receipts that the score reads are found by actor; ordinary allowed writes are
-- not in that index and pay nothing for it.

create table trust_event (
    id text primary key,
    company text not null,
    no integer not null,                     -- newest last
    agent text not null,
    kind text not null,                      -- see kernel/trust.py
    weight integer not null,                 -- in acts
    task text,
    receipt text,
    note text not null default '',
    at_ms integer not null
) without rowid;
create index trust_event_agent on trust_event (agent, no);

create table trust_change (
    id text primary key,
    company text not null,
    no integer not null,                     -- newest last, for pages
    agent text not null,
    score_before integer not null,
    score_after integer not null,
    band text not null,                      -- high | normal | low | untrusted, after it
    dimensions text not null,                -- JSON: name -> value and data
    causes text not null,                    -- JSON list of texts
    event text,                              -- the trust_event that brought it about; null: weekly
    by_actor text not null,
    at_ms integer not null
) without rowid;
create index trust_change_agent on trust_change (agent, no);

alter table agent add column trust_ms integer;   -- computed last; null: never

create index receipt_judged on receipt (actor, seq)
    where code is not null or effect in (2, 4, 5);
