-- Calendar events and wiki documents; see the SQLite file of the same number.

create table calendar_event (
    id text primary key,
    no bigint not null,
    company text not null,
    title text not null,
    description text not null,
    start_ms bigint not null,
    end_ms bigint not null,
    zone text not null,
    all_day bigint not null,
    location text not null,
    attendees text not null,
    task text,
    created_by text not null,
    created_ms bigint not null,
    updated_ms bigint not null,
    deleted_ms bigint
);
create unique index calendar_event_no on calendar_event (company, no);
create index calendar_event_start on calendar_event (company, start_ms, no) where deleted_ms is null;
create index calendar_event_task on calendar_event (task) where task is not null and deleted_ms is null;

create table wiki_doc (
    id text primary key,
    no bigint not null,
    company text not null,
    parent text,
    title text not null,
    search text not null,
    body text not null,
    version bigint not null,
    created_by text not null,
    updated_by text not null,
    created_ms bigint not null,
    updated_ms bigint not null,
    deleted_ms bigint
);
create unique index wiki_doc_no on wiki_doc (company, no);
create index wiki_doc_parent on wiki_doc (parent) where parent is not null and deleted_ms is null;


create table wiki_version (
    doc text not null,
    version bigint not null,
    title text not null,
    body text not null,
    by_actor text not null,
    at_ms bigint not null,
    primary key (doc, version)
);
