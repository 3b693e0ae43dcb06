-- The ground of governance: how strictly a company holds its rules, and the settings that only a
-- change record may set.

alter table company add column level text not null default 'enforce';  -- enforce | observe
update company set level = 'observe' where template = 'solo';

create table governed_setting (
    company text not null,
    name text not null,
    value text not null,                     -- JSON
    set_ms bigint not null,
    primary key (company, name)
);

alter table agent add column trust bigint not null default 60;  -- 0 to 100
create index agent_trust on agent (company, trust) where deleted_ms is null;

alter table task_spec add column route_level bigint not null default 0;  -- L0 to L3

-- What the rules need of a registered capability beyond 0002.
alter table capability add column mirror text;                -- target type of the mirror it reaches
alter table capability add column approval bigint not null default 0;  -- each call needs an approval

-- Documents of the main space (company/<slug>/): the approved version is the row.
create table document (
    company text not null,
    path text not null,                      -- below the main space, with /
    class text not null,                     -- governed | plain
    kind text not null default 'document',   -- wiki | sop | agents | card | rule | document
    title text not null default '',
    sha256 bytea not null,                    -- of the approved text
    content text not null,                   -- the approved text itself
    version text not null default '1.0.0',
    state text not null default 'Final',     -- Draft | Final
    approved_ms bigint not null,
    change_no bigint,                           -- the change record that switched it last
    deleted_ms bigint,
    primary key (company, path)
);

-- What rules refused, or would have refused, by time: few rows of the ledger.
create index receipt_ruled on receipt (company_no, at_ms) where rule is not null;
