"""Tier 7: the Python client of the control plane. Imports base only.

    from homarus.client import Client            # blocks; on http.client, quick to import
    from homarus.client import AsyncClient       # awaited; on httpx2, with the event socket

`http.py` underneath takes plain paths and dicts: what the command line needs. See
docs/how-to/python-client.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homarus.client.aio import AsyncClient as AsyncClient
    from homarus.client.sync import Client as Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    """Each client's transport is imported when it is asked for, not before."""
    if name == "Client":
        from homarus.client.sync import Client

        return Client
    if name == "AsyncClient":
        from homarus.client.aio import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
