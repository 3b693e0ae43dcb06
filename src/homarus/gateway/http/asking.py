"""What both APIs ask in the same way: which agent, which session, which tools the client lends."""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from homarus.agents.lent import LENT
from homarus.agents.prompt import MAX_INSTRUCTIONS
from homarus.base.errors import Invalid, TooLarge
from homarus.flows.answering import MAX_MODEL

MAX_TOOLS: Final = 128
MAX_DESCRIPTION: Final = 20_000
MAX_USER: Final = 128
TARGETS: Final = ("openclaw", "homarus")
"""Names of an agent as a model: alone, with `/default`, or with `/<agent>`."""
_NAMED: Final = re.compile(r"(?:(?:openclaw|homarus)[/:]|agent:)(.+)", re.IGNORECASE | re.DOTALL)
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BLANKS: Final = re.compile(r"\s+")

Text = Annotated[str, msgspec.Meta(max_length=2_000)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Warmth = Annotated[float, msgspec.Meta(ge=0, le=2)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Envelope(msgspec.Struct, frozen=True):
    """What the headers say. `key`: of the turn, "" for one of its own."""

    key: str = ""
    agent: str | None = None
    session: str | None = None
    model: str | None = None


def envelope(headers: Mapping[bytes, bytes], key: str) -> Envelope:
    """Raises `request.model_header`."""
    model = _header(headers, b"x-openclaw-model")
    if model is not None and len(model) > MAX_MODEL:
        raise Invalid("request.model_header", "the header `x-openclaw-model` is too long",
                      f"At most {MAX_MODEL} characters.")  # fmt: skip
    return Envelope(
        key=key,
        agent=_header(headers, b"x-openclaw-agent-id") or _header(headers, b"x-openclaw-agent"),
        session=_header(headers, b"x-openclaw-session-key"),
        model=model,
    )


def _header(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    text = headers.get(name, b"").decode("latin-1").strip()
    return text or None


def agent_of(model: str) -> str | None:
    """The agent that a model's name means; None: the default one. Raises `request.model`."""
    text = model.strip()
    if text.lower() in TARGETS:
        return None
    named = _NAMED.fullmatch(text)
    if named is None:
        raise Invalid(
            "request.model", f"{model[:80]!r} is no agent",
            "Use `openclaw` or `openclaw/<agent>`; `GET /v1/models` lists them.",
        )  # fmt: skip
    return None if named[1].lower() == "default" else named[1]


def user_part(user: str | None) -> str | None:
    """An end user as a part of a session key."""
    if user is None or not user.strip():
        return None
    text = _BLANKS.sub("-", user.strip().lower()).replace(":", "-")
    return text if len(text) <= MAX_USER else hashlib.sha256(text.encode()).hexdigest()


# -- tools that the client lends -----------------------------------------------------------


def options(
    *, instructions: list[str], tools: Any, choice: Any, tokens: int | None, warmth: float | None
) -> dict[str, Any]:
    """Options of the turn. `tools`: function declarations in the flat form. Raises `request.*`."""
    text = "\n\n".join(one for one in instructions if one.strip())
    if len(text) > MAX_INSTRUCTIONS:
        raise TooLarge("request.instructions", "the instructions are too long",
                       f"At most {MAX_INSTRUCTIONS} characters.")  # fmt: skip
    lent = [_lent(tool, f"tools[{n}]") for n, tool in enumerate(_bounded(tools))]
    lent, chosen = _chosen(lent, choice)
    found = {
        "instructions": text or None,
        LENT: lent or None,
        "toolChoice": chosen,
        "maxOutputTokens": tokens,
        "temperature": warmth,
    }
    return {name: value for name, value in found.items() if value is not None}


def _bounded(tools: Any) -> list[Any]:
    if tools is None:
        return []
    if not isinstance(tools, list) or len(tools) > MAX_TOOLS:
        raise Invalid("request.tools", "unusable `tools`", f"A list of at most {MAX_TOOLS}.")
    return tools


def _lent(tool: Any, where: str) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise Invalid("request.tools", f"`{where}` is no function",
                      "Only tools of type `function` are taken.")  # fmt: skip
    name, about, schema = tool.get("name"), tool.get("description"), tool.get("parameters")
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        raise Invalid("request.tools", f"`{where}` has no usable name",
                      "1 to 64 letters, digits, `_`, `-` and `.`.")  # fmt: skip
    if about is not None and (not isinstance(about, str) or len(about) > MAX_DESCRIPTION):
        raise Invalid("request.tools", f"the description of {name} is unusable",
                      f"A text of at most {MAX_DESCRIPTION} characters.")  # fmt: skip
    if schema is not None and not isinstance(schema, dict):
        raise Invalid("request.tools", f"the parameters of {name} are no JSON Schema",
                      "Give the schema of an object.")  # fmt: skip
    return {"name": name, "description": about or "", "parameters": schema or {"type": "object"}}


def _chosen(lent: list[dict[str, Any]], choice: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The tools that are offered, and what the model is told of choosing."""
    names = [tool["name"] for tool in lent]
    if len(set(names)) < len(names):
        raise Invalid("request.tools", "two tools have one name", "Give each a name of its own.")
    if choice is None or choice == "auto":
        return lent, None
    if choice == "none":
        return [], None
    if choice == "required" and lent:
        return lent, "required"
    name = choice.get("name") if isinstance(choice, dict) else None
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        name = choice["function"].get("name")
    if isinstance(name, str) and name in names:
        return [tool for tool in lent if tool["name"] == name], name
    raise Invalid(
        "request.tool_choice", "the `tool_choice` fits none of the `tools`",
        "`auto`, `none`, `required`, or a function that you offer.",
    )  # fmt: skip


def is_unmet(chosen: str | None, called: list[str]) -> bool:
    """Whether a call that was demanded did not come."""
    if chosen is None:
        return False
    return not called if chosen == "required" else chosen not in called
