"""Tools that ask the company's own records: which capability fits, what a document says."""

from typing import Annotated, Any, Final

import msgspec

from homarus.agents.tools.files import shown
from homarus.agents.tools.hands import Hands
from homarus.agents.tools.tool import Tool, told, words
from homarus.base.clock import iso_ms
from homarus.flows import documents, thinking
from homarus.flows.thinking import Thought
from homarus.flows.turn_tools import Result
from homarus.kernel import documents as places
from homarus.records import documents as rows
from homarus.store.port import Rx, Tx

MAX_LISTED: Final = 200
MAX_SHOWN: Final = 50_000


class IntentArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    intent: Annotated[str, words("What you want to do, in your own words.", 1_000, 1)]


class NoArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class DocumentArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: Annotated[str, words("Path in the main space, such as rules/house.md; empty: list them.",
                               200)] = ""  # fmt: skip


def tools() -> tuple[Tool, ...]:
    return (
        Tool("time_now", "The present time, in UTC.", _now, "read", "company:", NoArguments,
             harmless=True),
        Tool("query_capabilities", "Which capability fits an intent, and whose work it is.",
             _query, "read", "capability:", IntentArguments, harmless=True),
        Tool("preflight", "Think before acting: who, how, where, whether. Kept for this work.",
             _preflight, "preflight.create", "preflight:new", IntentArguments),
        Tool("document_read", "Read a document of the company's main space, or list them.",
             _document, "document.read", "document:<path>", DocumentArguments, harmless=True),
    )  # fmt: skip


async def _now(given: NoArguments, hands: Hands) -> Result:
    _ = given
    return told(iso_ms(await hands.store.read(_clock)))


def _clock(rx: Rx) -> int:
    return rx.now_ms


async def _think(given: IntentArguments, hands: Hands) -> Thought:
    agent = hands.started.agent
    return await hands.store.read(_thought, agent.company, agent.id, given.intent, hands.work)


def _thought(rx: Rx, company: str, agent: str, intent: str, task: str | None) -> Thought:
    return thinking.think(rx, company, thinking.of_agent(rx, company, agent), intent, task)


def _said(thought: Thought) -> dict[str, Any]:
    return {
        "verdict": thought.verdict,
        "meaning": thinking.VERDICTS[thought.verdict],
        "capabilities": thought.evidence["how"]["hits"],
        "who": thought.evidence["who"],
        "where": thought.evidence["where"],
        "may": [f"{capability} on {target}" for capability, target in thought.scope],
        "permission": thought.perm,
        "routeLevel": f"L{thought.route_level}",
    }


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


async def _query(given: IntentArguments, hands: Hands) -> Result:
    thought = await _think(given, hands)
    result = told(_json(_said(thought)), source="registry", verdict=thought.verdict)
    return await hands.apply("read", shown, result, target="capability:")


async def _preflight(given: IntentArguments, hands: Hands) -> Result:
    thought = await _think(given, hands)
    return await hands.apply("preflight.create", _keep, thought, target="preflight:new")


def _keep(tx: Tx, thought: Thought) -> Result:
    row = thinking.keep(tx, tx.actor.id, thought)
    return told(_json(_said(thought) | {"preflight": row.id}), source="registry",
                preflight=row.id, verdict=thought.verdict)  # fmt: skip


async def _document(given: DocumentArguments, hands: Hands) -> Result:
    if not given.path:
        found = await hands.store.read(_titles, hands.started.agent.company)
        result = told("\n".join(found) or "[none]", source="document:")
        return await hands.apply("read", shown, result, target="document:")
    path = places.check_path(given.path)
    return await hands.apply("document.read", _text, path, target=f"document:{path}")


def _titles(rx: Rx, company: str) -> list[str]:
    found = rows.listed(rx, company, limit=MAX_LISTED)
    return [f"{row.path}  ({row.cls}, {row.version}) {row.title}".rstrip() for row in found]


def _text(tx: Tx, path: str) -> Result:
    """The approved text, whatever the file says. A governed one leaves a receipt."""
    row = documents.read(tx, path)
    head = f"[document:{row.path}, {row.cls}, version {row.version}, sha256 {row.sha256}]"
    return told(f"{head}\n{row.content}"[:MAX_SHOWN], source=f"document:{row.path}",
                sha256=row.sha256, version=row.version)  # fmt: skip
