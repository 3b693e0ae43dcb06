-- Set-up codes; see the SQLite file of the same number.

create table setup_code (
    id text primary key,
    company text not null,
    sha256 bytea not null,                   -- of the bootstrap token; the token itself is nowhere
    profile text not null,                   -- node | operator | limited
    token text not null,                     -- of whoever minted it: the code is as good as that
    minted_by text not null,
    created_ms bigint not null,
    expires_ms bigint not null,
    used_ms bigint,
    device text,                             -- that was paired with it
    device_name text,
    revoked_ms bigint
);
create unique index setup_code_sha256 on setup_code (sha256);
create index setup_code_expires on setup_code (company, expires_ms);
