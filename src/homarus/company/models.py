"""Configured models: names that agents are answered by, and where each of them is.

An agent's `llmModel` names one (or the provider's id of one), else it is `default`; a model names
those that stand in for it. A key arrives here sealed and leaves only by `chain`, for the daemon's
own connections.
"""

import ipaddress
import json
import re
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.store.port import Row, Rx, Tx

DIALECTS: Final = ("openai", "openai-responses", "anthropic")
DEFAULT: Final = "default"
MAX_MODELS: Final = 100
MAX_FALLBACKS: Final = 4
MAX_TEXT: Final = 300
MAX_KEY: Final = 4_096
MIN_CONTEXT: Final = 1_024
MAX_CONTEXT: Final = 20_000_000
MIN_OUTPUT: Final = 16
CONTEXT_TOKENS: Final = 128_000
MAX_OUTPUT_TOKENS: Final = 8_192

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LOCAL_ENDS: Final = (".local", ".internal", ".lan", ".home.arpa", ".localhost")
_COLUMNS: Final = (
    "company, name, revision, dialect, base_url, model, "
    "case when key_sealed is null then 0 else 1 end, context_tokens, max_output_tokens, "
    "fallbacks, created_ms, updated_ms"
)


class Model(msgspec.Struct, frozen=True, gc=False):
    """A row of `model_provider`; of its key only whether there is one."""

    company: str
    name: str
    revision: str
    dialect: str
    base_url: str
    model: str
    key_configured: bool
    context_tokens: int
    max_output_tokens: int
    fallbacks: tuple[str, ...]
    created_ms: int
    updated_ms: int


class NewModel(msgspec.Struct, frozen=True):
    """What an owner sets. `key`: sealed; UNSET keeps the one that is there, None has none sent."""

    name: str
    dialect: str
    base_url: str
    model: str
    key: bytes | msgspec.UnsetType | None = msgspec.UNSET
    context_tokens: int = CONTEXT_TOKENS
    max_output_tokens: int = MAX_OUTPUT_TOKENS
    fallbacks: tuple[str, ...] = ()


class Keyed(msgspec.Struct, frozen=True):
    """A model with its key, still sealed for `about`."""

    model: Model
    key: bytes | None


def about(company: str, name: str) -> bytes:
    """What a key is sealed for: it opens for this model of this company only."""
    return f"model:{company}:{name}".encode()


def _model(row: Row) -> Model:
    values = list(row)
    values[6] = bool(values[6])
    values[9] = tuple(json.loads(values[9]))
    return Model(*values)


# -- reading -------------------------------------------------------------------------------


def by_name(rx: Rx, company: str, name: str) -> Model | None:
    row = rx.one(
        f"select {_COLUMNS} from model_provider where company=? and name=?",  # noqa: S608
        (company, name),
    )
    return None if row is None else _model(row)


def need(rx: Rx, company: str, name: str) -> Model:
    """Raises `model.unknown`."""
    found = by_name(rx, company, name)
    if found is None:
        raise unknown(name)
    return found


def unknown(name: str) -> NotFound:
    return NotFound(
        "model.unknown",
        f"no model {name[:80]!r} is configured",
        "See `homarus model list`, or add it: `homarus model add`.",
    )


def listed(rx: Rx, company: str, *, limit: int, after: str = "") -> list[Model]:
    """By name; `after` is the last one seen."""
    rows = rx.all(
        f"select {_COLUMNS} from model_provider where company=? and name>? "  # noqa: S608
        "order by name limit ?",
        (company, after, limit),
    )
    return [_model(row) for row in rows]


def of_provider(rx: Rx, company: str, provider: str, wanted: str) -> Model | None:
    """The model that both name: the provider by a model's name or its dialect, the model by its
    name or its provider's id of it."""
    rows = listed(rx, company, limit=MAX_MODELS)
    fits = [r for r in rows if provider in (r.name, r.dialect) and wanted in (r.name, r.model)]
    return min(fits, key=lambda row: row.name != provider, default=None)


def chain(rx: Rx, company: str, wanted: str | None) -> tuple[Keyed, ...]:
    """The model that `wanted` names, by its name or its provider's id of it, then those that stand
    in for it. Nothing wanted is `default`. Raises `model.none`, `model.unknown`."""
    first = named(rx, company, wanted)
    chosen = [first, *(by_name(rx, company, name) for name in first.fallbacks)]
    return tuple(Keyed(row, _key(rx, row)) for row in chosen if row is not None)


def named(rx: Rx, company: str, wanted: str | None) -> Model:
    """The model that `wanted` names, as in `chain`. Raises alike."""
    found = by_name(rx, company, wanted or DEFAULT)
    if found is not None:
        return found
    if not wanted:
        raise Conflict(
            "model.none", "no model is configured as `default`", "Add one: `homarus model add`."
        )
    row = rx.one(
        f"select {_COLUMNS} from model_provider where company=? and model=? "  # noqa: S608
        "order by name limit 1",
        (company, wanted),
    )
    if row is None:
        raise unknown(wanted)
    return _model(row)


def _key(rx: Rx, row: Model) -> bytes | None:
    found = rx.one(
        "select key_sealed from model_provider where company=? and name=?", (row.company, row.name)
    )
    return None if found is None or found[0] is None else bytes(found[0])


# -- rules ---------------------------------------------------------------------------------


