"""What the process around the gateway does for it (`service/serve.py`)."""

from typing import Protocol

from homarus.config.reload import Plan


class Process(Protocol):
    @property
    def reloads(self) -> bool:
        """Whether it looks for edits of the settings, and takes them."""

    async def reread(self) -> Plan | None:
        """Look at the settings now, as after an edit, and take what counts at once; a restart that
        they want is left to the caller. None: they are wrong, and all stays."""

    def restart(self) -> None:
        """Drain, and come back in place."""
