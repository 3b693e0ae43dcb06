-- What clients keep of a session for themselves; see the SQLite file of the same number.

alter table session add column archived bigint not null default 0;
alter table session add column pinned bigint not null default 0;
alter table session add column unread bigint not null default 0;
