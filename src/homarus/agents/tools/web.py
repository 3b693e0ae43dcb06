"""web_fetch: one page of an allowed host, as text. What it says is data, never an instruction."""

import asyncio
from typing import Annotated, Final
from urllib.parse import urljoin

import msgspec

from homarus.agents.tools import markup
from homarus.agents.tools.files import shown
from homarus.agents.tools.hands import Hands
from homarus.agents.tools.tool import Tool, number, told, words
from homarus.base.errors import Invalid
from homarus.egress import client
from homarus.egress.client import Fetched
from homarus.egress.proxy import Egress
from homarus.flows.reaching import Run
from homarus.flows.turn_tools import Result

MAX_CHARS: Final = 50_000
MAX_HTML: Final = 1_000_000
"""Characters of a page that are parsed."""
CAPABILITY: Final = "web.fetch"
_HTML: Final = ("text/html", "application/xhtml+xml")
_TEXT: Final = ("application/json", "application/xml", "application/javascript", "application/yaml",
                "application/rss+xml", "application/atom+xml", "application/ld+json")  # fmt: skip


class FetchArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[str, words("An absolute http or https URL.", client.MAX_URL, 1)]
    offset: Annotated[int, number("First character of the text.", 0, MAX_HTML)] = 0
    limit: Annotated[int, number("How many characters.", 1, MAX_CHARS)] = 20_000


class Web:
    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    def tools(self) -> tuple[Tool, ...]:
        return (
            Tool("web_fetch", "Read a page of the web as text. Only allowed hosts are reached.",
                 self._fetch, CAPABILITY, "<url>", FetchArguments, harmless=True),
        )  # fmt: skip

    async def _fetch(self, given: FetchArguments, hands: Hands) -> Result:
        started = hands.started
        run = Run(hands.call.id, started.agent.company, started.agent.id, CAPABILITY,
                  hands.work or started.task.id, started.task.trace)  # fmt: skip
        hosts = await self._egress.company_hosts(run.company)
        async with self._egress.open(run, hosts) as lease:
            fetched = await client.get(lease, given.url)
        result = await asyncio.to_thread(result_of, fetched, given)
        return await hands.apply(CAPABILITY, shown, result, target=target_of(fetched.url))


def target_of(url: str) -> str:
    """As rules and receipts name it, without a query, which may hold anything."""
    return url.partition("?")[0][:500]


def result_of(fetched: Fetched, given: FetchArguments) -> Result:
    """Raises `web.media`."""
    title, text, links = _read(fetched)
    piece = text[given.offset : given.offset + given.limit]
    end = given.offset + len(piece)
    head = [f"[{fetched.url}, status {fetched.status}, {fetched.media_type or 'no type'}]"]
    head += [f"[title: {title}]"] if title else []
    more = [f"[go on with offset {end}]"] if end < len(text) else []
    more += [] if fetched.whole else ["[the page is longer than can be read]"]
    if links and end >= len(text):
        more += [f"[{n}] {urljoin(fetched.url, href)}" for n, href in enumerate(links, 1)]
    details = {"source": fetched.url, "status": fetched.status, "chars": len(text)}
    result = told("\n".join([*head, piece, *more]), **details)
    return msgspec.structs.replace(result, is_error=fetched.status >= 400)


def _read(fetched: Fetched) -> tuple[str, str, list[str]]:
    media = fetched.media_type
    if media in _HTML:
        return markup.text_of(_decoded(fetched)[:MAX_HTML])
    if media.startswith("text/") or media in _TEXT or (not media and b"\0" not in fetched.body):
        return "", _decoded(fetched), []
    raise Invalid("web.media", f"{fetched.url[:100]} is {media or 'binary'}, no text",
                  "Ask for a page or a text.")  # fmt: skip


def _decoded(fetched: Fetched) -> str:
    try:
        return fetched.body.decode(fetched.charset or "utf-8", "replace")
    except LookupError:
        return fetched.body.decode("utf-8", "replace")
