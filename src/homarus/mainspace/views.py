"""Generated files of the main space: the roster, the index, and AGENTS.md's lower part."""

from typing import Final

import msgspec

from homarus.flows import views
from homarus.store.port import Rx

SOURCES: Final = {"ACTIVE_ROSTER.md": views.roster_md, "INDEX.json": views.index_json}
KINDS: Final = frozenset(
    {
        "agent_registered", "agent_updated", "agent_deleted", "agent_suspended", "agent_restored",
        "project_created", "project_updated", "project_deleted", "capability_registered",
        "capability_disabled", "governed_setting_changed", "document_changed", "card_created",
        "card_updated", "trust_changed",
    }
)  # fmt: skip
"""Events after which a view may say something else."""


class Views(msgspec.Struct, frozen=True):
    """`files` by name; `agents`: what stands below the governed text of AGENTS.md."""

    files: dict[str, str] = {}
    agents: str = ""


def render(rx: Rx, company: str) -> Views:
    """From the company's records."""
    files = {name: source(rx, company) for name, source in SOURCES.items()}
    return Views(files, views.agents_md_generated(rx, company))
