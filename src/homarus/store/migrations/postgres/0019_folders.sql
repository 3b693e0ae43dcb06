-- Folders of artifacts; see the SQLite file of the same number.

create table artifact_folder (
    id text primary key,
    no bigint not null,                     -- F-3; also the keyset of lists
    company text not null,
    parent text,                             -- null: a root
    place text not null,                     -- the parent, or a root's scope: names are unique in it
    project text,                            -- scope: whose it is, with all that lies in it
    customer text,
    agent text,
    kind text,
    name text not null,
    search text not null,                    -- the name in lower case
    height bigint not null default 0,       -- levels of live folders below it
    emptying bigint not null default 0,     -- 1: removed, what lies in it is still to be removed
    metadata text not null default '{}',
    created_by text not null,                -- as receipts name the actor
    created_ms bigint not null,
    updated_ms bigint not null,
    deleted_ms bigint
);
create unique index artifact_folder_name on artifact_folder (place, name) where deleted_ms is null;
create index artifact_folder_list on artifact_folder (company, no) where deleted_ms is null;
create index artifact_folder_root on artifact_folder (company, no)
    where parent is null and deleted_ms is null;
create index artifact_folder_child on artifact_folder (parent, no)
    where parent is not null and deleted_ms is null;
create index artifact_folder_project on artifact_folder (project, no)
    where project is not null and deleted_ms is null;
create index artifact_folder_customer on artifact_folder (customer, no)
    where customer is not null and deleted_ms is null;
create index artifact_folder_agent on artifact_folder (agent, no)
    where agent is not null and deleted_ms is null;
create index artifact_folder_height on artifact_folder (parent, height)
    where parent is not null and deleted_ms is null;
create index artifact_folder_emptying on artifact_folder (company, no) where emptying = 1;

alter table artifact add column folder text;             -- null: in none
alter table artifact add column promoted_ms bigint;     -- when it became canonical
alter table artifact add column version bigint not null default 1;
create index artifact_in_folder on artifact (folder, no)
    where folder is not null and deleted_ms is null;
create index artifact_customer on artifact (customer, no) where customer is not null;
create index artifact_agent on artifact (agent, no) where agent is not null;
create index artifact_kind on artifact (company, kind, no) where deleted_ms is null;

-- Contents that were replaced, the newest few of each artifact; they count as bytes in use.
create table artifact_version (
    artifact text not null,
    version bigint not null,
    company text not null,
    filename text,
    content_type text not null,
    sha256 text not null,
    size_bytes bigint not null,
    replaced_by text not null,               -- as receipts name the actor
    replaced_ms bigint not null,
    primary key (artifact, version)
);
create index artifact_version_blob on artifact_version (sha256);

-- Apart from the rows that lists read: how the content begins, and what a search looks in.
create table artifact_text (
    artifact text primary key,
    preview text,
    search text not null                     -- lower case
);
insert into artifact_text(artifact, search)
    select id, lower(coalesce(title, '') || ' ' || coalesce(filename, '') || ' ' || kind)
    from artifact where deleted_ms is null;
