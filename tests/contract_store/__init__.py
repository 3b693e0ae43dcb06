"""One suite that every store engine passes, and what only one of them can show."""
