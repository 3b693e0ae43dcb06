"""State machines: random operations on a real store beside a plain model."""