def address(text: str) -> str:
    """A base URL in its normal form: a web address without credentials, query or closing slash.

    Raises `model.url`.
    """
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable, parts = False, SplitResult("", "", "", "", "")
    if not usable or "@" in parts.netloc or parts.query or parts.fragment or len(text) > MAX_TEXT:
        raise Invalid(
            "model.url",
            "unusable base URL",
            f"http:// or https://, no user, query or fragment, at most {MAX_TEXT} characters.",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def may_carry_key(base_url: str) -> bool:
    """Whether a key may go there: encrypted, or no further than one's own network."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return True
    try:
        place = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_ENDS)
    return place.is_private or place.is_loopback or place.is_link_local


def key_text(text: str) -> str:
    """A key as it goes into a header. Raises `model.bad_key`."""
    key = text.strip()
    if not key or len(key) > MAX_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise Invalid(
            "model.bad_key",
            "that is no key",
            f"1 to {MAX_KEY} printable characters without blanks, as the provider shows it.",
        )
    return key


def _checked(new: NewModel) -> NewModel:
    """Raises `model.*`."""
    if not _NAME.fullmatch(new.name):
        raise Invalid(
            "model.name",
            f"unusable name {new.name[:80]!r}",
            "Lower-case letters, digits, `.`, `_`, `-`; at most 64.",
        )
    if new.dialect not in DIALECTS:
        raise Invalid(
            "model.dialect", f"no dialect {new.dialect[:40]!r}", f"One of {list(DIALECTS)}."
        )
    if not 0 < len(new.model.strip()) <= MAX_TEXT:
        raise Invalid("model.id", "unusable model id", f"1 to {MAX_TEXT} characters.")
    window, output = new.context_tokens, new.max_output_tokens
    if not MIN_CONTEXT <= window <= MAX_CONTEXT or not MIN_OUTPUT <= output < window:
        raise Invalid(
            "model.limits",
            f"{output} tokens of output in a context of {window} cannot be",
            f"contextTokens: {MIN_CONTEXT} to {MAX_CONTEXT}; maxOutputTokens: {MIN_OUTPUT} and "
            "more, below it.",
        )
    if len(new.fallbacks) > MAX_FALLBACKS or len(set(new.fallbacks)) < len(new.fallbacks):
        raise Invalid(
            "model.fallback", "unusable fall-backs", f"At most {MAX_FALLBACKS}, each once."
        )
    return msgspec.structs.replace(new, model=new.model.strip(), base_url=address(new.base_url))


# -- writing -------------------------------------------------------------------------------


def put(tx: Tx, new: NewModel) -> Model:
    """Add it, or put it in the place of the one of that name. Emits `model_added`.

    A key stays where it was given for: with another address or dialect it has to be given again.
    Raises `model.*`.
    """
    new = _checked(new)
    before = by_name(tx, tx.company, new.name)
    for name in new.fallbacks:
        if name == new.name or by_name(tx, tx.company, name) is None:
            raise Invalid(
                "model.fallback", f"{name[:80]!r} cannot stand in for it", "Name another model."
            )
    key = _kept_key(tx, before, new)
    if key is not None and not may_carry_key(new.base_url):
        raise Invalid(
            "model.insecure",
            f"a key would travel unencrypted to {urlsplit(new.base_url).netloc}",
            "Use https://, or an address of your own network.",
        )
    values = (
        tx.new_id(), new.dialect, new.base_url, new.model, key, new.context_tokens,
        new.max_output_tokens, json.dumps(new.fallbacks), tx.now_ms,
    )  # fmt: skip
    if before is None:
        _insert(tx, new.name, values)
    else:
        tx.run(
            "update model_provider set revision=?, dialect=?, base_url=?, model=?, key_sealed=?, "
            "context_tokens=?, max_output_tokens=?, fallbacks=?, updated_ms=? "
            "where company=? and name=?",
            (*values, tx.company, new.name),
        )
    tx.emit("model_added", "", {"name": new.name, "model": new.model})
    return need(tx, tx.company, new.name)


def _insert(tx: Tx, name: str, values: tuple[Any, ...]) -> None:
    row = tx.one("select count(*) from model_provider where company=?", (tx.company,))
    if row is not None and row[0] >= MAX_MODELS:
        raise Invalid("model.many", f"{MAX_MODELS} models are configured", "Remove one of them.")
    tx.run(
        "insert into model_provider(revision, dialect, base_url, model, key_sealed, "
        "context_tokens, max_output_tokens, fallbacks, updated_ms, created_ms, company, name) "
        "values(?,?,?,?,?,?,?,?,?,?,?,?)",
        (*values, tx.now_ms, tx.company, name),
    )


def _kept_key(tx: Tx, before: Model | None, new: NewModel) -> bytes | None:
    if new.key is not msgspec.UNSET:
        return new.key
    if before is None or not before.key_configured:
        return None
    if (before.base_url, before.dialect) != (new.base_url, new.dialect):
        raise Invalid(
            "model.key_moved",
            f"{new.name} moves to {new.base_url}, and its key was given for {before.base_url}",
            "Give the key anew, or null for none.",
        )
    return _key(tx, before)


def delete(tx: Tx, name: str) -> Model:
    """Its key is forgotten with it. Emits `model_removed`. Raises `model.unknown`, `model.used`."""
    row = need(tx, tx.company, name)
    users = [
        other.name for other in listed(tx, tx.company, limit=MAX_MODELS) if name in other.fallbacks
    ]
    if users:
        raise Conflict(
            "model.used",
            f"{name} stands in for {', '.join(users)}",
            "Give those other fall-backs first: `homarus model add`.",
        )
    tx.run("delete from model_provider where company=? and name=?", (tx.company, name))
    tx.emit("model_removed", "", {"name": name})
    return row
