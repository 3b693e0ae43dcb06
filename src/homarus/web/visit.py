"""A visit: who looks at which company, judged by the kernel in the transaction that reads.

A browser's session stands for an operator's access token. Each page is one read: session, company,
the kernel's word, what the header shows, and the page's own rows are all of one moment.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from homarus.base.action import Action, Proof
from homarus.base.errors import NotFound, Unauthenticated
from homarus.company import founding
from homarus.company.founding import Company
from homarus.control_plane.judged import Admit, judged
from homarus.control_plane.status import cost
from homarus.kernel import browser, stop, tokens
from homarus.kernel.stop import Stop
from homarus.kernel.tokens import Token
from homarus.store.port import Rx, Ts

T = TypeVar("T")
MAX_COMPANIES: Final = 200


class Asked(msgspec.Struct, frozen=True):
    """What a request brings: the session's secret; the company that its URL names (slug or id), and
    the one that was looked at last."""

    secret: str | None
    company: str | None = None
    last: str | None = None


class Visit(msgspec.Struct, Generic[T], frozen=True):
    """What one page read. `seq`: where the company's feed stood; `companies`: what the visitor may
    switch to (one for an operator of a single company); `cost`: today's money, in micros."""

    token: Token
    company: Company
    companies: list[Company]
    stops: list[Stop]
    cost: dict[str, Any]
    seq: int
    now_ms: int
    body: T


def visit(
    rx: Rx,
    admit: Admit,
    asked: Asked,
    capability: str,
    fn: Callable[[Rx, Company, *Ts], T],
    *args: *Ts,
) -> "Visit[T]":
    """`fn(rx, company, *args)` for the visitor, when their token may `capability`.

    Raises `dashboard.session`, `company.unknown`, Refused.
    """
    token = token_of(rx, asked.secret)
    mine = companies_of(rx, token)
    here = _chosen(rx, mine, asked)
    action = Action(
        company=here.id,
        capability=capability,
        target="dashboard:",
        credential=token.id,
        proof=Proof.SESSION,
    )
    body = judged(rx, admit, action, fn, here, *args)
    head = rx.one("select event_seq from company_head where company_no=?", (here.no,))
    return Visit(
        token=token,
        company=here,
        companies=mine,
        stops=stop.active(rx, here.id),
        cost=cost(rx, here.id)["today"],
        seq=0 if head is None else int(head[0]),
        now_ms=rx.now_ms,
        body=body,
    )


def token_of(rx: Rx, secret: str | None) -> Token:
    """The token behind a session that lives. Raises `dashboard.session`."""
    session = None if secret is None else browser.find(rx, secret)
    token = None if session is None else tokens.by_id(rx, session.token)
    if token is None or not token.live(rx.now_ms):
        raise Unauthenticated(
            "dashboard.session",
            "you are not signed in, or your session has ended",
            "Open a new one: `homarus dashboard`.",
        )
    return token


def chosen(rx: Rx, token: Token, asked: Asked) -> Company:
    """The company that a request means, among those the token may see. Raises `company.unknown`."""
    return _chosen(rx, companies_of(rx, token), asked)


def companies_of(rx: Rx, token: Token) -> list[Company]:
    if token.company:
        return [founding.need(rx, token.company)]
    return founding.listed(rx, limit=MAX_COMPANIES)


def _chosen(rx: Rx, mine: list[Company], asked: Asked) -> Company:
    for ref in (asked.company, asked.last):
        for company in mine:
            if ref in (company.slug, company.id):
                return company
        if ref is not None and len(mine) == MAX_COMPANIES:
            return founding.need(rx, ref)
        if ref is not None and ref == asked.company:
            break
    else:
        if mine:
            return mine[0]
    raise NotFound(
        "company.unknown",
        f"no company {(asked.company or '')[:80]!r} that you may see",
        "Choose another one, or found one: `homarus company create`.",
    )
