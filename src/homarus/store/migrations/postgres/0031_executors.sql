-- Executors; see the SQLite file of the same number.

alter table turn add column work_token bigint;
create index turn_task on turn (work) where work_token is not null and ended_ms is null;

alter table run add column restartable bigint not null default 0;

alter table agent add column executor_config text;

create index task_unpaid on task (company, seq) where state = 'blocked' and reason = 'budget';
