"""Change records: how the company's own rules change (governance contract, 10)."""
