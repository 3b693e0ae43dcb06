"""Commands that nodes know and Homarus may ask them for (gateway contract, 11)."""

from typing import Final

EXEC: Final = "system.run"
DENIED: Final = "SYSTEM_RUN_DENIED"
"""What a node says whose own rules do not let a program run."""
COMMANDS: Final = frozenset({
    EXEC, "system.run.prepare", "system.which", "system.notify", "location.get", "device.info",
    "device.status", "device.health", "photos.latest", "camera.list", "motion.activity",
    "calendar.events", "contacts.search", "reminders.list",
})  # fmt: skip
"""Commands that a node may be approved for at all. What records, changes or opens a way in stays
out, and so does what changes the node's own rules."""
