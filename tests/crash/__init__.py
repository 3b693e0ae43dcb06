"""Children killed for real, and what they leave."""
