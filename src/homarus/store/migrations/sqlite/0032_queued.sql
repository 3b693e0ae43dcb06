-- A message that waits behind a running turn can be changed or dropped, and the row says by whom; and
-- a task made of a message keeps the link, from both ends.

alter table turn add column changed_by text;     -- as receipts name the actor; null: nobody did
alter table turn add column changed_ms bigint;

create table message_task (
    message text primary key,                -- one task a message
    company text not null,
    task text not null,
    by_actor text not null,
    created_ms bigint not null
) without rowid;
create unique index message_task_task on message_task (task);
