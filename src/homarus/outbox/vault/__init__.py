"""The Obsidian vault as a mirror; begin with `adapter.py`."""

from homarus.outbox.port import Kind
from homarus.outbox.vault.adapter import MANIFEST, open_vault
from homarus.outbox.vault.place import check

KIND = Kind(MANIFEST, check, open_vault)
