"""Agents that the daemon runs, end to end."""
