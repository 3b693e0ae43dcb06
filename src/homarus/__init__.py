"""Homarus: the operating system for a company of AI agents.

Start reading at ARCHITECTURE.md; the path of every effect is `store.write(action, fn)`.
"""

__version__ = "0.1.0"
