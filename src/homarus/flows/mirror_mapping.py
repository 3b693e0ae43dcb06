"""A mirror's mapping file: which entities and fields it shows, and under which names.

    entities:
      task:
        fields:
          Title: title
          Priority: {from: priority, as: text}

Without a file every entity that the target takes is shown with all its fields by their own names.
Each error names the path of what is wrong, and what to write instead.
"""

from collections.abc import Iterable
from typing import Any, Final, NoReturn

import msgspec
import yaml

from homarus.base.errors import Invalid
from homarus.base.nearest import did_you_mean
from homarus.flows.mirror_entities import ENTITIES, LIST, NUMBER, TEXT

MAX_MAPPING: Final = 65_536
MAX_FIELDS: Final = 100
MAX_NAME: Final = 100
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Field(msgspec.Struct, frozen=True):
    """`source`: our field; `shown`: the type that it is given to the target as."""

    source: str
    shown: str


Mapping = dict[str, dict[str, Field]]
"""Entity type -> mapped name -> field."""


def _wrong(path: str, what: str, remedy: str) -> NoReturn:
    raise Invalid("mirror.mapping", f"{path}: {what}", remedy)


def default(takes: Iterable[str]) -> Mapping:
    return {
        name: {field: Field(field, kind) for field, kind in ENTITIES[name].fields.items()}
        for name in ENTITIES
        if name in takes
    }


def parse(text: str, takes: Iterable[str], target_type: str) -> Mapping:
    """`takes`: entities that the target can hold. Raises `mirror.mapping`."""
    if not text.strip():
        return default(takes)
    if len(text.encode()) > MAX_MAPPING:
        _wrong("mapping", f"it passes {MAX_MAPPING} bytes", "Show fewer fields.")
    try:
        if any(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text, Loader=_LOADER)):
            _wrong("mapping", "it uses an alias", "Write each entity out.")
        found = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "mapping" if mark is None else f"mapping:{mark.line + 1}:{mark.column + 1}"
        _wrong(where, "it is no YAML", "See docs/how-to/mirrors.md for an example.")
    top = _object(found, "mapping", ("entities",))
    entities = _object(top.get("entities"), "entities", sorted(ENTITIES))
    if not entities:
        _wrong("entities", "it names none", f"Name some of {', '.join(sorted(takes))}.")
    for name in entities:
        if name not in takes:
            _wrong(
                f"entities.{name}", f"{target_type} does not take {name}",
                f"It takes {', '.join(sorted(takes))}.",
            )  # fmt: skip
    return {name: _entity(name, value) for name, value in entities.items()}


def _object(value: Any, path: str, known: Iterable[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        _wrong(path, "it is no mapping of names to values", "See docs/how-to/mirrors.md.")
    for name in value:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
            _wrong(path, f"{str(name)[:40]!r} is no name", f"1 to {MAX_NAME} printable characters.")
        if known is not None and name not in known:
            _wrong(
                name if path == "mapping" else f"{path}.{name}", "nothing is called so",
                did_you_mean(name, known, f"Known are {', '.join(known)}."),
            )  # fmt: skip
    return value


def _entity(name: str, value: Any) -> dict[str, Field]:
    path = f"entities.{name}"
    fields = _object(_object(value, path, ("fields",)).get("fields"), f"{path}.fields", None)
    if not 0 < len(fields) <= MAX_FIELDS:
        _wrong(f"{path}.fields", f"{len(fields)} fields", f"Show 1 to {MAX_FIELDS}.")
    return {shown: _field(name, f"{path}.fields.{shown}", of) for shown, of in fields.items()}


def _field(entity: str, path: str, value: Any) -> Field:
    known = ENTITIES[entity].fields
    if isinstance(value, str):
        value = {"from": value}
    told = _object(value, path, ("from", "as"))
    source = told.get("from")
    if not isinstance(source, str) or source not in known:
        _wrong(
            path, f"{entity} has no field {str(source)[:60]!r}",
            did_you_mean(str(source), known, f"It has {', '.join(known)}."),
        )  # fmt: skip
    own = known[source]
    shown = told.get("as", own)
    if shown not in (own, TEXT):
        fits = own if own == TEXT else f"{own} or {TEXT}"
        _wrong(path, f"{source} is of type {own}, not {str(shown)[:40]}", f"Write `as: {fits}`.")
    return Field(source, shown)


def apply(mapping: Mapping, entity: str, values: dict[str, Any]) -> dict[str, Any]:
    """The fields as the target gets them."""
    own = ENTITIES[entity].fields
    return {
        name: _shown(values.get(field.source), own[field.source], field.shown)
        for name, field in mapping[entity].items()
    }


def _shown(value: Any, own: str, shown: str) -> Any:
    if value is None or own == shown:
        return value
    if own == LIST:
        return ", ".join(value)
    if own == NUMBER:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return str(value)
