-- The dashboard: one-time codes and browser sessions (only their hashes), and the Board's index:
-- a column of the Board is the tasks of one state in order of their numbers.

create table browser_code (
    sha256 bytea primary key,
    token text not null,                     -- the operator's access token that asked for it
    expires_ms bigint not null
);

create table browser_session (
    sha256 bytea primary key,
    token text not null,                     -- ends with this access token
    created_ms bigint not null,
    expires_ms bigint not null
);
create index browser_session_token on browser_session (token, created_ms);

create index task_board on task (company, state, seq);
