-- Dispatch between agents: the context of spawned tasks, and the routing notes that were used (a
-- note opens one dispatch).

create table task_context (
    task text primary key,
    company text not null,
    trace text not null,
    parent text,                             -- the task it was spawned from
    caller text not null,                    -- agent:<id> or operator:<id>
    callee text not null,                    -- agent
    perm text not null,                      -- read | read_write | govern
    depth bigint not null,
    above text not null,                     -- JSON: ids of the agents above the callee
    nonce text,                              -- of the note that opened it; null: an operator did
    created_ms bigint not null
);
create index task_context_trace on task_context (trace, callee, depth);

create table routing_note (
    company text not null,
    nonce text not null,
    capability text not null,
    caller text not null,                    -- agent
    callee text,                             -- agent; null: not known to the judge
    task text,                               -- the caller's
    trace text not null,
    perm text not null,
    depth bigint not null,
    ts_ms bigint not null,
    used_ms bigint not null,
    primary key (company, nonce)
);
create index routing_note_trace on routing_note (trace, used_ms);
create index routing_note_used on routing_note (company, used_ms);

alter table notification add column trace text;
