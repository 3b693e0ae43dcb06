-- The store's own tables; see the SQLite file of the same number.

create table meta (key text primary key, value text not null);

create table migration (no integer primary key, name text not null, sha256 text not null);

create table company (
    no bigint primary key,
    id text not null unique,
    slug text not null unique,
    name text not null,
    template text not null default 'studio',
    context_notes text,
    created_ms bigint not null,
    deleted_ms bigint
);

create table company_head (
    company_no bigint primary key,
    event_seq bigint not null default 0,
    receipt_seq bigint not null default 0,
    seal_no bigint not null default 0,
    seal_hash bytea not null default ''::bytea,
    sealed_seq bigint not null default 0
);

create table event (
    company_no bigint not null,
    seq bigint not null,
    at_ms bigint not null,
    kind text not null,
    subject bytea,
    actor text not null,
    data text,
    primary key (company_no, seq)
);
create index event_subject on event (subject, seq);

create table idempotency (
    company_no bigint not null,
    id bytea not null,
    body bytea not null,
    status integer not null,
    reply bytea not null,
    at_ms bigint not null,
    primary key (company_no, id, body)
);

create table counter (
    company_no bigint not null,
    kind text not null,
    n bigint not null,
    primary key (company_no, kind)
);

insert into company (no, id, slug, name, template, created_ms) values (0, '', '', 'instance', '', 0);
insert into company_head (company_no) values (0);
