"""The MCP server, entered by the official client."""
