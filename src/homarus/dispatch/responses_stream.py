"""What a gateway says on `/v1/responses`, folded into how it ended. Pure.

    for name, data in events.feed(piece): told.event(data)     a stream, in pieces as they come
    told.whole(document)                                       an answer in one piece

Events of unknown type are passed over: gateways have some of their own.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from homarus.base.errors import TooLarge

MAX_EVENT_BYTES: Final = 4 * 1_048_576
MAX_STREAM_BYTES: Final = 64 * 1_048_576
MAX_TEXT: Final = 200_000
TERMINAL: Final = ("completed", "failed", "incomplete", "cancelled")


class Events:
    """Server-sent events out of bytes. Raises `gateway.flood` past its bounds."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._bytes = 0

    def feed(self, piece: bytes) -> Iterator[Any]:
        """The JSON of each event that ends in this piece; what is no JSON is passed over."""
        self._bytes += len(piece)
        self._rest += piece
        if self._bytes > MAX_STREAM_BYTES:
            raise _flood(f"more than {MAX_STREAM_BYTES} bytes")
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise _flood(f"an event of more than {MAX_EVENT_BYTES} bytes")
        for line in lines:
            yield from self._line(line.rstrip(b"\r"))

    def _line(self, line: bytes) -> Iterator[Any]:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            try:
                yield json.loads(data)
            except (ValueError, RecursionError):
                return


class Told:
    """`status`: one of TERMINAL once it has ended, else None; `text` so far or in the end."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.status: str | None = None
        self.error = ""
        self.calls: list[str] = []
        self.model: str | None = None
        self.usage: tuple[int, int] = (0, 0)
        self._said: dict[Any, str] = {}

    @property
    def began(self) -> bool:
        return self.id is not None or self.status is not None

    @property
    def text(self) -> str:
        return "\n\n".join(text for text in self._said.values() if text.strip())[:MAX_TEXT]

    def event(self, data: Any) -> None:
        if not isinstance(data, dict):
            return
        kind = data.get("type")
        if kind == "response.output_text.delta" and isinstance(data.get("delta"), str):
            at = data.get("output_index", 0)
            self._said[at] = (self._said.get(at, "") + data["delta"])[:MAX_TEXT]
        elif isinstance(kind, str) and isinstance(data.get("response"), dict):
            self._shell(data["response"], kind.removeprefix("response."))

    def whole(self, document: Any) -> None:
        if isinstance(document, dict):
            self._shell(document, str(document.get("status")))

    def _shell(self, response: dict[str, Any], status: str) -> None:
        self.id = str(response["id"])[:200] if response.get("id") else self.id
        if status not in TERMINAL:
            return
        self.status = status
        self.model = str(response["model"])[:200] if response.get("model") else None
        usage = response.get("usage")
        if isinstance(usage, dict):
            self.usage = (_count(usage.get("input_tokens")), _count(usage.get("output_tokens")))
        error = response.get("error")
        if isinstance(error, dict):
            self.error = str(error.get("message") or error.get("code") or "")[:1_000]
        why = response.get("incomplete_details")
        if isinstance(why, dict) and not self.error:
            self.error = str(why.get("reason") or "")[:1_000]
        output = response.get("output")
        if isinstance(output, list) and output:
            self._items(output)

    def _items(self, output: list[Any]) -> None:
        said = {}
        for n, item in enumerate(output):
            if not isinstance(item, dict):
                continue
            if item.get("type") == "function_call":
                self.calls.append(str(item.get("name"))[:100])
            content = item.get("content")
            if item.get("type") == "message" and isinstance(content, list):
                said[n] = "".join(
                    part["text"] for part in content
                    if isinstance(part, dict) and isinstance(part.get("text"), str)
                )[:MAX_TEXT]  # fmt: skip
        if any(text.strip() for text in said.values()):
            self._said = said


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _flood(what: str) -> TooLarge:
    return TooLarge("gateway.flood", f"the gateway sent {what}", "It was let go of.")
