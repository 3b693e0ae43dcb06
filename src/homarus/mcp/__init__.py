"""The MCP server at `/mcp` and on stdio: tools are faces of routes. Start at `tool.py`."""
