"""Tools of MCP servers: connections to them, and their calls as acts of a turn.

link.py      one connection, over stdio in the sandbox or over HTTP through the egress proxy
servers.py   all connections: opened when needed, let go when idle, tried again with backoff
tools.py     what a model is offered of them, and a call judged as its capability

The library is imported when the first connection is made; extra `mcp`.
"""
