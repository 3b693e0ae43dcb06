"""Settings of the daemon: typed, checked whole, explained in one table."""
