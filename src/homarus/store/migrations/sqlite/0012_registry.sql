-- The capability registry in full (governance contract, 6), calls of capabilities, and the outbox
-- that mirrors are written through (9).

alter table capability add column keywords text not null default '[]';  -- JSON list
alter table capability add column risk text not null default 'medium';  -- low | medium | high
alter table capability add column owner text;                -- agent that answers for it
alter table capability add column input text;                -- JSON Schema of the arguments
alter table capability add column targets text not null default '[]';   -- JSON list of patterns
alter table capability add column quota text;                -- quota class
alter table capability add column quarantined integer not null default 0;  -- waits for its first grant
alter table capability add column sha256 blob;               -- skills: of the whole folder
alter table capability add column content text;              -- skills: the text of SKILL.md
alter table capability add column source text not null default 'owner';  -- owner | document

-- A new random value with each change of a company's registry: what is made from it is kept by this.
create table registry_stamp (
    company text primary key,
    stamp text not null
) without rowid;

-- One call of a registered capability: the intent, then what became of it.
create table call (
    id text primary key,
    company text not null,
    task text not null,
    agent text not null,
    token integer not null,              -- the lease's fence
    capability text not null,
    version integer not null,
    effect integer not null,
    target text not null,
    arguments text not null,             -- JSON object
    digest blob not null,                -- of capability, target and arguments
    state text not null,                 -- ready | running | done | failed | unknown
    attempts integer not null default 0,
    receipt_seq integer not null,        -- the receipt of the intent
    reason text,
    output text,                         -- JSON object, bounded
    created_ms integer not null,
    started_ms integer,
    until_ms integer,                    -- running: a worker that lives has ended it by then
    ended_ms integer
) without rowid;
create index call_open on call (state, company, id) where state in ('ready', 'running');
create index call_task on call (task, id);

-- Changes on their way to a mirror: columns of the manual, times in Unix ms, and ours after them.
create table outbox_v2 (
    id text primary key,
    entity_type text not null,           -- task | calendar_event | wiki_doc
    entity_id text not null,
    action text not null,                -- create | update | delete | publish
    target_type text not null,           -- lark_base | lark_wiki | lark_calendar | obsidian
    target_config text not null default '{}',
    payload text not null default '{}',
    status text not null default 'pending',
    -- pending | processing | unknown | completed | failed | dropped
    retry_count integer not null default 0,
    max_retries integer not null default 3,
    created_at integer not null,
    updated_at integer not null,
    scheduled_at integer not null,
    processed_at integer,
    completed_at integer,
    error_msg text not null default '',
    receipt_id text not null default '', -- the id at the target
    company_id text not null,
    mirror_id text not null default '',
    priority integer not null default 0,
    trace_id text,
    lease_until integer,
    worker text,
    payload_hash blob,
    push_token text,
    kernel_receipt text
) without rowid;
create index idx_outbox_v2_status_scheduled on outbox_v2 (status, scheduled_at);
create index idx_outbox_v2_entity on outbox_v2 (entity_type, entity_id);
create index idx_outbox_v2_target on outbox_v2 (target_type, status);
create unique index outbox_v2_pending
    on outbox_v2 (company_id, entity_type, entity_id, target_type, mirror_id)
    where status = 'pending';
