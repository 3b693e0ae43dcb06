"""Documents that anybody may read, made when first asked for: OpenAPI, the page, downloads."""

from collections.abc import Callable
from typing import Final

import msgspec

from homarus.control_plane import docs_page, downloads, openapi
from homarus.control_plane.match import AnyRoute

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"
CSS: Final = b"text/css; charset=utf-8"


class Documents:
    """By path: content type and bytes."""

    def __init__(self, routes: tuple[AnyRoute, ...]) -> None:
        self._makers: Final[dict[str, tuple[bytes, Callable[[], bytes]]]] = {
            "/api/openapi.json": (JSON, lambda: msgspec.json.encode(openapi.document(routes))),
            "/api/docs": (HTML, lambda: docs_page.page(routes)),
            "/api/docs/": (HTML, lambda: docs_page.page(routes)),
            "/api/docs.css": (CSS, lambda: docs_page.STYLE),
            **downloads.FILES,
        }
        self._made: dict[str, tuple[bytes, bytes]] = {}

    def get(self, path: str) -> tuple[bytes, bytes] | None:
        made = self._made.get(path)
        if made is None and path in self._makers:
            kind, make = self._makers[path]
            made = self._made[path] = kind, make()
        return made
