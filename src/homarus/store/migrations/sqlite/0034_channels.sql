-- Talk over channels (gateway contract, 8, 10): where it takes place, what goes out, who asked to be let
-- in. Message -> delivery: what is said is a message; that it goes to somebody elsewhere is a delivery.

create table channel_place (
    company text not null,
    channel text not null,                   -- telegram
    account text not null,
    target text not null,                    -- a chat, as the platform names it
    thread text not null,                    -- within it; '' for none
    conversation text not null,              -- where its messages stand here
    session text,                            -- key of the session that answers; null: none does
    kind text not null,                      -- direct | group | channel
    inbound_ms integer,
    outbound_ms integer,
    primary key (company, channel, account, target, thread)
) without rowid;
create index channel_place_conversation on channel_place (conversation, inbound_ms);

create table delivery (
    id text primary key,                     -- with the part: the token that a channel may dedupe by
    no integer not null,                     -- age in the company
    company text not null,
    message text not null,
    channel text not null,
    account text not null,
    target text not null,
    thread text,
    reply_to text,                           -- the platform's id of the message that is answered
    lane text not null,                      -- channel, account and target: order holds within
    speaker text,                            -- name of the agent who says it
    agent text,                              -- and its id
    task text,                               -- the standing task of its session, for STOP
    text text not null,
    state text not null,                     -- queued | sending | sent | unknown | failed | dropped
    parts_out integer not null default 0,
    attempts integer not null default 0,
    token integer not null default 0,        -- fence: one up at each attempt
    until_ms integer,                        -- whoever sends it is alive until then
    next_ms integer not null,
    posted text not null default '[]',       -- JSON: the platform's ids of the parts that are out
    error text,
    key text,                                -- idempotency key of who had it sent
    digest blob,                             -- SHA-256 of what that key stood for
    by_actor text not null,
    created_ms integer not null,
    ended_ms integer
) without rowid;
create unique index delivery_key on delivery (company, key) where key is not null;
create index delivery_lane on delivery (company, lane, no) where state in ('queued', 'sending');
create index delivery_due on delivery (company, channel, account, no) where state = 'queued';
create index delivery_sending on delivery (company, until_ms) where state = 'sending';
create index delivery_attention on delivery (company, channel, account, state)
    where state in ('queued', 'unknown', 'failed');
create index delivery_list on delivery (company, no);
create index delivery_message on delivery (message);

create table channel_pairing (
    id text primary key,
    company text not null,
    channel text not null,
    account text not null,
    sender text not null,
    name text,
    target text not null,                    -- where they wrote from
    code text not null,
    state text not null,                     -- pending | approved | dismissed; past expires_ms: over
    created_ms integer not null,
    expires_ms integer not null,
    decided_ms integer,
    decided_by text
) without rowid;
create unique index channel_pairing_approved on channel_pairing (company, channel, account, sender)
    where state = 'approved';
create index channel_pairing_pending on channel_pairing (company, channel, account, created_ms)
    where state = 'pending';

-- Of several daemons on one store, one has an account's connection at a time.
create table channel_lease (
    company text not null,
    channel text not null,
    account text not null,
    holder text not null,
    until_ms integer not null,
    primary key (company, channel, account)
) without rowid;
