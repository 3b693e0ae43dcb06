"""Every tool that there is, for `app.py` and the reference page."""

from pathlib import Path

from homarus.agents.mcp.servers import Servers
from homarus.agents.mcp.tools import McpTools
from homarus.agents.tools import asking, chores, commands, recall, scans, talk
from homarus.agents.tools.files import Files
from homarus.agents.tools.keeping import Keeping
from homarus.agents.tools.kit import Kit
from homarus.agents.tools.tool import Tool
from homarus.agents.tools.web import Web
from homarus.egress.proxy import Egress
from homarus.records.blobs import Blobs
from homarus.store.port import Store


def built_in(home: Path, egress: Egress, blobs: Blobs | None = None) -> tuple[Tool, ...]:
    """`blobs`: where contents are kept; by default those of `home`."""
    return (
        *Files(home).tools(),
        *Keeping(home, blobs or Blobs(home / "blobs")).tools(),
        *recall.tools(),
        *chores.tools(),
        *scans.tools(),
        *talk.tools(),
        *asking.tools(),
        *commands.tools(),
        *Web(egress).tools(),
    )


def kit(store: Store, home: Path, egress: Egress, servers: Servers, blobs: Blobs) -> Kit:
    """What the turn loop offers and runs."""
    return Kit(built_in(home, egress, blobs), McpTools(store, servers))
