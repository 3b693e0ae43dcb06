-- Mirrors (governance contract, 9): what the outbox carries outward, and what it knows of each target.

create table mirror (
    id text primary key,
    company text not null,
    name text not null,
    target_type text not null,               -- registry name of the adapter
    place text not null,                     -- what it writes to, in one spelling
    config text not null,                    -- JSON object; secrets by handle alone
    hosts text not null default '[]',        -- JSON: host:port that agents may not reach
    secrets text not null default '{}',      -- JSON: handle -> its resource, lent to nobody
    mapping text not null,                   -- as it was given; '': every field by its own name
    state text not null,                     -- active | paused | removed
    reason text,                             -- why it is paused or removed
    held text,                               -- why nothing is pushed at present; null: all well
    held_ms bigint,
    entities text not null,                  -- what it shows, names between blanks
    delay_ms bigint not null,             -- from a change to its push, with no load
    cursor text,                             -- where its foreign changes were read to
    resync text,                             -- JSON: where a resync has come to; null: none runs
    month text,                              -- 2026-05: what calls counts
    calls bigint not null default 0,
    incident text,                           -- the one that is open about it
    created_ms bigint not null,
    created_by text not null,
    updated_ms bigint not null,
    last_ok_ms bigint                      -- the last push that the target took
);
create unique index mirror_name on mirror (company, name) where state<>'removed';
create unique index mirror_place on mirror (place) where state<>'removed';

-- What a target is known to hold of an entity.
create table mirrored (
    mirror text not null,
    entity_type text not null,
    entity_id text not null,
    number text not null,                    -- its number here, for a delete
    receipt text,                            -- its id there; null: not known
    payload_hash bytea,                       -- of what was pushed last; null: push again
    fields text not null default '{}',       -- JSON: what was pushed last
    doubt bigint not null default 0,        -- 1: it may be there unseen; looked up before a send
    pushed_ms bigint,
    primary key (mirror, entity_type, entity_id)
);

-- What somebody else changed at a target, or an adapter had to leave aside, until a person has seen it.
create table mirror_conflict (
    id text primary key,
    no bigint not null,
    company text not null,
    mirror text not null,
    entity_type text not null,
    entity_id text not null,
    what text not null,
    theirs text not null,                    -- JSON: the foreign values, by mapped name
    state text not null,                     -- open | resolved
    note text,
    created_ms bigint not null,
    resolved_ms bigint,
    resolved_by text
);
create index mirror_conflict_open on mirror_conflict (company, no) where state='open';
create index mirror_conflict_of on mirror_conflict (mirror, no);

alter table outbox_v2 add column fence bigint not null default 0;   -- goes up with each lease
alter table outbox_v2 add column tries bigint not null default 0;   -- times that it was leased
-- The list, newest first.
create index outbox_v2_listed on outbox_v2 (company_id, id);
create index outbox_v2_due on outbox_v2 (mirror_id, priority desc, scheduled_at)
    where status='pending';
