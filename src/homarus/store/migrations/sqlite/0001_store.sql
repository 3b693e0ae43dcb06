-- The store's own tables: companies and their heads, the event feed, idempotency, counters.
-- Company number 0 (id '') is the instance itself: founding companies and instance tokens.

create table meta (key text primary key, value text not null) without rowid;

create table migration (
    no integer primary key, name text not null, sha256 text not null
) without rowid;

create table company (
    no integer primary key,
    id text not null unique,
    slug text not null unique,
    name text not null,
    template text not null default 'studio',
    context_notes text,
    created_ms integer not null,
    deleted_ms integer
);

create table company_head (
    company_no integer primary key,
    event_seq integer not null default 0,
    receipt_seq integer not null default 0,
    seal_no integer not null default 0,
    seal_hash blob not null default x'',
    sealed_seq integer not null default 0
);

-- Gap-free per company; a task's time line is the events that name it.
create table event (
    company_no integer not null,
    seq integer not null,
    at_ms integer not null,
    kind text not null,
    subject blob,
    actor text not null,
    data text,
    primary key (company_no, seq)
) without rowid;
create index event_subject on event (subject, seq);

create table idempotency (
    company_no integer not null,
    id blob not null,
    body blob not null,
    status integer not null,
    reply blob not null,
    at_ms integer not null,
    primary key (company_no, id, body)
) without rowid;

create table counter (
    company_no integer not null,
    kind text not null,
    n integer not null,
    primary key (company_no, kind)
) without rowid;

insert into company (no, id, slug, name, template, created_ms) values (0, '', '', 'instance', '', 0);
insert into company_head (company_no) values (0);
