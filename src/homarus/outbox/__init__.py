"""The outbox: carries the company's truth outward to mirrors, and never the other way round."""
