"""Texts of callers in paths."""

from urllib.parse import quote


def path_part(value: str) -> str:
    """A caller's text as one segment of a path."""
    return quote(value, safe="")
