-- Devices: key pairs that speak for a person or a node at the gateway (gateway contract, 2). A token
-- of theirs is a row of `token` with scope `device`: it counts only beside a signature of the key.

create table device (
    company text not null,
    id text not null,                        -- SHA-256 of the public key, hexadecimal
    public_key text not null,                -- base64url
    name text,
    label text,                              -- what an operator calls it
    platform text,
    family text,
    client_id text not null,
    client_mode text not null,
    remote_ip text,
    approved_via text not null,              -- silent | owner
    created_ms integer not null,
    approved_ms integer not null,
    primary key (company, id)
) without rowid;

-- What a device may, by the role that it connects in.
create table device_grant (
    company text not null,
    device text not null,
    role text not null,                      -- operator | node
    scopes text not null,                    -- JSON, sorted
    token text,                              -- null: made when it connects next
    nonce text,                              -- what the token's secret is derived from
    created_ms integer not null,
    rotated_ms integer,
    revoked_ms integer,
    primary key (company, device, role)
) without rowid;
create unique index device_grant_token on device_grant (token) where token is not null;

-- A device asks to be let in. The row stands before anybody is asked.
create table device_pairing (
    id text primary key,
    company text not null,
    device text not null,
    public_key text not null,
    name text,
    platform text,
    family text,
    client_id text not null,
    client_mode text not null,
    role text not null,
    scopes text not null,                    -- JSON, sorted
    reason text not null,                    -- not-paired | role-upgrade | scope-upgrade | metadata-upgrade
    remote_ip text,
    state text not null,                     -- pending | approved | rejected; past expires_ms: over
    created_ms integer not null,
    expires_ms integer not null,
    decided_ms integer,
    decided_by text
) without rowid;
create unique index device_pairing_open on device_pairing (company, device) where state = 'pending';
