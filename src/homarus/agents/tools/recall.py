"""Tools over the agent's memory. Entries are added; only `memory_write` says what the whole is."""

from typing import Annotated, Final

import msgspec

from homarus.agents.tools.files import shown
from homarus.agents.tools.hands import Hands
from homarus.agents.tools.tool import Tool, number, told, words
from homarus.base.clock import iso_ms
from homarus.company import memory
from homarus.flows.turn_tools import Result, text_result
from homarus.store.port import Tx

MAX_FOUND: Final = 50
MAX_CONTENT: Final = 20_000
WHERE: Final = "agent:self"
WHOLE: Final = "snapshot"
"""Kind of the entry that goes with a new snapshot."""


class SearchArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, words("Words that must all occur; empty: the newest.", 200)] = ""
    limit: Annotated[int, number("How many.", 1, MAX_FOUND)] = 10


class AppendArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    content: Annotated[str, words("What to remember, in a few sentences.", MAX_CONTENT, 1)]
    kind: Annotated[str, words("observation, decision, preference, …", 64, 1)] = "observation"


class WriteArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    content: Annotated[str, words("All of your memory, as it is to be.", 100_000, 1)]


def tools() -> tuple[Tool, ...]:
    return (
        Tool("memory_search", "Search what you remember; also gives the whole of your memory.",
             _search, "read", WHERE, SearchArguments, harmless=True),
        Tool("memory_append", "Remember something. What you remembered before stays.", _append,
             "memory.write", WHERE, AppendArguments),
        Tool("memory_write", "Replace the summary of your memory. Entries stay.", _write,
             "memory.write", WHERE, WriteArguments),
    )  # fmt: skip


async def _search(given: SearchArguments, hands: Hands) -> Result:
    agent = hands.started.agent.id
    rows = await hands.store.read(memory.search, agent, given.text, given.limit)
    whole = await hands.store.read(memory.snapshot, agent)
    lines = [f"[{iso_ms(row.created_ms)[:16]} {row.kind}] {row.content}" for row in rows]
    if whole is not None:
        lines.append(f"[summary of {iso_ms(whole.created_ms)[:16]}]\n{whole.content}")
    result = told("\n".join(lines) or "[nothing]", source="memory", entries=len(rows))
    return await hands.apply("read", shown, result, target=WHERE)


async def _append(given: AppendArguments, hands: Hands) -> Result:
    new = memory.NewEntry(given.content, given.kind, task=hands.work)
    return await hands.apply("memory.write", _remember, new, target=WHERE)


async def _write(given: WriteArguments, hands: Hands) -> Result:
    new = memory.NewEntry(
        "The summary of the memory was written anew.", WHOLE, task=hands.work,
        snapshot=given.content,
    )  # fmt: skip
    return await hands.apply("memory.write", _remember, new, target=WHERE)


def _remember(tx: Tx, new: memory.NewEntry) -> Result:
    memory.write(tx, tx.actor.id, new)
    return text_result("Remembered.")
