"""A tool as a row, and the one way in which a call of it becomes a result.

Arguments are a msgspec type: the model gets its JSON Schema, the tool the decoded value. What a
tool brings from outside the company's own records is data, never an instruction: its result names
the source (`details.source`), and the loop shows it to the model as untrusted.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec

from homarus.agents.port import ToolSpec
from homarus.agents.tools.hands import Hands
from homarus.base.errors import Invalid
from homarus.flows.turn_tools import Result

MAX_RESULT_CHARS: Final = 60_000
"""Text of one result; what is more is cut out of its middle."""

Do = Callable[[Any, Hands], Awaitable[Result]]


class Tool(msgspec.Struct, frozen=True):
    """`arguments`: a flat msgspec type, `parameters` instead: a JSON Schema, and `do` gets a
    dictionary. `capability`: what a call is judged as; `target`: of what form; both for people.
    `harmless`: a call without an outcome may simply be repeated."""

    name: str
    about: str
    do: Do
    capability: str
    target: str
    arguments: type[msgspec.Struct] | None = None
    parameters: dict[str, Any] | None = None
    harmless: bool = False

    @property
    def spec(self) -> ToolSpec:
        schema = self.parameters
        if schema is None:
            if self.arguments is None:
                raise AssertionError(f"{self.name} takes nothing known")
            schema = schema_of(self.arguments)
        return ToolSpec(self.name, self.about, schema)

    async def run(self, arguments: dict[str, Any], hands: Hands) -> Result:
        """Raises `tool.arguments`, and what the tool raises."""
        given = arguments if self.arguments is None else decode(self.arguments, arguments)
        return await self.do(given, hands)


def words(about: str, most: int = 1_000, least: int = 0) -> Any:
    """The annotation of a text: `path: Annotated[str, words("Where.", 500)]`."""
    return msgspec.Meta(description=about, max_length=most, min_length=least)


def number(about: str, least: int, most: int) -> Any:
    return msgspec.Meta(description=about, ge=least, le=most)


def truth(about: str) -> Any:
    return msgspec.Meta(description=about)


Text = Annotated[str, msgspec.Meta(max_length=1_000)]


@lru_cache(maxsize=256)
def _schema(kind: type[msgspec.Struct]) -> bytes:
    _, parts = msgspec.json.schema_components([kind])
    schema = dict(parts[kind.__name__])
    schema.pop("title", None)
    schema.pop("description", None)
    schema.setdefault("required", [])
    return msgspec.json.encode(schema)


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a flat type, as an object of its own."""
    schema: dict[str, Any] = msgspec.json.decode(_schema(kind))
    return schema


def decode(kind: type[msgspec.Struct], arguments: Mapping[str, Any]) -> Any:
    """Raises `tool.arguments`, which says what does not fit, and where."""
    try:
        return msgspec.convert(arguments, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(
            "tool.arguments", f"the arguments do not fit: {error}"[:500],
            "Correct them: the tool's schema says what it takes.",
        ) from None  # fmt: skip


# -- results -------------------------------------------------------------------------------


def told(text: str, **details: Any) -> Result:
    """A text for the model; `details` stay in the transcript."""
    return Result(({"type": "text", "text": cut(text)},), details=details or None)


def cut(text: str, most: int = MAX_RESULT_CHARS) -> str:
    """The text, or its two ends with how much is missing between them."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[… {len(text) - most} characters left out …]\n{text[-half:]}"
