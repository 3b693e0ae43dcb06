"""Tier 0: what every part shares. Imports nothing of Homarus but itself."""
