"""The signed webhook: each change is posted to one address, whose receiver holds the mirror.

    {"url": "https://hooks.example.com/board", "secret": "secret://board-hook", "perMinute": 600}

The receiver keeps entities by `marker` and sets what it is given: the same post twice changes
nothing. `type` is `push`, `lookup` (does it hold that marker, and with which digest?) or `ping`.
What it answers is in docs/how-to/mirrors.md. One that cannot look up says so with `"lookup": false`
here: then what may have been written is posted again.
"""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from homarus.base.errors import HomarusError, Invalid
from homarus.base.nearest import did_you_mean
from homarus.egress import hooks
from homarus.egress.hosts import normal
from homarus.egress.secrets import HANDLE
from homarus.outbox.port import (
    Absent,
    Act,
    Change,
    Done,
    Fetched,
    Found,
    Health,
    Kind,
    Later,
    Limit,
    Looked,
    Manifest,
    Means,
    Outcome,
    Place,
    Refused,
    Unknown,
)

if TYPE_CHECKING:
    import httpx2

PUSH_S: Final = 30.0
MAX_PER_MINUTE: Final = 60_000
MAX_RECEIPT: Final = 500
_KEYS: Final = ("url", "secret", "perMinute", "lookup")
_REFUSED: Final = {
    401: "auth",
    403: "auth",
    404: "operator",
    410: "gone",
    413: "schema",
    422: "schema",
}

MANIFEST: Final = Manifest(
    target_type="webhook",
    entities=frozenset({"task", "calendar_event", "wiki_doc"}),
    create_guard="client_id",
    lookup="by_field",
    update="replace",
    delete="hard",
    changes="none",
    serial_by="entity",
    delay_s=1.0,
)


def check(config: dict[str, Any], home: Path) -> Place:
    """Raises `mirror.config`."""
    for name in config:
        if name not in _KEYS:
            raise _wrong(name, "nothing is called so", did_you_mean(name, _KEYS, f"{_KEYS}"))
    url = config.get("url")
    problem = hooks.wrong_url(url) if isinstance(url, str) else "it is no text"
    if problem is not None or not isinstance(url, str):
        raise _wrong("url", str(problem), "Give an https URL.")
    handle = config.get("secret")
    found = HANDLE.fullmatch(handle) if isinstance(handle, str) else None
    if found is None:
        raise _wrong("secret", "it is no handle", "Give `secret://NAME` of a company resource.")
    rate = config.get("perMinute", 1)
    if isinstance(rate, bool) or not isinstance(rate, int) or not 1 <= rate <= MAX_PER_MINUTE:
        raise _wrong("perMinute", "it is out of range", f"1 to {MAX_PER_MINUTE}.")
    if not isinstance(config.get("lookup", True), bool):
        raise _wrong("lookup", "it is neither true nor false", "Leave it out, or say false.")
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = normal(parts.hostname or "")
    place = f"webhook:{parts.scheme}://{host}:{port}{parts.path or '/'}?{parts.query}"
    return Place(place, (f"{host}:{port}",), (found[1].lower(),))


def _wrong(path: str, what: str, remedy: str) -> Invalid:
    return Invalid("mirror.config", f"config.{path[:60]}: {what}", remedy)


class Webhook:
    def __init__(self, config: dict[str, Any], means: Means) -> None:
        limits = (Limit(config["perMinute"], 60.0),) if "perMinute" in config else ()
        self.manifest = msgspec.structs.replace(MANIFEST, limits=limits)
        self._url: str = config["url"]
        self._secret = config["secret"].removeprefix("secret://").lower()
        self._asks: bool = config.get("lookup", True)
        self._means = means
        self._client: httpx2.AsyncClient | None = None
        self._making = asyncio.Lock()

    async def push(self, change: Change) -> Outcome:
        body = {
            "type": "push",
            "act": change.act,
            "entity": change.entity_type,
            "id": change.entity_id,
            "number": change.number,
            "marker": change.marker,
            "token": change.token,
            "digest": change.digest.hex(),
            "receipt": change.receipt,
            "fields": None if change.act is Act.DELETE else change.fields,
        }
        answer = await self._post(body, {"idempotency-key": change.token})
        if not isinstance(answer, hooks.Answer):
            return answer
        status = answer.status
        if 200 <= status < 300:
            return Done(_receipt(answer) or change.receipt or change.marker)
        if status == 429:
            return Later("the receiver answered 429", _after_s(answer))
        if 400 <= status < 500:
            return Refused(_REFUSED.get(status, "bad"), f"the receiver answered {status}")
        return Unknown(f"the receiver answered {status}")

    async def lookup(self, change: Change) -> Looked:
        if not self._asks:
            return Found(change.receipt or change.marker, None)
        answer = await self._post({"type": "lookup", "marker": change.marker}, {})
        if not isinstance(answer, hooks.Answer):
            return answer
        if answer.status == 429:
            return Later("the receiver answered 429", _after_s(answer))
        told = _json(answer)
        if answer.status != 200 or not isinstance(told.get("held"), bool):
            return Unknown(f"the receiver answered {answer.status} to a lookup")
        if not told["held"]:
            return Absent()
        same = None if "digest" not in told else told["digest"] == change.digest.hex()
        return Found(_receipt(answer) or change.receipt or change.marker, same)

    async def fetch_changes(self, cursor: str | None) -> Fetched:
        return Fetched((), cursor or "")

    async def health(self) -> Health:
        answer = await self._post({"type": "ping"}, {})
        if not isinstance(answer, hooks.Answer):
            return Health(False, answer.why)
        if 200 <= answer.status < 300 or answer.status == 429:
            return Health(True)
        return Health(False, f"the receiver answered {answer.status} to a ping")

    async def dry_run(self, change: Change) -> tuple[str, ...]:
        return (f"POST {self._url}: {change.act} {change.marker}",)

    async def aclose(self) -> None:
        used, self._client = self._client, None
        if used is not None:
            await used.aclose()

    async def _connected(self) -> "httpx2.AsyncClient":
        """The one client, made when it is first needed."""
        async with self._making:
            if self._client is None:
                self._client = await hooks.client(self._url, PUSH_S)
            return self._client

    async def _post(
        self, body: dict[str, Any], headers: dict[str, str]
    ) -> hooks.Answer | Later | Unknown:
        try:
            key = (await self._means.secret(self._secret)).encode()
        except HomarusError as error:
            return Later(error.message)
        text = msgspec.json.encode(body)
        try:
            used = await self._connected()
            return await hooks.post(used, self._url, text, key, headers, PUSH_S)
        except hooks.NoAnswer as error:
            why = f"not delivered: {error}"
            return Unknown(why) if error.sent else Later(why)


def _json(answer: hooks.Answer) -> dict[str, Any]:
    try:
        told = json.loads(answer.body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _receipt(answer: hooks.Answer) -> str | None:
    told = _json(answer).get("id")
    return told[:MAX_RECEIPT] if isinstance(told, str) and told else None


def _after_s(answer: hooks.Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() else None


KIND: Final = Kind(MANIFEST, check, Webhook)
