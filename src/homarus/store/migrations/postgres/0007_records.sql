-- Records; see the SQLite file of the same number.

create table artifact (
    id text primary key,
    no bigint not null,                     -- A-12; also the keyset of lists
    company text not null,
    project text,
    task text,
    customer text,
    agent text,
    title text,
    kind text not null,
    class text not null,                     -- source_document | working_file | proof | …
    importance text not null,
    content_type text not null,
    filename text,
    sha256 text,                             -- hexadecimal; null: a reference without checksum
    size_bytes bigint not null,
    stored bigint not null,                 -- 1: the content is under blobs/
    storage_url text,                        -- references: where it is kept
    source_kind text,
    source_ref text,
    created_by text not null,                -- as receipts name the actor
    visibility text not null,
    is_canonical bigint not null default 0,
    metadata text not null default '{}',
    retention_policy text,
    created_ms bigint not null,
    updated_ms bigint not null,
    deleted_ms bigint
);
create index artifact_list on artifact (company, no);
create index artifact_task on artifact (task, no) where task is not null;
create index artifact_project on artifact (project, no) where project is not null;
create index artifact_blob on artifact (sha256) where stored = 1 and deleted_ms is null;

-- Bytes of a company's stored artifacts, and how many it may have (null: the default).
create table artifact_usage (
    company text primary key,
    bytes bigint not null default 0,
    quota_bytes bigint
);

create table incident (
    id text primary key,
    no bigint not null,
    company text not null,
    project text,
    task text,
    severity text not null,
    reason_code text not null,
    summary text not null,
    recommended_action text,                 -- JSON
    status text not null,                    -- open | acknowledged | resolved
    opened_by text not null,                 -- as receipts name the actor
    created_ms bigint not null,
    updated_ms bigint not null,
    resolved_ms bigint,
    deleted_ms bigint
);
create index incident_list on incident (company, no);
create index incident_task on incident (task, reason_code) where task is not null;
