"""How an agent's executor is configured: `executorConfig` of an agent, read and checked. Pure.

    openresponses   {"url": "https://gw.example.com/v1/responses", "token": "secret://gw", …}
    claude_code     {"program": "claude", "token": "secret://anthropic", "maxTurns": 50, …}

The others take none. A token is the name of a secret (`secret://NAME`), never the secret itself:
its value is added by the egress proxy alone.
"""

import re
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from homarus.base.errors import Invalid

OPENRESPONSES: Final = "openresponses"
CLAUDE_CODE: Final = "claude_code"
NAMES: Final = ("external", "command", "llm", OPENRESPONSES, CLAUDE_CODE)
"""Who does an agent's work: a bridge that claims it, or this daemon, by commands, by turns of a
model, by another gateway, by an installed Claude Code (design, 7)."""

MAX_CONFIG: Final = 16_384
HANDLE: Final = re.compile(r"secret://[a-z0-9][a-z0-9._-]{0,99}")
ANTHROPIC: Final = "https://api.anthropic.com"
MODES: Final = ("default", "acceptEdits", "plan", "dontAsk")
"""Permission modes of Claude Code that ask for nothing that the sandbox does not hold. The one that
asks nobody for anything (`bypassPermissions`) is none of them."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
Words = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=300)]],
                  msgspec.Meta(max_length=100)]  # fmt: skip


class OpenResponses(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`url`: of the gateway, with or without `/v1/responses`; `idempotent`: the same
    `Idempotency-Key` there is the same act (another Homarus: yes), so that it may be asked again;
    `silence_s`: how long its stream may be silent, `wall_s` how long it all may take."""

    url: Text
    token: Text | None = None
    model: Text = "openclaw"
    instructions: Annotated[str, msgspec.Meta(max_length=10_000)] = ""
    idempotent: bool = False
    silence_s: Annotated[float, msgspec.Meta(gt=0, le=3_600)] = 120.0
    wall_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 1_800.0

    @property
    def endpoint(self) -> str:
        url = self.url.rstrip("/")
        return url if url.endswith("/responses") else f"{url.removesuffix('/v1')}/v1/responses"


class ClaudeCode(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`program`: name or path of the CLI; `token` goes to `base_url` alone; `hosts` that it may
    reach besides; `allowed_tools` as its own `--allowedTools`; `inputs`: paths that it needs to run
    and sees read-only (where it is installed, when that is not in a system directory)."""

    program: Text = "claude"
    model: Text | None = None
    token: Text | None = None
    base_url: Text = ANTHROPIC
    permission_mode: str = "acceptEdits"
    allowed_tools: Words = []
    hosts: Words = []
    inputs: Words = []
    max_turns: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 50
    silence_s: Annotated[float, msgspec.Meta(gt=0, le=3_600)] = 600.0
    wall_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 3_600
    trusted: bool = False


Config = OpenResponses | ClaudeCode
T = TypeVar("T")


def read(executor: str, config: dict[str, Any] | None) -> Config | None:
    """None for executors that take no configuration. Raises `agent.executor_config`."""
    found: Config
    match executor:
        case "openresponses":
            found = _converted(config, OpenResponses)
            check_url(found.url)
        case "claude_code":
            found = _converted(config, ClaudeCode)
            check_url(found.base_url)
            if found.permission_mode not in MODES:
                raise _wrong(f"permissionMode {found.permission_mode!r}", f"One of {MODES}.")
            if any(word.startswith("-") for word in (*found.allowed_tools, found.program)):
                raise _wrong("a tool or the program begins with `-`", "Name it plainly.")
        case _:
            if config:
                raise _wrong(f"`{executor}` takes no configuration", "Leave `executorConfig` out.")
            return None
    if found.token is not None and not HANDLE.fullmatch(found.token):
        raise _wrong(
            "the token is no handle",
            "Keep it as a resource with a secret, and name it: `secret://NAME`.",
        )
    return found


def _converted(config: dict[str, Any] | None, kind: type[T]) -> T:
    if len(msgspec.json.encode(config)) > MAX_CONFIG:
        raise _wrong("it is too large", f"At most {MAX_CONFIG} characters.")
    try:
        return msgspec.convert(config or {}, kind)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)[:500], "See how-to/who-does-the-work in the docs.") from None


def check_url(url: str) -> tuple[str, int]:
    """`(host, port)` of an absolute http or https URL. Raises `agent.executor_config`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _wrong(f"{url[:100]!r} is no URL", "Give an absolute http or https URL.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise _wrong(
            f"{url[:100]!r} is no usable URL",
            "Give an absolute http or https URL without user and password.",
        )
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)


def entry(url: str) -> str:
    """The one host of a URL, as a list of hosts names it."""
    host, port = check_url(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _wrong(what: str, remedy: str) -> Invalid:
    return Invalid("agent.executor_config", f"executorConfig: {what}", remedy)
