"""The clock of the company: jobs fire, run within their bounds, and end on record."""
