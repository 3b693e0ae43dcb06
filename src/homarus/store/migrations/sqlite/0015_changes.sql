-- Changing the system: change records with their reviews, and the kept versions of documents.

create table change_record (
    id text primary key,
    company text not null,
    no integer not null,                          -- C-3 for people
    kind text not null,                      -- config | governed_document | governed_setting | ...
    target text not null,                    -- document path, setting, capability, pipeline
    intent text not null,
    impact text not null,
    rollback_plan text not null,
    validation text not null,                -- how it was or will be checked
    patch text not null,                     -- JSON, by kind
    major integer not null default 0,
    aspects text not null default '[]',      -- JSON: further perspectives that must agree
    status text not null,                    -- proposed | validated | approved | switched | ...
    author text not null,                    -- as receipts name the actor; unknown: found on disk
    author_persons text not null,            -- JSON: who must not approve it
    failures text not null default '[]',     -- JSON of the last check: [path, message]
    approver text,
    self_approved integer not null default 0,
    confirm_ms integer,                           -- the sole operator's first act of approving
    previous text,                           -- JSON: what the switch replaced
    switch_no integer,                            -- order of switches of the company
    created_ms integer not null,
    updated_ms integer not null,
    approved_ms integer,
    switched_ms integer
) without rowid;
create unique index change_record_no on change_record (company, no);
create index change_record_status on change_record (company, status, no);
create index change_record_target on change_record (company, kind, target, switch_no);

create table change_review (
    change_id text not null,
    n integer not null,
    perspective text not null,               -- coo | scoder | pm | marketer
    opinion text not null,                   -- agree | object
    comment text not null,
    answer text,                             -- how an objection was met, or why not
    reviewer text not null,
    at_ms integer not null,
    primary key (change_id, n)
) without rowid;

create table document_version (
    company text not null,
    path text not null,
    n integer not null,                           -- counts the versions of a path from 1
    sha256 blob not null,
    content text not null,
    version text not null,
    state text not null,
    removed integer not null default 0,           -- this version is: there is no such document
    change_no integer,
    by_actor text not null,
    at_ms integer not null,
    primary key (company, path, n)
) without rowid;

-- Whether a person (not the agent itself, not a company token) gave the agent its role: only then
-- it counts when changes are approved.
alter table agent add column role_confirmed integer not null default 0;
update agent set role_confirmed = 1 where role in ('coo', 'approver', 'owner');
