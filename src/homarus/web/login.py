"""Signing in: a link with a one-time code, or a token typed into a field; and signing out."""

import asyncio
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from homarus.base.action import Action, Proof
from homarus.base.errors import HomarusError, TooLarge, Unauthenticated
from homarus.control_plane.answers import status_of
from homarus.kernel import browser, tokens
from homarus.kernel.tokens import Token
from homarus.store.port import Rx, Store
from homarus.web import guard
from homarus.web.render import Renderer

CAPABILITY: Final = "dashboard.open"
TARGET: Final = "dashboard:"
MAX_FORM_BYTES: Final = 4_096
LOGIN: Final = "/app/login"
NEXT: Final = "next"


class Login:
    def __init__(self, store: Store, renderer: Renderer) -> None:
        self._store = store
        self._renderer = renderer

    async def show(self, request: Request) -> Response:
        """The form; with `?code=` the code is used up and the browser is let in. `?next=` is the
        page of ours to go on with."""
        code = request.query_params.get("code")
        if code is None:
            return await self._form(request, None)
        try:
            token = await self._store.read(_token_of_code, code)
            if token is None:
                raise browser.bad_code()
            secret = await self._store.write(_opening(token), browser.open_with_code, code)
        except HomarusError as error:
            return await self._form(request, error)
        return _let_in(request, secret)

    async def enter(self, request: Request) -> Response:
        """The token field. The kernel says who may; a wrong token is told nothing more."""
        guard.check_origin(request.headers)
        secret = (await _field(request)).strip()
        try:
            token = await self._store.read(tokens.by_secret, secret) if secret else None
            if token is None:
                raise Unauthenticated(
                    "identity.unknown",
                    "this is no access token of this daemon",
                    "`homarus token show` prints yours.",
                )
            session = await self._store.write(_opening(token), browser.open_session)
        except HomarusError as error:
            return await self._form(request, error)
        return _let_in(request, session)

    async def leave(self, request: Request) -> Response:
        guard.check_origin(request.headers)
        secret = request.cookies.get(guard.SESSION_COOKIE)
        token = None if secret is None else await self._store.read(_token_of_session, secret)
        if secret is not None and token is not None:
            await self._store.write(_opening(token, Proof.SESSION), browser.close, secret)
        response = RedirectResponse(LOGIN, 303)
        response.delete_cookie(guard.SESSION_COOKIE, path=guard.COOKIE_PATH)
        return response

    async def _form(self, request: Request, error: HomarusError | None) -> Response:
        goal = guard.ours(request.query_params.get(NEXT))
        action = LOGIN if goal == guard.HOME else f"{LOGIN}?{urlencode({NEXT: goal})}"
        html = await asyncio.to_thread(self._renderer.login, error, action)
        return HTMLResponse(html, 200 if error is None else status_of(error))


def _opening(token: Token, proof: Proof = Proof.TOKEN) -> Action:
    return Action(
        company=token.company,
        capability=CAPABILITY,
        target=TARGET,
        credential=token.id,
        proof=proof,
    )


def _token_of_code(rx: Rx, code: str) -> Token | None:
    token = browser.token_of_code(rx, code)
    return None if token is None else tokens.by_id(rx, token)


def _token_of_session(rx: Rx, secret: str) -> Token | None:
    session = browser.find(rx, secret)
    return None if session is None else tokens.by_id(rx, session.token)


def _let_in(request: Request, secret: str) -> Response:
    response = RedirectResponse(guard.ours(request.query_params.get(NEXT)), 303)
    response.set_cookie(
        guard.SESSION_COOKIE,
        secret,
        max_age=browser.SESSION_MS // 1000,
        path=guard.COOKIE_PATH,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


async def _field(request: Request) -> str:
    """The form's `token`. Raises `request.too_large`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise TooLarge("request.too_large", "the form is too large", "Give only the token.")
    return _decoded(body)


def _decoded(body: bytes) -> str:
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
