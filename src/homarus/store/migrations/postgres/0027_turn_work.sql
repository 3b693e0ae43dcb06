-- Work of turns; see the SQLite file of the same number.

alter table turn add column work text;

create unique index turn_no on turn (company, no);
create index tool_call_of_turn on tool_call (turn, seq, n);
create index tool_call_waiting on tool_call (approval) where state = 'waiting';
