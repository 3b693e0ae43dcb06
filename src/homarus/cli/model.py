"""homarus model"""

import os
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from json import JSONDecodeError, loads
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import click

from homarus.base.errors import HomarusError, NotFound
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("model", help="Models that agents are answered by.")

FIND_S: Final = 0.5
"""How long an Ollama on this machine has to say that it is there."""
TEST_S: Final = 300.0
"""A local model may have to load first."""
MAX_LISTING_BYTES: Final = 1_000_000
MAX_KEY_BYTES: Final = 8_192
OLLAMA_PORT: Final = 11434
MAX_OUTPUT: Final = 8_192


class Preset(NamedTuple):
    """What `--provider` stands for. `key`: whether it wants one; `context`: tokens, at least."""

    dialect: str
    base_url: str | None
    key: bool
    context: int


PROVIDERS: Final = {
    "ollama": Preset("openai", None, False, 32_768),
    "openai": Preset("openai-responses", "https://api.openai.com/v1", True, 128_000),
    "anthropic": Preset("anthropic", "https://api.anthropic.com", True, 200_000),
    "openrouter": Preset("openai", "https://openrouter.ai/api/v1", True, 128_000),
    "vllm": Preset("openai", "http://127.0.0.1:8000/v1", False, 32_768),
    "other": Preset("openai", None, False, 128_000),
}
ASKED: Final = ("openai", "anthropic", "openrouter", "other")
DIALECTS: Final = ("openai", "openai-responses", "anthropic")

