"""Tier 7: fakes and harnesses; tests may import it, the product does not."""
