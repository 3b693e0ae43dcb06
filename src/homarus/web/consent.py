"""The consent page: a program asks for a company token, and an owner says yes or no (OAuth 2.1).

The request is in the URL and again in the form, and is checked each time: nothing waits in between.
What is wrong with it is shown here. A browser is sent to a program's redirect URI only when a
person pressed a button: anybody can register one, and this would be an open redirector (RFC 9700,
4.11.2).
"""

import asyncio
import hmac
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from homarus.base.action import Action, Proof
from homarus.base.errors import HomarusError, Refused, Unauthenticated
from homarus.company.founding import Company
from homarus.control_plane.answers import status_of
from homarus.control_plane.edge import base_url
from homarus.control_plane.judged import Admit, judged
from homarus.control_plane.oauth import CONSENT, word_of
from homarus.kernel import oauth
from homarus.kernel import oauth_rules as rules
from homarus.kernel.oauth import Client
from homarus.kernel.oauth_rules import Ask
from homarus.kernel.tokens import SCOPES, Token
from homarus.store.port import Rx, Store
from homarus.web import guard
from homarus.web.acts import csrf, form_of
from homarus.web.login import LOGIN, NEXT
from homarus.web.render import Renderer
from homarus.web.visit import Asked, chosen, companies_of, token_of

FIELDS: Final = (
    "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state",
    "code_challenge", "code_challenge_method", "resource",
)  # fmt: skip
APPROVE: Final = "approve"


class Seen(msgspec.Struct, frozen=True):
    """What the page shows. `problem`: why the program cannot have what it asks for; then `ask` is
    None, and the person may go back and tell it."""

    token: Token
    company: Company
    companies: list[Company]
    client: Client
    ask: Ask | None
    problem: HomarusError | None


class Consent:
    """`public_url`: as in `control_plane.oauth.OAuth`."""

    def __init__(
        self, store: Store, admit: Admit, renderer: Renderer, public_url: str = ""
    ) -> None:
        self._store = store
        self._admit = admit
        self._renderer = renderer
        self._public_url = public_url.rstrip("/")

    async def show(self, request: Request) -> Response:
        """GET: who asks, for what. Nobody signed in: first the sign-in, then here again."""
        asked = Asked(
            request.cookies.get(guard.SESSION_COOKIE),
            None,
            request.cookies.get(guard.COMPANY_COOKIE),
        )
        values = self._values(request.query_params.multi_items())
        try:
            seen = await self._store.read(self._seen, asked, values, self._base(request))
        except Unauthenticated:
            here = f"{CONSENT}?{request.url.query}"
            return RedirectResponse(f"{LOGIN}?{urlencode({NEXT: here})}", 303)
        html = await asyncio.to_thread(self._renderer.consent, self._shown(request, seen, values))
        response = HTMLResponse(html, 200 if seen.problem is None else status_of(seen.problem))
        response.headers[guard.POLICY] = policy(values["redirect_uri"])
        return response

    async def decide(self, request: Request) -> Response:
        """POST: the person's answer. Yes is a unit of its own, and its code goes to the browser."""
        guard.check_origin(request.headers)
        form = await form_of(request)
        asked = Asked(request.cookies.get(guard.SESSION_COOKIE), form.get("company"))
        values = self._values((name, form[name]) for name in FIELDS if name in form)
        seen = await self._store.read(self._seen, asked, values, self._base(request))
        if not hmac.compare_digest(csrf(asked.secret or ""), form.get("csrf", "")):
            raise Refused(
                "web.csrf", "the form is not of this session", "Load the page again.", rule="csrf"
            )
        if seen.ask is None or form.get("decision") != APPROVE:
            return self._back(request, values, refusal(seen.problem))
        code = await self._store.write(
            action(seen.token, seen.company, seen.client),
            oauth.authorize,
            seen.ask,
            form.get("granted", SCOPES[0]),
        )
        return self._back(request, values, {"code": code})

    def _values(self, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
        return {"client_id": "", "redirect_uri": ""} | rules.single(pairs)

    def _base(self, request: Request) -> str:
        return self._public_url or base_url(request.scope, dict(request.scope["headers"]))

    def _seen(self, rx: Rx, asked: Asked, values: dict[str, str], base: str) -> Seen:
        """Raises `dashboard.session`, `oauth.invalid_client`, `oauth.invalid_redirect_uri`, Refused
        for whoever could not say yes."""
        token = token_of(rx, asked.secret)
        client = oauth.need(rx, values["client_id"], values["redirect_uri"])
        company = chosen(rx, token, asked)
        judged(rx, self._admit, action(token, company, client), _nothing)
        ask: Ask | None = None
        problem: HomarusError | None = None
        try:
            ask = rules.ask(values, base)
        except HomarusError as error:
            problem = error
        return Seen(token, company, companies_of(rx, token), client, ask, problem)

    def _shown(self, request: Request, seen: Seen, values: dict[str, str]) -> dict[str, Any]:
        redirect = values["redirect_uri"]
        return {
            "seen": seen,
            "fields": [(name, values[name]) for name in FIELDS if name in values],
            "csrf": csrf(request.cookies.get(guard.SESSION_COOKIE) or ""),
            "action": CONSENT,
            "host": urlsplit(redirect).netloc,
            "loopback": rules.is_loopback(redirect),
            "scopes": SCOPES[: SCOPES.index(seen.ask.scope) + 1] if seen.ask else (),
        }

    def _back(self, request: Request, values: dict[str, str], told: dict[str, str]) -> Response:
        """To the program, with the answer, its `state` and who gives it (RFC 9207)."""
        told = told | ({"state": values["state"]} if "state" in values else {})
        there = values["redirect_uri"]
        joint = "&" if "?" in there else "?"
        url = f"{there}{joint}{urlencode(told | {'iss': self._base(request)})}"
        return RedirectResponse(url, 303, {"referrer-policy": "no-referrer"})


def action(token: Token, company: Company, client: Client) -> Action:
    return Action(
        company=company.id,
        capability=oauth.GRANT,
        target=f"oauth:{client.id}",
        credential=token.id,
        proof=Proof.SESSION,
    )


def policy(redirect: str) -> str:
    """The page's policy: its form may lead to the program, and where that leads on from there;
    browsers hold redirects of a form's answer to `form-action`, too."""
    goals = "'self' https: http:" if redirect.startswith("http:") else "'self' https:"
    return guard.HEADERS[guard.POLICY].replace("form-action 'self'", f"form-action {goals}")


def refusal(problem: HomarusError | None) -> dict[str, str]:
    """The answer no, or why there could be no other (RFC 6749, 4.1.2.1)."""
    if problem is None:
        return {"error": "access_denied", "error_description": "The owner said no."}
    return {"error": word_of(problem), "error_description": problem.message}


def _nothing(rx: Rx) -> None:
    """The judgement is all that is wanted."""
