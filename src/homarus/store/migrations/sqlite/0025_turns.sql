-- The agents that this daemon runs. A session is an agent's memory of one conversation; a turn is one
-- inbound message and all that is done to answer it; an entry is one line of the transcript. Each row
-- stands before it is acted on: whoever finds them after a crash can go on.

create table session (
    id text primary key,                     -- sessionId
    company text not null,
    agent text not null,
    key text not null,                       -- agent:ada:main, lower case
    kind text not null,                      -- direct | group | thread | http | task | subagent
    conversation text not null,              -- where its messages stand
    task text not null,                      -- its standing task: what STOP, budgets and traces name
    label text,
    model text,                              -- this session's own choice; null: the agent's
    thinking text,
    queue_mode text,                         -- null: the default of the daemon
    entries integer not null default 0,      -- seq of the newest entry
    first_kept integer not null default 1,   -- the model's context begins here
    compactions integer not null default 0,
    input_tokens integer not null default 0,
    output_tokens integer not null default 0,
    context_tokens integer not null default 0, -- of the last request
    created_ms integer not null,
    updated_ms integer not null,
    interaction_ms integer not null,         -- when a person last spoke
    ended_ms integer                         -- reset or deleted; the key is free again
) without rowid;
create unique index session_live on session (company, key) where ended_ms is null;
create index session_list on session (company, updated_ms);
create index session_conversation on session (conversation) where ended_ms is null;

create table turn (
    id text primary key,
    no integer not null,                     -- in the company; age within a session
    company text not null,
    session text not null,
    agent text not null,
    key text not null,                       -- idempotency key
    origin text not null,                    -- chat | http | task | heartbeat | spawn
    asked_by text not null,                  -- as receipts name the actor
    person integer not null,                 -- 1: an operator asked; may have real work done
    mode text not null,                      -- steer | followup | collect | interrupt
    text text not null,
    message text,                            -- the message it answers
    options text not null default '{}',      -- JSON: model, thinking, instructions, client tools, …
    state text not null,                     -- queued | running | parked | done | failed | aborted | merged
    token integer not null default 0,        -- fence: one up at each start
    until_ms integer,                        -- the worker that runs it is alive until then
    attempts integer not null default 0,
    calls integer not null default 0,        -- of models
    preflight text,
    reply text,                              -- the message that answers it
    outcome text,                            -- JSON: text, stop, usage, error
    created_ms integer not null,
    started_ms integer,
    ended_ms integer
) without rowid;
create unique index turn_key on turn (company, key);
create index turn_waiting on turn (session, no) where state in ('queued', 'running', 'parked');
create index turn_ready on turn (company, no) where state = 'queued';
create index turn_running on turn (company, until_ms) where state = 'running';

create table entry (
    session text not null,
    seq integer not null,
    id text not null,
    turn text,
    kind text not null,                      -- message | compaction | model_change | custom
    body text not null,                      -- JSON, in the documented form of a transcript line
    created_ms integer not null,
    primary key (session, seq)
) without rowid;

-- Intent and outcome of each request to a model.
create table model_call (
    id text primary key,
    company text not null,
    turn text not null,
    n integer not null,
    model text not null,
    prompt blob not null,                    -- SHA-256 of the request
    reservation text,
    receipt_seq integer not null,
    state text not null,                     -- running | done | failed | unknown
    usage text,                              -- JSON
    error text,
    created_ms integer not null,
    ended_ms integer
) without rowid;
create index model_call_turn on model_call (turn, n);

-- Intent and outcome of each call of a tool. `ready` before anything happened.
create table tool_call (
    id text primary key,
    company text not null,
    session text not null,
    turn text not null,
    seq integer not null,                    -- of the assistant's entry that asks for it
    n integer not null,                      -- in that entry
    ref text not null,                       -- the model's own id of it
    tool text not null,
    arguments text not null,                 -- JSON text as the model gave it
    state text not null,                     -- ready | running | waiting | done | failed | unknown
    attempts integer not null default 0,
    receipt_seq integer,
    approval text,
    ended_seq integer,                       -- of the entry that holds its result
    created_ms integer not null,
    ended_ms integer
) without rowid;
create unique index tool_call_place on tool_call (session, seq, n);
create index tool_call_turn on tool_call (turn) where ended_seq is null;
