"""Pages over HTTP: parse the URL, visit, render. Without JavaScript they read all the same.

A page's live part is fetched by itself with `?fragment=1` from the same URL.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute

from homarus.base.errors import HomarusError, Internal, NotFound, Unauthenticated
from homarus.base.ids import new_id
from homarus.control_plane.answers import status_of
from homarus.control_plane.judged import Admit
from homarus.control_plane.oauth import CONSENT
from homarus.flows.turn_inbound import DEFAULT_MODE
from homarus.kernel import links
from homarus.kernel.links import KeyOf
from homarus.store.port import Store
from homarus.web import guard
from homarus.web.acts import ACTS, KEPT, Acts, csrf
from homarus.web.consent import Consent
from homarus.web.live import Hub
from homarus.web.login import Login
from homarus.web.render import Renderer
from homarus.web.static import PATH, Files
from homarus.web.tap import Tap
from homarus.web.views import BANNER, VIEWS, View
from homarus.web.visit import Asked, Visit, visit

log = structlog.get_logger("web")

HOME: Final = "/app"
LOGIN: Final = "/app/login"
GZIP_LEVEL: Final = 4
GZIP_LEAST_BYTES: Final = 1_000
FOR_EVER: Final = "public, max-age=31536000, immutable"
Handler = Callable[[Request], Awaitable[Response]]


def application(
    store: Store,
    admit: Admit,
    names: frozenset[str],
    hub: Hub,
    link_key: KeyOf,
    public_url: str = "",
    queue_mode: Callable[[], str] = lambda: DEFAULT_MODE,
) -> Starlette:
    files = Files()
    pages = Pages(store, admit, names, files, Renderer(files.urls))
    login = Login(store, pages.renderer)
    get, post = ["GET"], ["POST"]
    routes: list[Any] = [
        Route("/app/", pages.guarded(_home), methods=get),
        Route(LOGIN, pages.guarded(login.show), methods=get),
        Route(LOGIN, pages.guarded(login.enter), methods=post),
        Route("/app/logout", pages.guarded(login.leave), methods=post),
        Route(PATH + "/{version}/{name}", pages.file, methods=get),
        WebSocketRoute("/app/ws", hub.serve),
    ]
    for view in (*VIEWS, BANNER):
        routes.append(Route(view.rule, pages.guarded(pages.page(view)), methods=get))
    tap = Tap(store, admit, link_key, pages.renderer)
    routes.append(Route(links.PATH, pages.guarded(tap.show, by_cookie=False), methods=get))
    routes.append(Route(links.PATH, pages.guarded(tap.decide, by_cookie=False), methods=post))
    consent = Consent(store, admit, pages.renderer, public_url)
    routes.append(Route(CONSENT, pages.guarded(consent.show), methods=get))
    routes.append(Route(CONSENT, pages.guarded(consent.decide), methods=post))
    acts = Acts(store, queue_mode)
    for act in ACTS:
        routes.append(Route(act.rule, pages.guarded(acts.answer(act)), methods=post))
    routes.append(Route("/app/{rest:path}", pages.guarded(_nowhere)))
    packed = Middleware(GZipMiddleware, minimum_size=GZIP_LEAST_BYTES, compresslevel=GZIP_LEVEL)
    return Starlette(routes=routes, middleware=[packed])


async def _home(request: Request) -> Response:
    return RedirectResponse(HOME, 303)


async def _nowhere(request: Request) -> Response:
    raise NotFound("page.unknown", "there is no such page", "Use the links above.")


class Pages:
    def __init__(
        self,
        store: Store,
        admit: Admit,
        names: frozenset[str],
        files: Files,
        renderer: Renderer,
    ) -> None:
        self.renderer = renderer
        self._store = store
        self._admit = admit
        self._names = names
        self._files = files

    def guarded(self, handler: Handler, *, by_cookie: bool = True) -> Handler:
        """Every answer of ours: host checked where a cookie authorises (the name must not be one
        that another site lets point here), errors as pages, headers set."""

        async def answer(request: Request) -> Response:
            try:
                if by_cookie:
                    guard.check_host(request.headers, self._names)
                response = await handler(request)
            except HomarusError as error:
                response = await self._failed(request, error)
            except Exception as error:  # this supervises requests
                trace = new_id()
                log.error("page_failed", path=request.url.path, trace=trace, exc_info=error)
                response = await self._failed(request, _unforeseen(trace))
            _secure(response.headers)
            return response

        return answer

    async def _failed(self, request: Request, error: HomarusError) -> Response:
        fragment = "fragment" in request.query_params
        if isinstance(error, Unauthenticated) and request.method == "GET" and not fragment:
            return RedirectResponse(LOGIN, 303)
        kept = getattr(request.state, KEPT, None)
        html = await asyncio.to_thread(self.renderer.error, error, kept)
        return HTMLResponse(html, status_of(error))

    def page(self, view: View) -> Handler:
        async def answer(request: Request) -> Response:
            query = _query(view, request)
            asked = asked_by(request)
            seen = await self._store.read(
                visit, self._admit, asked, view.capability, view.fn, query
            )
            fragment = "fragment" in request.query_params
            html = await asyncio.to_thread(
                self.renderer.page,
                view,
                seen,
                _source(view, request, query, seen),
                fragment,
                csrf(asked.secret or ""),
            )
            response = HTMLResponse(html)
            if asked.company is not None and not fragment:
                _remember(request, response, seen.company.slug)
            return response

        return answer

    async def file(self, request: Request) -> Response:
        found = self._files.find(request.url.path)
        if found is None:
            return Response("no such file", 404, media_type="text/plain")
        headers = {
            "cache-control": FOR_EVER,
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(found.packed, headers=headers, media_type=found.type)
        return Response(found.plain, headers=headers, media_type=found.type)


def asked_by(request: Request) -> Asked:
    return Asked(
        request.cookies.get(guard.SESSION_COOKIE),
        request.query_params.get("company") or None,
        request.cookies.get(guard.COMPANY_COOKIE),
    )


def _query(view: View, request: Request) -> dict[str, str]:
    """The values that a view knows, and `ref` of its path."""
    given = {k: request.query_params[k] for k in view.query if request.query_params.get(k)}
    return given | dict(request.path_params)


def _source(view: View, request: Request, query: Mapping[str, str], seen: Visit[Any]) -> str:
    """Where the live part is fetched: this page, of this company whatever is looked at since."""
    values = {k: v for k, v in query.items() if k in view.query}
    values |= {"company": seen.company.slug, "fragment": "1"}
    return f"{request.url.path}?{urlencode(values)}"


def _remember(request: Request, response: Response, slug: str) -> None:
    response.set_cookie(
        guard.COMPANY_COOKIE,
        slug,
        path=guard.COOKIE_PATH,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def _secure(headers: MutableHeaders) -> None:
    """A page may have a policy of its own; nothing else of these."""
    policy = headers.get(guard.POLICY, guard.HEADERS[guard.POLICY])
    headers.update(guard.HEADERS)
    headers[guard.POLICY] = policy
    headers["cache-control"] = "no-store"


def _unforeseen(trace: str) -> Internal:
    return Internal(
        "internal.page",
        "the page failed inside the daemon",
        f"See logs/homarus.log for trace {trace}, and report it.",
    )
