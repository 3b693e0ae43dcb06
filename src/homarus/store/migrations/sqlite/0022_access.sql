-- Access: when a token was used last, programs that ask people for a token (OAuth) and the codes
-- that they exchange for it, and the secret that signs what a company's inbound webhook takes.

alter table token add column last_used_ms integer;   -- to the minute; null: never

create table oauth_client (
    id text primary key,                     -- oc_…
    name text not null,                      -- as it calls itself
    uri text,
    redirects text not null,                 -- JSON list of exact URIs
    created_ms integer not null,
    granted_ms integer                       -- a person said yes last; null: never
) without rowid;
create index oauth_client_made on oauth_client (created_ms);

create table oauth_code (
    sha256 blob primary key,
    client text not null,
    company text not null,
    redirect text not null,
    challenge text not null,                 -- S256 of the client's verifier
    scope text not null,
    resource text,
    granter text not null,                   -- the operator's access token that said yes
    expires_ms integer not null,
    spent_ms integer,                        -- tried once, rightly or wrongly; null: not yet
    token text                               -- what it was exchanged for
) without rowid;
create index oauth_code_end on oauth_code (expires_ms);

create table webhook_secret (
    company text primary key,
    sealed blob not null,                    -- encrypted with the home's master key
    by_actor text not null,
    updated_ms integer not null
) without rowid;
