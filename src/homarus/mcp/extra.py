"""The answer where the extra is not installed."""

from homarus.base.errors import NotOffered


def missing() -> NotOffered:
    return NotOffered(
        "mcp.extra_missing",
        "MCP needs the package mcp, which is not installed",
        "Install it: `pip install homarus[mcp]` (`pipx inject homarus mcp`), and start again.",
    )
