-- Talk: one chain for threads, sessions and chats. Conversation -> message (-> delivery, which
-- comes with the channels).

create table conversation (
    id text primary key,
    no bigint not null,
    company text not null,
    type text not null,                      -- team | direct | project | …
    agent text,                              -- direct: with whom
    title text,
    project text,
    task text,
    incident text,
    created_by_type text not null,           -- agent | human | system
    created_by text,
    created_ms bigint not null,
    archived_ms bigint
);
create unique index conversation_team on conversation (company) where type = 'team';
create unique index conversation_direct on conversation (company, agent) where type = 'direct';
create index conversation_list on conversation (company, no);
create index conversation_task on conversation (task, no) where task is not null;
create index conversation_project on conversation (project, no) where project is not null;

create table participant (
    conversation text not null,
    kind text not null,                      -- agent | human
    ref text not null,                       -- agent id, or access token id of a person
    joined_ms bigint not null,
    last_read_ms bigint,
    last_sent_seq bigint not null default 0,
    typing_until_ms bigint,
    primary key (conversation, kind, ref)
);
create index participant_ref on participant (ref, conversation);

-- `seq` is the order of a company's messages; `created_ms` rises strictly with it, so that a cursor
-- made of either neither skips nor repeats (control-plane contract, 18.13).
create table message (
    company text not null,
    seq bigint not null,
    id text not null unique,
    conversation text not null,
    sender_type text not null,               -- human | agent | system
    sender text,
    target_agent text,
    text text not null,
    metadata text not null default '{}',     -- JSON object
    delivery_state text not null,            -- queued | seen | acting | resolved
    platform_message text,
    created_ms bigint not null,
    primary key (company, seq)
);
create index message_conversation on message (conversation, seq);
create index message_sender on message (company, sender_type, seq);
create index message_open on message (conversation, seq) where sender_type = 'human';
create unique index message_platform on message (company, platform_message)
    where platform_message is not null;
create unique index message_created on message (company, created_ms);
