-- What clients keep of a session for themselves; no rule looks at it.

alter table session add column archived integer not null default 0;  -- left out of lists
alter table session add column pinned integer not null default 0;
alter table session add column unread integer not null default 0;
