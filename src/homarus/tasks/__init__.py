"""Tier 3: tasks. `model.py` holds the states and legal moves, as one table."""
