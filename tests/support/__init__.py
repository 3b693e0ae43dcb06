"""What several tests need: system programs, the run profile, a PostgreSQL server."""
