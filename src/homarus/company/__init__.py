"""Tier 3: who works and for whom: agents, customers, projects, sessions, memory."""
