"""JSON Schemas of what capabilities take: checked when registered, applied to every call.

The validator fetches nothing, runs no code made from the schema and matches patterns in linear
time (docs/adr/0011). A schema may come from anybody who proposes a change, so its size, its depth
and what it becomes when its references are followed are bounded.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from homarus.base.errors import Invalid

if TYPE_CHECKING:
    import jsonschema_rs

MAX_BYTES: Final = 65_536
MAX_DEPTH: Final = 24
MAX_NODES: Final = 5_000
"""Values of a schema with its references followed: a schema that contains itself passes it."""

MAX_COMPILED: Final = 256
MAX_FAULTS: Final = 10
MAX_FAULT: Final = 200
REGEX_BYTES: Final = 1_048_576
DRAFTS: Final = (
    "http://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2020-12/schema",
)
_ELSEWHERE: Final = ("$id", "$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$anchor")


class Fault(Exception):
    """Why a schema cannot be used; `path` leads to the place: keys and indexes from its root."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


def check(schema: Mapping[str, Any]) -> str:
    """The schema as text to be kept. Raises Fault."""
    text = json.dumps(schema, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise Fault(f"the schema has more than {MAX_BYTES} bytes")
    if schema.get("type") != "object":
        raise Fault("a capability takes an object: write `type: object`", ("type",))
    draft = schema.get("$schema")
    if draft is not None and str(draft).rstrip("#") not in DRAFTS:
        raise Fault(f"the draft must be one of {', '.join(DRAFTS)}", ("$schema",))
    _walk(schema)
    _compile(text)
    return text


def need(schema: Mapping[str, Any]) -> str:
    """As `check`. Raises `capability.schema`."""
    try:
        return check(schema)
    except Fault as fault:
        raise Invalid(
            "capability.schema",
            f"the input schema cannot be used: {fault} (at {pointer(fault.path)})",
            "Correct it: JSON Schema, draft 7 or 2020-12, without references to other documents.",
        ) from fault


def faults(schema: str, arguments: Any) -> list[str]:
    """What is wrong with the arguments, at most MAX_FAULTS lines; nothing: they fit."""
    found = []
    for error in _compile(schema).iter_errors(arguments):
        found.append(f"{pointer(tuple(error.instance_path))}: {error.message[:MAX_FAULT]}")
        if len(found) == MAX_FAULTS:
            break
    return found


def pointer(path: tuple[str | int, ...]) -> str:
    return "/" + "/".join(str(part)[:100] for part in path)


def _walk(schema: Mapping[str, Any]) -> None:
    """Counts every value with references followed; a stack of its own, so that no depth hurts."""
    left = MAX_NODES
    todo: list[tuple[Any, tuple[str | int, ...], int]] = [(schema, (), 0)]
    while todo:
        node, path, depth = todo.pop()
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise Fault(
                f"it is deeper than {MAX_DEPTH}, larger than {MAX_NODES} values, or contains "
                "itself",
                path,
            )
        if isinstance(node, list):
            todo.extend((each, (*path, i), depth + 1) for i, each in enumerate(node))
        if not isinstance(node, dict):
            continue
        for word in _ELSEWHERE:
            if isinstance(node.get(word), str):
                raise Fault(f"`{word}` is not offered", (*path, word))
        for key, value in node.items():
            todo.append((value, (*path, key), depth + 1))
            if key == "$ref" and isinstance(value, str):
                todo.append((_resolved(schema, value, (*path, key)), (*path, key), depth + 1))


def _resolved(root: Any, ref: str, path: tuple[str | int, ...]) -> Any:
    if ref != "#" and not ref.startswith("#/"):
        raise Fault(f"the reference {ref[:100]!r} leads to another document", path)
    node = root
    for part in ref[2:].split("/") if len(ref) > 1 else ():
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or name not in node:
            raise Fault(f"the reference {ref[:100]!r} leads nowhere", path)
        node = node[name]
    return node


@lru_cache(maxsize=MAX_COMPILED)
def _compile(text: str) -> "jsonschema_rs.Validator":
    """By its text, so that a version that was rolled back can be mistaken for no other."""
    import jsonschema_rs

    schema = json.loads(text)
    draft7 = str(schema.get("$schema", "")).rstrip("#") == DRAFTS[0]
    kind = jsonschema_rs.Draft7Validator if draft7 else jsonschema_rs.Draft202012Validator
    regex = jsonschema_rs.RegexOptions(size_limit=REGEX_BYTES, dfa_size_limit=REGEX_BYTES)
    try:
        return kind(schema, offline=True, pattern_options=regex)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        path = tuple(getattr(error, "instance_path", ()))
        message = getattr(error, "message", str(error)).splitlines()[0]
        raise Fault(f"it cannot compile: {message[:MAX_FAULT]}", path) from error
