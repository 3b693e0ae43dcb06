"""The SQLite engine (driver apsw). Only this package opens the database file in the daemon."""
