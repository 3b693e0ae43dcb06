-- Runs of the daemon's own executors: the intent is committed before the process starts, the
-- outcome after it ended. One that is still `running` at a start had its outcome lost.

create table run (
    id text primary key,
    company text not null,
    task text not null,
    agent text not null,
    token bigint not null,              -- the lease's fence
    capability text not null,
    argv text not null,                  -- JSON list, as rendered
    state text not null,                 -- running | done | failed | unknown
    receipt_seq bigint not null,        -- the receipt of the intent
    facts text,                          -- JSON: sandbox, exit code, times
    started_ms bigint not null,
    ended_ms bigint
);
create index run_running on run (company) where state = 'running';
create index run_task on run (task);
