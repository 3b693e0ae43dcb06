"""Tier 1: the single source of truth. Start at `port.py`; `store.write` is the way to write."""
