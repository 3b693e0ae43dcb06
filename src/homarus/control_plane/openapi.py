"""The surface described by itself: OpenAPI 3.1 from the table of routes.

Bodies come from the msgspec types that decode them, so the document cannot say less or more than
the code accepts. Every error has one shape (`answers.ErrorBody`).
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homarus import __version__
from homarus.control_plane.answers import ErrorBody
from homarus.control_plane.match import AnyRoute, Bound, bind
from homarus.control_plane.route import MOUNTS, StreamRoute

REF: Final = "#/components/schemas/{name}"
ERRORS: Final = {
    "400": "The request is wrong as it stands",
    "401": "No live access token",
    "403": "A rule refused it; `rule` names it, `receipt` records it",
    "404": "No such thing that this company may see",
    "409": "The present state forbids it",
    "413": "A named bound was passed",
    "429": "A bounded queue is full; repeat it later",
    "503": "The daemon cannot do it now; repeat it later",
}
_ANY_OBJECT: Final = {"type": "object"}
_COMPANY: Final = {
    "name": "X-Homarus-Company",
    "in": "header",
    "description": "Company by slug or id, for tokens of the instance; default: the default one.",
    "schema": {"type": "string"},
}


def document(routes: Iterable[AnyRoute]) -> dict[str, Any]:
    """The whole OpenAPI document as plain data."""
    bounds = [bind(route) for route in routes]
    bodies = [b.route.body for b in bounds if b.parser is not None]  # type: ignore[union-attr]
    replies = [b.route.reply for b in bounds if getattr(b.route, "reply", None) is not None]  # type: ignore[union-attr]
    types = [*bodies, *replies, ErrorBody]
    shown, components = msgspec.json.schema_components(types, ref_template=REF)
    schemas = dict(zip(map(id, types), shown, strict=True))
    paths: dict[str, Any] = {}
    for bound in bounds:
        route = bound.route
        entry = paths.setdefault(route.path or "/", {})
        entry[route.method.lower()] = _operation(bound, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Homarus control plane",
            "version": __version__,
            "description": "One surface under two mounts; trailing slashes are accepted.",
        },
        "servers": [{"url": MOUNTS[1]}, {"url": MOUNTS[0]}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(bound: Bound, schemas: dict[int, Any]) -> dict[str, Any]:
    route = bound.route
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "description": f"Capability `{route.capability}`.",
        "parameters": _parameters(bound),
        "responses": _responses(route, schemas),
    }
    if route.mounts != MOUNTS:
        operation["servers"] = [{"url": mount} for mount in route.mounts]
    if route.tags:
        operation["tags"] = list(route.tags)
    body = _body(bound, schemas)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _operation_id(route: AnyRoute) -> str:
    words = route.path.replace("{", "by-").replace("}", "").strip("/").replace("/", "-")
    return f"{route.method.lower()}-{words or 'root'}"


def _parameters(bound: Bound) -> list[dict[str, Any]]:
    route = bound.route
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in bound.names
    ]
    found += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query]
    if route.kind == "write" and route.keyed != "ignored":
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": route.keyed == "required",
                "description": "Any text of the caller's; the same key and body replay the reply.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 512},
            }
        )
    return [*found, _COMPANY]


def _body(bound: Bound, schemas: dict[int, Any]) -> dict[str, Any] | None:
    route = bound.route
    if isinstance(route, StreamRoute):
        return _form(route.multipart) if route.multipart else None
    if bound.parser is None:
        return None
    return {
        "required": not bound.parser.optional,
        "content": {"application/json": {"schema": schemas[id(route.body)]}},
    }


def _form(fields: tuple[str, ...]) -> dict[str, Any]:
    """`name*` is required; `file` is the content."""
    properties: dict[str, Any] = {}
    for field in fields:
        name = field.rstrip("*")
        properties[name] = (
            {"type": "string", "contentMediaType": "application/octet-stream"}
            if name == "file"
            else {"type": "string"}
        )
    required = [field.rstrip("*") for field in fields if field.endswith("*")]
    schema = {"type": "object", "properties": properties, "required": required}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _responses(route: AnyRoute, schemas: dict[int, Any]) -> dict[str, Any]:
    reply = getattr(route, "reply", None)
    schema = _ANY_OBJECT if reply is None else schemas[id(reply)]
    kind = "application/json"
    if isinstance(route, StreamRoute) and not route.multipart:
        kind, schema = "*/*", {}
    found = {str(route.status): {"description": "Done", "content": {kind: {"schema": schema}}}}
    for status in getattr(route, "also", ()):
        found[str(status)] = {"description": "Done", "content": {kind: {"schema": schema}}}
    error = {"application/json": {"schema": schemas[id(ErrorBody)]}}
    for status, text in ERRORS.items():
        found[status] = {"description": text, "content": error}
    return found
