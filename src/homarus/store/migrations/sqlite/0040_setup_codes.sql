-- Set-up codes: what an owner mints so that one new device pairs by itself (gateway contract, 9).

create table setup_code (
    id text primary key,
    company text not null,
    sha256 blob not null,                    -- of the bootstrap token; the token itself is nowhere
    profile text not null,                   -- node | operator | limited
    token text not null,                     -- of whoever minted it: the code is as good as that
    minted_by text not null,
    created_ms integer not null,
    expires_ms integer not null,
    used_ms integer,
    device text,                             -- that was paired with it
    device_name text,
    revoked_ms integer
) without rowid;
create unique index setup_code_sha256 on setup_code (sha256);
create index setup_code_expires on setup_code (company, expires_ms);
