"""Agents that this daemon runs: the turn loop, its models, its tools."""
