"""Tier 3: records of what happened and came out of it: artifacts with their contents, incidents."""
