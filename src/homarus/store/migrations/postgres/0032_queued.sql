-- Changes of queued messages, and tasks made of messages; see the SQLite file of the same number.

alter table turn add column changed_by text;
alter table turn add column changed_ms bigint;

create table message_task (
    message text primary key,
    company text not null,
    task text not null,
    by_actor text not null,
    created_ms bigint not null
);
create unique index message_task_task on message_task (task);
