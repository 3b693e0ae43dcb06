-- The real task that a turn works on, when its conversation alone may not do what is asked; and ways
-- to find the tool calls of a turn, and those that wait for an approval.

alter table turn add column work text;       -- null: none was needed so far

create unique index turn_no on turn (company, no);
create index tool_call_of_turn on tool_call (turn, seq, n);
create index tool_call_waiting on tool_call (approval) where state = 'waiting';
