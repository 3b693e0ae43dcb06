-- Calendar events and wiki documents: rows of the company, which scans read and mirrors show (R2, R3).

create table calendar_event (
    id text primary key,
    no integer not null,
    company text not null,
    title text not null,
    description text not null,
    start_ms integer not null,
    end_ms integer not null,                 -- the first moment after it
    zone text not null,                      -- IANA; of the clock that start and end were told by
    all_day integer not null,                -- 1: from midnight to midnight there
    location text not null,
    attendees text not null,                 -- JSON: texts
    task text,
    created_by text not null,
    created_ms integer not null,
    updated_ms integer not null,
    deleted_ms integer
) without rowid;
create unique index calendar_event_no on calendar_event (company, no);
create index calendar_event_start on calendar_event (company, start_ms, no) where deleted_ms is null;
create index calendar_event_task on calendar_event (task) where task is not null and deleted_ms is null;

create table wiki_doc (
    id text primary key,
    no integer not null,
    company text not null,
    parent text,
    title text not null,
    search text not null,                    -- the title in lower case
    body text not null,                      -- Markdown
    version integer not null,
    created_by text not null,
    updated_by text not null,
    created_ms integer not null,
    updated_ms integer not null,
    deleted_ms integer
) without rowid;
create unique index wiki_doc_no on wiki_doc (company, no);
create index wiki_doc_parent on wiki_doc (parent) where parent is not null and deleted_ms is null;

-- Its latest versions, the one in force too.
create table wiki_version (
    doc text not null,
    version integer not null,
    title text not null,
    body text not null,
    by_actor text not null,
    at_ms integer not null,
    primary key (doc, version)
) without rowid;
