"""Tier 3: tasks. `model.py` holds the states and legal moves; docs and pages read the same table."""
