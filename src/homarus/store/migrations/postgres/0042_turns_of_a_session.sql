-- The newest turn of each session of a list, without a look at all turns of the company.

create index turn_of_session on turn (session, no);
