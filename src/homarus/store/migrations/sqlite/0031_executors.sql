-- Who does a claimed task: turns of a model, another gateway, an installed Claude Code.

-- The fence of the claim that a turn works under; null: the turn is a conversation's.
alter table turn add column work_token integer;
create index turn_task on turn (work) where work_token is not null and ended_ms is null;

-- Whether a run whose outcome a crash hid may simply be done again; a command's is its capability's.
alter table run add column restartable integer not null default 0;

-- JSON: where an agent's executor is, and how it is to be asked; see `company/executors.py`.
alter table agent add column executor_config text;

create index task_unpaid on task (company, seq) where state = 'blocked' and reason = 'budget';
