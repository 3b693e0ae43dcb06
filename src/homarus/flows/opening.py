"""What every company starts with in its main space: three governed documents, kept short.

They are version 1.0.0 of their kind and of nobody's making: the first change may rewrite them.
"""

from typing import Final

from homarus.kernel.documents import AGENTS_FILE, CAPABILITIES_FILE, GOVERNED
from homarus.records import documents
from homarus.records.documents import NewText
from homarus.store.port import Tx

_AGENTS: Final = """\
# Working here

You are an agent of this company. Its records (tasks, roster, documents) are the truth; what you
remember is not.

- Claim a task before you work on it, and report its result when you are done.
- Look before you act: `homarus query --intent "..."` says who, how, where and whether.
- What another profession does better goes to them: hand it over, do not improvise.
- Rules are in `rules/`. They change by an approved change alone: `homarus change new`.
"""

_HOUSE: Final = """\
# House rules

1. Work counts for a claimed task only.
2. Nothing leaves the company but through a registered capability or a mirror.
3. Money is reserved before it is spent.
4. Whoever proposes a change does not approve it.
5. A refusal says what to do instead. Do that, or ask.
"""

_CAPABILITIES: Final = """\
# Capabilities of this company. None are declared here yet; `homarus capability list` shows those
# that an owner registered. This file changes by an approved change.
"""

STARTERS: Final = (
    NewText(AGENTS_FILE, _AGENTS, GOVERNED, "Working here"),
    NewText("rules/house.md", _HOUSE, GOVERNED, "House rules"),
    NewText(CAPABILITIES_FILE, _CAPABILITIES, GOVERNED, "Capabilities"),
)


def furnish(tx: Tx, company: str) -> bool:
    """Give a company that never had a document its first ones; whether it did."""
    if documents.exist(tx, company):
        return False
    for starter in STARTERS:
        documents.write(tx, company, starter)
    return True