_COLUMNS: Final = (
    ("name", "name"),
    ("model", "model"),
    ("dialect", "dialect"),
    ("base URL", "baseUrl"),
    ("key", "keyConfigured"),
    ("context", "contextTokens"),
    ("output", "maxOutputTokens"),
    ("fall-backs", "fallbacks"),
)


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Configured models. An agent without a choice of its own is answered by `default`."""
    empty = "No model is configured. Add one: homarus model add"
    show_list(ctx, "/models", "models", _COLUMNS, limit=limit, empty=empty)


@command.command()
@click.argument("name", default="default")
@pass_context
def remove(ctx: Context, name: str) -> None:
    """Remove a model; its key is forgotten."""
    reply = ctx.api.delete(f"/models/{path_part(name)}")
    ctx.out.document(reply)
    ctx.out.line(f"Removed {name}.")


@command.command()
@click.argument("name", default="default")
@pass_context
def test(ctx: Context, name: str) -> None:
    """Ask a model for a word: what came back, and how long it took. It costs a few tokens."""
    with ctx.client(TEST_S) as api:
        reply = api.post_once(f"/models/{path_part(name)}/test")
    found = reply["test"]
    ctx.out.document(reply)
    ctx.out.fields(
        (
            ("name", found["name"]),
            ("answer", found["text"] or f"(no text; it ended by `{found['stop']}`)"),
            ("model", found["model"]),
            ("took", f"{found['latencyMs']} ms, the first event after {found['firstEventMs']} ms"),
            ("tokens", f"{found['inputTokens']} in, {found['outputTokens']} out"),
        )
    )


# -- add -----------------------------------------------------------------------------------


@command.command()
@click.argument("name", default="default")
@click.option("--provider", type=click.Choice(tuple(PROVIDERS)), help="Whose: fills in the rest.")
@click.option("--dialect", type=click.Choice(DIALECTS), help="What it speaks.")
@click.option("--base-url", help="Where it is; OpenAI's kind ends in /v1.")
@click.option("--model", "model_id", help="The provider's id of the model.")
@click.option("--key-stdin", is_flag=True, help="Read the key from standard input.")
@click.option("--key-env", metavar="VARIABLE", help="Take the key from this variable.")
@click.option("--no-key", is_flag=True, help="Send none, and forget the one that was there.")
@click.option("--context", type=int, help="Tokens that fit: request and answer together.")
@click.option("--max-output", type=int, help="Tokens of one answer at most.")
@click.option("--fallback", "fallbacks", multiple=True, help="Stands in for it; may be repeated.")
@pass_context
def add(
    ctx: Context, name: str, provider: str | None, dialect: str | None, base_url: str | None,
    model_id: str | None, key_stdin: bool, key_env: str | None, no_key: bool, context: int | None,
    max_output: int | None, fallbacks: tuple[str, ...],
) -> None:  # fmt: skip
    """Add a model, or change the one of that NAME (`default`).

    Without options it takes the Ollama of this machine, else asks for provider, model and key.
    """
    if sum((key_stdin, key_env is not None, no_key)) > 1:
        raise click.UsageError("Give one of --key-stdin, --key-env and --no-key.")
    found: Ollama | None = None
    if provider is None and base_url is None and dialect is None:
        found = _ollama(ctx)
        provider = "ollama" if found is not None else _asked_provider()
    provider = provider or "other"
    preset = PROVIDERS[provider]
    if provider == "ollama" and base_url is None:
        found = found or _ollama(ctx)
        base_url = None if found is None else found.base_url
    base_url = base_url or preset.base_url or _asked("Base URL", "--base-url", provider)
    model_id = model_id or _first_of(ctx, found) or _asked("Model id", "--model", provider)
    body = given(
        name=name, dialect=dialect or preset.dialect, baseUrl=base_url, model=model_id,
        contextTokens=context or preset.context,
        maxOutputTokens=max_output or min(MAX_OUTPUT, (context or preset.context) // 4),
        fallbacks=list(fallbacks),
    )  # fmt: skip
    body |= _key(ctx, body, preset, key_stdin=key_stdin, key_env=key_env, no_key=no_key)
    reply = ctx.api.post("/models", body)
    show_one(ctx, reply, "model", _COLUMNS)
    ctx.out.line(f"Try it: homarus model test {name}")


def interactive() -> bool:
    return sys.stdin.isatty()


def _asked(what: str, option: str, provider: str) -> str:
    if not interactive():
        raise click.UsageError(f"{provider}: give {option}.")
    return str(click.prompt(what, err=True))


def _asked_provider() -> str:
    if not interactive():
        raise click.UsageError(
            "No Ollama answers on this machine. Name a provider (--provider) or an address "
            "(--base-url)."
        )
    click.echo("No Ollama answers on this machine.", err=True)
    return str(click.prompt("Provider", type=click.Choice(ASKED), err=True))


def _first_of(ctx: Context, found: "Ollama | None") -> str | None:
    """A model of an Ollama: the only one, the one that a person picks, else the first."""
    if found is None:
        return None
    if not found.models:
        raise NotFound(
            "model.none_pulled",
            f"the Ollama at {found.host} has no model",
            "Fetch one: `ollama pull MODEL`.",
        )
    if len(found.models) == 1 or not interactive():
        click.echo(f"The Ollama at {found.host} has {found.models[0]}.", err=True)
        return found.models[0]
    return str(
        click.prompt("Model", type=click.Choice(found.models), default=found.models[0], err=True)
    )


def _key(
    ctx: Context, body: dict[str, Any], preset: Preset, *, key_stdin: bool, key_env: str | None,
    no_key: bool,
) -> dict[str, Any]:  # fmt: skip
    """The field `key`, or nothing: the one that is there stays. Never an argument: those are seen
    by everybody on the machine."""
    if no_key:
        return {"key": None}
    if key_stdin:
        return {"key": sys.stdin.read(MAX_KEY_BYTES).strip()}
    if key_env is not None:
        key = os.environ.get(key_env, "").strip()
        if not key:
            raise click.UsageError(f"The variable {key_env} is not set.")
        return {"key": key}
    if not preset.key or _has_key(ctx, body):
        return {}
    if not interactive():
        raise click.UsageError("It wants a key: give --key-stdin or --key-env, or --no-key.")
    return {"key": str(click.prompt("Key (not shown)", hide_input=True, err=True)).strip()}


def _has_key(ctx: Context, body: dict[str, Any]) -> bool:
    """Whether a model of this name has a key for this address already."""
    try:
        row = ctx.api.get(f"/models/{path_part(body['name'])}")["model"]
    except HomarusError as error:
        if error.code == "model.unknown":
            return False
        raise
    same = (row["baseUrl"], row["dialect"]) == (body["baseUrl"], body["dialect"])
    return bool(row["keyConfigured"]) and same


# -- Ollama --------------------------------------------------------------------------------


class Ollama(NamedTuple):
    """One that answered. `models`: what it has, as it names them."""

    host: str
    base_url: str
    models: Sequence[str]


def _ollama(ctx: Context) -> Ollama | None:
    """The Ollama of this machine (`OLLAMA_HOST`, as its own commands read it), if the daemon asked
    is of this machine too."""
    if not ctx.is_own_daemon():
        return None
    host, port = _ollama_address(os.environ.get("OLLAMA_HOST", ""))
    connection = HTTPConnection(host, port, timeout=FIND_S)
    try:
        connection.request("GET", "/api/tags")
        reply = connection.getresponse()
        listing = loads(reply.read(MAX_LISTING_BYTES)) if reply.status == 200 else None
        names = [str(row["name"]) for row in listing["models"]] if listing is not None else None
    except (OSError, HTTPException, JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None  # whatever is there, it is no Ollama
    finally:
        connection.close()
    if names is None:
        return None
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Ollama(place, f"http://{place}/v1", names)


def _ollama_address(text: str) -> tuple[str, int]:
    """Host and port of `OLLAMA_HOST`: `host`, `host:port` or a URL; what listens everywhere is
    asked on loopback."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "", parts.port or OLLAMA_PORT
    except ValueError:
        host, port = "", OLLAMA_PORT
    return ("127.0.0.1" if host in ("", "0.0.0.0", "::") else host), port  # noqa: S104
