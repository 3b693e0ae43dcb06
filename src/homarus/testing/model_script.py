"""What a scripted model says: a script is data, and the server does what stands there.

    Say("42")                                  text
    Call("fs.read", {"path": "a.txt"})         a tool call; text arguments go out as they are
    Answer((Think("hm"), Say("I look."), Call("fs.read", {})))
    Echo()                                     what was said to it
    Refuse("No.")  Overflow()  Fail(429, retry_after_s=1)  Stall()  Cut(after="par")  Garbage()
    When("weather", Say("rain"))               whenever the last text holds that word

Replies are given in order; rules (`When`, or a function of the request) are asked before them, each
time. All of them but functions can be written as JSON (`from_json`). Nothing here knows a wire.
"""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, Final

import msgspec

CHARS_PER_TOKEN: Final = 4
MAX_SCRIPT: Final = 10_000


class Say(msgspec.Struct, frozen=True, tag="say"):
    """`stop`: "length" for a text that ends where the tokens did."""

    text: str
    stop: str = "stop"
    usage: tuple[int, int] | None = None


class Think(msgspec.Struct, frozen=True, tag="think"):
    """Alone it is an answer without text; in an `Answer` it comes before the rest."""

    text: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """`arguments`: an object, or the text that a model writes instead of JSON. `id` None: made."""

    name: str
    arguments: dict[str, Any] | str = {}
    id: str | None = None
    usage: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.arguments, str):
            return self.arguments
        return msgspec.json.encode(self.arguments).decode()


class Refuse(msgspec.Struct, frozen=True, tag="refuse"):
    text: str = "I cannot help with that."


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """Several parts in order. `usage`: input and output tokens; None: counted by characters.
    `cached`: how many of the input's came from a cache."""

    parts: tuple[Think | Say | Call | Refuse, ...]
    usage: tuple[int, int] | None = None
    cached: int = 0


class Echo(msgspec.Struct, frozen=True, tag="echo"):
    """Says the last text of the request."""

    prefix: str = ""


class Fail(msgspec.Struct, frozen=True, tag="fail"):
    """An error of the provider. `after`: it comes inside the stream, after this text."""

    status: int
    message: str = "scripted failure"
    retry_after_s: float | None = None
    code: str | None = None
    after: str | None = None


class Overflow(msgspec.Struct, frozen=True, tag="overflow"):
    """The prompt does not fit, in the words of each provider."""


class Stall(msgspec.Struct, frozen=True, tag="stall"):
    """Says `after`, then nothing more until the client goes away. None: not even a status line."""

    after: str | None = ""


class Cut(msgspec.Struct, frozen=True, tag="cut"):
    """Says `after`, then the connection ends; `clean`: as if that had been all."""

    after: str = ""
    clean: bool = False


class Garbage(msgspec.Struct, frozen=True, tag="garbage"):
    """`kind`: html (a page), json (events that are no JSON), shape (JSON of something else),
    empty (a stream without an event)."""

    kind: str = "json"


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Waits until the test lets it go on (`ModelServer.release`), then answers."""

    reply: Say | Call | Think | Refuse | Answer | Echo


Spoken = Say | Call | Think | Refuse | Answer | Echo
Reply = Spoken | Fail | Overflow | Stall | Cut | Garbage | Hold


class When(msgspec.Struct, frozen=True, tag="when"):
    """A rule: the last text of the request holds `says`, in any case; at most `times` times."""

    says: str
    reply: Reply
    times: int | None = None


class Seen(msgspec.Struct, frozen=True):
    """A request as it came. `last`: the text of its last message, of a person or of a tool;
    `headers` with names in lower case."""

    dialect: str
    model: str
    stream: bool
    system: str
    last: str
    tools: tuple[str, ...]
    body: dict[str, Any]
    headers: dict[str, str]


Rule = Callable[[Seen], Reply | None]
Item = Reply | When | Rule | tuple[Think | Say | Call | Refuse, ...]

ENDED: Final = Fail(400, "the script has no reply left", code="script_ended")


class Script:
    """The replies that are left, and the rules. Safe in threads."""

    def __init__(self, items: Iterable[Item], default: Reply = ENDED) -> None:
        self._lock = Lock()
        self._queue: list[Reply] = []
        self._rules: list[When | Rule] = []
        self._used: dict[int, int] = {}
        self._default = default
        self.add(items)

    def add(self, items: Iterable[Item]) -> None:
        with self._lock:
            for item in items:
                if isinstance(item, tuple):
                    self._queue.append(Answer(item))
                elif isinstance(item, When) or callable(item):
                    self._rules.append(item)
                else:
                    self._queue.append(item)
            if len(self._queue) + len(self._rules) > MAX_SCRIPT:
                raise ValueError(f"a script has at most {MAX_SCRIPT} items")

    def take(self, seen: Seen) -> Reply:
        with self._lock:
            for n, rule in enumerate(self._rules):
                reply = self._ask(n, rule, seen)
                if reply is not None:
                    return reply
            return self._queue.pop(0) if self._queue else self._default

    def _ask(self, n: int, rule: When | Rule, seen: Seen) -> Reply | None:
        if not isinstance(rule, When):
            return rule(seen)
        used = self._used.get(n, 0)
        if rule.says.casefold() not in seen.last.casefold():
            return None
        if rule.times is not None and used >= rule.times:
            return None
        self._used[n] = used + 1
        return rule.reply


def spoken(reply: Spoken, seen: Seen) -> Answer:
    """Any reply that is an answer, as one."""
    match reply:
        case Answer():
            return reply
        case Echo():
            return Answer((Say(reply.prefix + seen.last),))
        case Say() | Call():
            return Answer((reply,), reply.usage)
        case _:
            return Answer((reply,))


def tokens(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)


def usage_of(answer: Answer, seen: Seen) -> tuple[int, int]:
    """What the answer states, else characters through four."""
    if answer.usage is not None:
        return answer.usage
    sent = msgspec.json.encode(seen.body).decode()
    said = "".join(part.text for part in answer.parts)
    return tokens(sent), max(1, tokens(said))


def from_json(text: str | bytes) -> list[Item]:
    """A script from a JSON list, each item an object with `type`. Raises `msgspec.DecodeError`,
    `msgspec.ValidationError`."""
    return list(msgspec.json.decode(text, type=list[Reply | When]))
