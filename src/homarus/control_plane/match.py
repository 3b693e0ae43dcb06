"""From a path to a route: exact paths by dictionary, templated ones segment by segment.

A route answers below each of its mounts (`Route.mounts`), with or without a trailing slash
(control-plane contract, 1).
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homarus.control_plane.parse import BodyParser
from homarus.control_plane.route import Route, StreamRoute

MAX_PATH: Final = 2_048

AnyRoute = Route | StreamRoute


class Bound(msgspec.Struct, frozen=True):
    """A route made ready: `names` of its path values, its body's decoder, its kind."""

    route: AnyRoute
    names: tuple[str, ...]
    parser: BodyParser | None
    streams: bool


class Found(msgspec.Struct, frozen=True):
    """What a path means. `canonical`: below the mount, without trailing slash."""

    methods: dict[str, Bound]
    canonical: str
    values: tuple[str, ...] = ()


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _is_name(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def bind(route: AnyRoute) -> Bound:
    body: Any = getattr(route, "body", None)
    return Bound(
        route=route,
        names=tuple(s[1:-1] for s in _segments(route.path) if _is_name(s)),
        parser=None if body is None else BodyParser(body),
        streams=isinstance(route, StreamRoute),
    )


class _Node:
    __slots__ = ("any", "fixed", "methods")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.methods: dict[str, Bound] = {}


class Matcher:
    """Raises ValueError when two routes claim one method and path."""

    def __init__(self, routes: Iterable[AnyRoute]) -> None:
        self._exact: dict[str, Found] = {}
        self._roots: dict[str, _Node] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: AnyRoute) -> None:
        bound = bind(route)
        for mount in route.mounts:
            if bound.names:
                methods = self._leaf(mount, route.path).methods
            else:
                canonical = route.path.rstrip("/")
                found = self._exact.setdefault(mount + canonical, Found({}, canonical))
                self._exact[f"{mount}{canonical}/"] = found
                methods = found.methods
            if route.method in methods:
                raise ValueError(f"two routes for {route.method} {route.path}")
            methods[route.method] = bound

    def _leaf(self, mount: str, path: str) -> _Node:
        node = self._roots.setdefault(mount, _Node())
        for segment in _segments(path):
            if _is_name(segment):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.fixed.setdefault(segment, _Node())
        return node

    def find(self, path: str) -> Found | None:
        """The routes of a whole path (mount included), exact ones first; None: there are none."""
        found = self._exact.get(path)
        if found is not None:
            return found
        if len(path) > MAX_PATH:
            return None
        for mount, root in self._roots.items():
            if path.startswith(mount) and path[len(mount) : len(mount) + 1] == "/":
                rest = path[len(mount) + 1 :].removesuffix("/")
                segments = rest.split("/")
                if "" in segments:
                    return None
                leaf = _walk(root, segments, 0, ())
                if leaf is not None:
                    return Found(leaf[0].methods, f"/{rest}", leaf[1])
        return None


def _walk(
    node: _Node, segments: list[str], at: int, values: tuple[str, ...]
) -> tuple[_Node, tuple[str, ...]] | None:
    """Depth is bounded by the depth of the table, not by the request."""
    if at == len(segments):
        return (node, values) if node.methods else None
    fixed = node.fixed.get(segments[at])
    if fixed is not None:
        found = _walk(fixed, segments, at + 1, values)
        if found is not None:
            return found
    if node.any is not None:
        return _walk(node.any, segments, at + 1, (*values, segments[at]))
    return None
