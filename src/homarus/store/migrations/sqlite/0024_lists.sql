-- Lists and watches that cost the same however many rows a company has.

-- Newest first, page by page, also where a filter names few rows.
drop index agent_created;
create index agent_list on agent (company, no) where deleted_ms is null;
drop index project_created;
create index project_list on project (company, no) where deleted_ms is null;
create index project_status on project (company, status, no) where deleted_ms is null;
create index customer_list on customer (company, created_ms, id) where deleted_ms is null;
drop index project_memory_project;
create index project_memory_list on project_memory (project, created_ms, id);
create index incident_status on incident (company, status, no) where deleted_ms is null;
create index incident_severity on incident (company, severity, no) where deleted_ms is null;
create index incident_project on incident (project, no) where project is not null;
create index incident_of_task on incident (task, no) where task is not null;
create index incident_stale on incident (company)
    where reason_code = 'unclaimed_stale' and status <> 'resolved' and deleted_ms is null;
create index approval_project on approval (project, no) where project is not null;
create index approval_agent on approval (agent, no) where agent is not null;
create index conversation_type on conversation (company, type, no);
create index budget_list on budget (company, id);
drop index resource_path;
create index resource_path on resource (company, path, no) where deleted_ms is null;
create index resource_status on resource (company, status, no) where deleted_ms is null;
create index resource_type on resource (company, type, no) where deleted_ms is null;
create index resource_provider on resource (company, provider, no) where deleted_ms is null;
create index resource_name on resource (company, name, no) where deleted_ms is null;

-- How many resources are directly in a folder, by scope ('': the company's own): what the tree of
-- folders is made of.
create table resource_folder (
    company text not null,
    path text not null,
    scope text not null,
    n integer not null,
    primary key (company, path, scope)
) without rowid;
insert into resource_folder (company, path, scope, n)
    select company, path, coalesce(scope, ''), count(*) from resource
    where deleted_ms is null and path <> '' group by company, path, coalesce(scope, '');

-- Work that waits too long: deadlines of tasks that have one, and up to where each company's tasks
-- were looked at when they turned an hour old. Tasks without a deadline pay nothing here.
create table task_deadline (
    task text primary key,
    company text not null,
    due_ms integer not null
) without rowid;
create index task_deadline_due on task_deadline (due_ms);

create table stale_watch (
    company text primary key,
    seq integer not null                     -- the number of the last task that was looked at
) without rowid;
insert into stale_watch (company, seq) select company, max(seq) from task group by company;
insert into task_deadline (task, company, due_ms)
    select s.task, t.company, s.sla_due_ms from task_spec s join task t on t.id = s.task
    where s.sla_due_ms is not null and t.state in ('inbox', 'queued', 'in_progress', 'review', 'blocked');
