-- Heartbeats; see the SQLite file of the same number.

create table heartbeat (
    agent text primary key,
    company text not null,
    enabled bigint not null,
    every_ms bigint not null,
    open_minute bigint,
    close_minute bigint,
    target text not null,
    prompt text,
    ack_max_chars bigint not null,
    always bigint not null,
    next_ms bigint,
    wakes text not null default '[]',
    turn text,
    pending text,
    mark text not null default '{}',
    looked_ms bigint,
    outcome text,
    reason text,
    record text,
    looks bigint not null default 0,
    turns bigint not null default 0,
    input_tokens bigint not null default 0,
    output_tokens bigint not null default 0,
    money bigint not null default 0,
    updated_ms bigint not null
);
create index heartbeat_due on heartbeat (next_ms) where next_ms is not null;
create index heartbeat_company on heartbeat (company);

alter table company add column heartbeats bigint not null default 1;
alter table company add column zone text not null default 'UTC';

create table session_policy (
    company text not null,
    scope text not null,
    mode text not null,
    at_hour bigint not null,
    idle_minutes bigint,
    primary key (company, scope)
);

alter table entry add column quiet bigint not null default 0;

create index turn_message on turn (message) where message is not null;
