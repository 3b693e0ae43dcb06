-- What is over and kept no longer is found by its age.

create index delivery_old on delivery (ended_ms) where state in ('sent', 'dropped');
