-- Nodes: devices that offer commands (gateway contract, 11). What a node offers is approved as a whole,
-- and asked for again when it grows; what it is asked to do is a row before it hears of it.

create table node (
    company text not null,
    device text not null,
    declared text not null,                  -- JSON: caps, commands, permissions, as it said last
    approved text,                           -- the same; null: nothing of it yet
    version text,
    path_env text,
    connected_ms integer not null,           -- when it connected last
    approved_ms integer,
    approved_by text,
    primary key (company, device)
) without rowid;

create table node_pairing (
    id text primary key,
    company text not null,
    device text not null,
    surface text not null,                   -- JSON: what is asked for
    state text not null,                     -- pending | approved | rejected; past expires_ms: over
    created_ms integer not null,
    expires_ms integer not null,
    decided_ms integer,
    decided_by text
) without rowid;
create unique index node_pairing_open on node_pairing (company, device) where state = 'pending';

create table node_invoke (
    id text primary key,
    company text not null,
    device text not null,
    command text not null,
    what text not null,                      -- in words, shortened
    digest blob not null,                   -- SHA-256 of node, command and parameters
    credential text not null,                -- who asked, with the key that it gave
    key text not null,
    boot text not null,                      -- the run of the daemon that sent it
    state text not null,                     -- sent | done | failed | unknown
    reason text,
    reply text,                              -- JSON; null: none, or too large to keep
    receipt_seq integer not null,            -- the receipt of the intent
    created_ms integer not null,
    until_ms integer not null,
    ended_ms integer
) without rowid;
create unique index node_invoke_key on node_invoke (company, credential, key);
create index node_invoke_open on node_invoke (until_ms) where state = 'sent';
