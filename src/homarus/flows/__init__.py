"""Tier 4: use cases over several domains; each is one function and one transaction."""
