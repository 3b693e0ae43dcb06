-- Knowledge and the lending of secrets; see the SQLite file of the same number.

alter table resource add column is_exclusive bigint not null default 0;   -- one lease at a time
alter table resource add column secret_version bigint not null default 0;
alter table resource add column text_version bigint not null default 0;
alter table resource add column name_key text not null default '';      -- see company/notes.py: title_key
alter table resource add column display_key text;
update resource set name_key=lower(name), display_key=lower(display_name);
update resource set secret_version=1 where secret_sealed is not null;
update resource set text_version=1 where config is not null;
create index resource_name_key on resource (company, name_key, no) where deleted_ms is null;
create index resource_display_key on resource (company, display_key, no)
    where deleted_ms is null and display_key is not null;
create index resource_kind on resource (company, scope_type, no) where deleted_ms is null;
create index resource_shared on resource (company, no) where deleted_ms is null and is_shared = 1;

alter table agent_integration add column secret_version bigint not null default 0;
update agent_integration set secret_version=1 where secret_sealed is not null;

-- Secrets that were replaced; the one in force is in the row of its resource or integration.
create table secret_version (
    subject text not null,                   -- id of a resource or integration
    version bigint not null,
    company text not null,
    sealed bytea not null,
    key_version bigint not null,
    replaced_ms bigint not null,
    primary key (subject, version)
);

create table secret_lease (
    id text primary key,
    no bigint not null,
    company text not null,
    kind text not null,                      -- resource | integration
    subject text not null,                   -- its id
    agent text,
    session text,
    task text,
    task_token bigint,                      -- fence of the claim under which it was lent
    credential text not null,                -- id of the access token that got it
    is_exclusive bigint not null default 0,
    version bigint not null,                -- of the secret; 0: there was none
    key_version bigint not null,
    reason text,
    created_ms bigint not null,
    expires_ms bigint not null,
    ended_ms bigint,
    end_reason text                          -- see company/secret_leases.py
);
create index secret_lease_list on secret_lease (company, no);
create index secret_lease_open on secret_lease (company, no) where ended_ms is null;
create index secret_lease_subject on secret_lease (subject, no) where ended_ms is null;
create index secret_lease_credential on secret_lease (credential, no);
create unique index secret_lease_exclusive on secret_lease (subject)
    where ended_ms is null and is_exclusive = 1;

-- Every attempt to get a secret; equal refusals within a minute are one row that counts.
create table secret_access (
    id text primary key,
    no bigint not null,
    company text not null,
    subject text not null,
    outcome text not null,                   -- success | forbidden
    code text,                               -- of the refusal
    actor text not null,                     -- as receipts name it
    credential text not null,
    agent text,                              -- as the caller named it, when refused
    session text,
    task text,
    lease text,
    reason text,
    repeats bigint not null default 1,
    at_ms bigint not null,
    last_ms bigint not null
);
create index secret_access_subject on secret_access (subject, no);
create index secret_access_age on secret_access (company, last_ms);

create table resource_version (
    resource text not null,
    version bigint not null,
    company text not null,
    name text not null,
    config text not null,
    author text not null,                    -- as receipts name the actor
    created_ms bigint not null,
    primary key (resource, version)
);
insert into resource_version(resource, version, company, name, config, author, created_ms)
    select id, 1, company, name, config, 'system:migration', updated_ms from resource
    where config is not null;

-- What a note says about itself, written with it. A link names a title; which resource that is, is
-- looked up by title when it is asked for, so that a rename rewrites nothing.
create table resource_tag (
    resource text not null,
    tag text not null,
    company text not null,
    primary key (resource, tag)
);
create index resource_tag_tag on resource_tag (company, tag, resource);

create table resource_link (
    source text not null,
    n bigint not null,                      -- order of appearance
    title text not null,                     -- as written
    title_key text not null,
    company text not null,
    primary key (source, n)
);
create index resource_link_title on resource_link (company, title_key, source);
