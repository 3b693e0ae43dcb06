"""Tier 7: the HTTP client of the CLI, the demo and bridges. Imports base only."""
