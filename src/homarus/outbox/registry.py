"""Adapters by the target type that they write to. A module is imported when a mirror needs it.

To add one: a module with a `KIND` (`port.Kind`), a line here, an opener for the contract suite
(tests/contract_mirror/suite.py); see docs/how-to/write-a-mirror.md.
"""

from importlib import import_module
from typing import Final

from homarus.base.errors import Invalid
from homarus.outbox.port import Kind

ADAPTERS: Final[dict[str, str]] = {
    "obsidian": "homarus.outbox.vault",
    "webhook": "homarus.outbox.webhook",
}
"""Target type -> the module whose `KIND` it is."""


def kind(target_type: str) -> Kind:
    """Raises `mirror.target_type`."""
    module = ADAPTERS.get(target_type)
    if module is None:
        raise Invalid(
            "mirror.target_type",
            f"no adapter writes to {target_type[:80]!r}",
            f"One of {', '.join(sorted(ADAPTERS))}.",
        )
    found: Kind = import_module(module).KIND
    return found
