"""Benchmarks: what is measured against `aims.toml`, and how. `python -m bench --help`."""
