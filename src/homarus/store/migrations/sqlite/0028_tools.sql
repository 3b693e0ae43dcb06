-- Tools of the agents that this daemon runs: what they call, where they reach, who serves them.

-- A conversation's own task is looked up by its id whenever something is judged for it.
create index session_task on session (task);

-- Which tool call asked for it (it asks once), and since when somebody wants it ended.
alter table call add column tool_call text;
alter table call add column stopping_ms integer;
create unique index call_tool_call on call (tool_call) where tool_call is not null;
create index call_stopping on call (company) where stopping_ms is not null and ended_ms is null;

-- Each host that a run reached through the egress proxy. The row stands before the first byte.
create table egress_visit (
    id text primary key,
    company text not null,
    run text not null,                       -- a call, a run or a tool call
    agent text not null,
    task text,
    capability text not null,                -- what the run was judged as
    host text not null,
    port integer not null,
    state text not null,                     -- open | done | unknown
    requests integer not null default 0,
    bytes_up integer not null default 0,
    bytes_down integer not null default 0,
    secrets text not null default '[]',      -- JSON: names of the handles whose value was added
    receipt_seq integer not null,
    opened_ms integer not null,
    closed_ms integer
) without rowid;
create index egress_visit_run on egress_visit (company, run, opened_ms);
create index egress_visit_open on egress_visit (company) where state = 'open';

-- MCP servers, and which of their tools is which capability.
create table mcp_server (
    company text not null,
    name text not null,
    transport text not null,                 -- stdio | http
    argv text not null default '[]',         -- JSON; of stdio
    url text,                                -- of http
    headers text not null default '{}',      -- JSON; values may hold secret:// handles
    reads text not null default '[]',        -- JSON: tools that an owner says only read
    hosts text not null default '[]',        -- JSON: what a stdio server may reach
    enabled integer not null default 1,
    fault text,                              -- why it does not run now
    looked_ms integer,                       -- when its tools were listed last
    created_ms integer not null,
    updated_ms integer not null,
    primary key (company, name)
) without rowid;
create table mcp_tool (
    company text not null,
    capability text not null,
    server text not null,
    tool text not null,                      -- as the server names it
    primary key (company, capability)
) without rowid;
create unique index mcp_tool_name on mcp_tool (company, server, tool);
