"""A fully hostile agent: what it tries over the wire, and what must still hold afterwards."""
