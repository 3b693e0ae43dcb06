"""Tier 6: the REST dialect. `/api/mcp` (the original's paths) and `/api/v1` are the same routes."""
