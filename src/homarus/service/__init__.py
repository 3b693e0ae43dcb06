"""The daemon as a process: sockets, signals, start and stop."""
