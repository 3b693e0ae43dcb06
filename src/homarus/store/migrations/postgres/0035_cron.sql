-- Cron: jobs fire by the clock. What a job runs, when, within which bounds; and a row for each firing,
-- made before anything runs (governance contract, 8).

alter table job add column namespace text not null default 'company';  -- the agent's word in a key
alter table job add column key text not null default '';      -- job, or group.job
alter table job add column what text not null default 'task'; -- task | command | turn | maintenance
alter table job add column does text not null default '{}';   -- JSON: what of it; a task's is payload
alter table job add column description text;
alter table job add column zone text not null default 'UTC';
alter table job add column every_ms bigint;                  -- instead of cron: an interval
alter table job add column anchor_ms bigint not null default 0;
alter table job add column at_ms bigint;                     -- instead of cron: once
alter table job add column misfire text not null default 'run_once';   -- skip | run_once | run_all
alter table job add column overlap text not null default 'queue';      -- skip | queue | parallel
alter table job add column cpu_s bigint not null default 30;
alter table job add column memory_mb bigint not null default 256;
alter table job add column api_per_hour bigint not null default 100;
alter table job add column concurrent bigint not null default 3;
alter table job add column once bigint not null default 0;   -- 1: removed when it has run well
alter table job add column wire text;                         -- JSON: what else a client said of it
update job set key = 'j-' || no;
create unique index job_name on job (company, namespace, key) where deleted_ms is null;
create index job_due on job (next_run_ms) where next_run_ms is not null;
create index job_company_due on job (company, next_run_ms) where next_run_ms is not null;

create table job_run (
    id text primary key,
    no bigint not null,                     -- X-12
    company text not null,
    job text not null,
    agent text not null,                     -- whose namespace; '': the company's own
    what text not null,
    scheduled_ms bigint not null,
    n bigint not null,                      -- 0: by the clock; else the n-th by hand
    through_ms bigint,                      -- missed: it stands for all from scheduled_ms to here
    state text not null,                     -- waiting | running | done | failed | missed | skipped |
                                             -- dead | dropped
    priority bigint not null,
    due_ms bigint,                          -- not before; null: it does not wait
    claimed_ms bigint,
    started_ms bigint,
    ended_ms bigint,
    attempt bigint not null default 0,
    token bigint not null default 0,        -- the fence of the claim
    until_ms bigint,                        -- a living worker has ended it by then; null: a turn
    restartable bigint not null default 0,
    preempted_by text,                       -- the run that it makes room for, or made
    stopping bigint not null default 0,     -- 1: to end, to make room
    preemptions bigint not null default 0,
    receipt_seq bigint,                     -- the receipt of the intent
    subject text,                            -- the task or turn that it made
    cpu_ms bigint,
    peak_bytes bigint,
    exit_code bigint,
    output text,                             -- the tail
    reason text,                             -- a stable code
    error text,
    api_calls bigint not null default 0,
    by_actor text not null,
    created_ms bigint not null
);
create unique index job_run_slot on job_run (job, scheduled_ms, n);
create index job_run_queue on job_run (company, agent, priority desc, no, due_ms)
    where due_ms is not null;
create index job_run_due on job_run (due_ms) where due_ms is not null;
create index job_run_company_due on job_run (company, due_ms) where due_ms is not null;
create index job_run_running on job_run (company, agent) where state = 'running';
create index job_run_job on job_run (job, no);
create index job_run_waiting on job_run (job) where due_ms is not null;
create index job_run_active on job_run (job) where state = 'running';
create index job_run_company on job_run (company, no);
create index job_run_dead on job_run (company, no) where state = 'dead';
create index job_run_subject on job_run (subject) where subject is not null;
create index job_run_ended on job_run (ended_ms) where ended_ms is not null;
