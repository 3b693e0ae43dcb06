-- Heartbeats: an agent looks by itself whether there is something to do. One row an agent, changed in
-- place, so that a company that idles for years has no more rows than on its first day.
create table heartbeat (
    agent text primary key,
    company text not null,
    enabled integer not null,
    every_ms integer not null,
    open_minute integer,                     -- minutes after midnight; null: at any time
    close_minute integer,
    target text not null,                    -- last | main | none | a session's key
    prompt text,                             -- null: the daemon's own
    ack_max_chars integer not null,
    always integer not null,                 -- 1: ask the model each time
    next_ms integer,                         -- null: at no time
    wakes text not null default '[]',        -- JSON: texts that wait for the next one
    turn text,                               -- the one under way
    pending text,                            -- JSON: the mark that counts once it went well
    mark text not null default '{}',         -- JSON: what was known when it last went well
    looked_ms integer,                       -- any look, also one that asked no model
    outcome text,                            -- skipped | ok-empty | ok-token | sent | failed
    reason text,
    record text,                             -- JSON: the last one that asked a model, as told
    looks integer not null default 0,
    turns integer not null default 0,        -- looks that asked a model
    input_tokens integer not null default 0,
    output_tokens integer not null default 0,
    money integer not null default 0,        -- spent by them, in micros
    updated_ms integer not null
) without rowid;
create index heartbeat_due on heartbeat (next_ms) where next_ms is not null;
create index heartbeat_company on heartbeat (company);

-- All heartbeats of a company, on or off; and where its clock on the wall hangs.
alter table company add column heartbeats integer not null default 1;
alter table company add column zone text not null default 'UTC';

-- When a conversation begins anew by itself. `scope`: base, type:group, channel:telegram, session:<key>.
create table session_policy (
    company text not null,
    scope text not null,
    mode text not null,                      -- none | daily | idle
    at_hour integer not null,
    idle_minutes integer,
    primary key (company, scope)
) without rowid;

-- Lines of a heartbeat that came to nothing: kept, and not shown to the model again.
alter table entry add column quiet integer not null default 0;

-- Whether a message has been a turn already.
create index turn_message on turn (message) where message is not null;
