"""Tier 2: the governance kernel. `admit.py` holds the one ordered table of interceptors."""
