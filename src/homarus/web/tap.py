"""The page behind a one-tap link (docs/adr/0014). Looking at it decides nothing: scanners of mail
and chat open links too. Its button does, as the operator that the link acts for."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from homarus.base.action import Action, Proof
from homarus.control_plane.auth import Caller
from homarus.control_plane.idempotency import key_of
from homarus.control_plane.judged import Admit, judged
from homarus.flows import approving
from homarus.kernel import approval_queries, approvals, links, tokens
from homarus.kernel.approval_rows import Approval
from homarus.kernel.links import KeyOf, Link
from homarus.store.port import Reply, Rx, Store, Tx
from homarus.web.acts import DONE, MAX_NOTE, form_of
from homarus.web.queries.names import Names
from homarus.web.render import Renderer


class Tap:
    def __init__(self, store: Store, admit: Admit, key_of_link: KeyOf, renderer: Renderer) -> None:
        self._store = store
        self._admit = admit
        self._key = key_of_link
        self._renderer = renderer

    async def show(self, request: Request) -> Response:
        """GET: what would be decided, and a button."""
        values = {name: request.query_params.get(name, "") for name in "cadtes"}
        seen = await self._store.read(self._seen, values)
        html = await asyncio.to_thread(self._renderer.tap, values | seen)
        return HTMLResponse(html)

    async def decide(self, request: Request) -> Response:
        """POST: the answer, once. The signature authorises it, no cookie does."""
        form = await form_of(request)
        values = {name: form.get(name, "") for name in "cadtes"}
        link, caller = await self._store.read(self._caller, values)
        await self._store.write_once(
            _action(link, "approval.decide"),
            _decide,
            link,
            form.get("note", "").strip()[:MAX_NOTE],
            key=key_of(values["s"].encode(), caller, "POST", links.PATH, b""),
        )
        html = await asyncio.to_thread(self._renderer.tap, values | {"done": True})
        return HTMLResponse(html)

    def _link(self, rx: Rx, values: dict[str, str]) -> Link:
        return links.read(self._key, values, rx.now_ms)

    def _seen(self, rx: Rx, values: dict[str, str]) -> dict[str, Any]:
        link = self._link(rx, values)
        row: Approval = judged(
            rx,
            self._admit,
            _action(link, "read"),
            approval_queries.need,
            link.company,
            link.approval,
        )
        if not row.open(rx.now_ms):
            raise approvals.decided(row, rx)
        names = Names(rx, link.company)
        return {
            "done": False,
            "row": row,
            "who": names.actor(row.requester),
            "approver": names.token(link.token) or link.token,
            "target": names.target(row.target),
        }

    def _caller(self, rx: Rx, values: dict[str, str]) -> tuple[Link, Caller]:
        link = self._link(rx, values)
        token = tokens.by_id(rx, link.token)
        if token is None:
            raise links.bad()
        return link, Caller(token, link.company)


def _action(link: Link, capability: str) -> Action:
    return Action(
        company=link.company,
        capability=capability,
        target=f"approval:{link.approval}",
        credential=link.token,
        proof=Proof.SESSION,
    )


def _decide(tx: Tx, link: Link, note: str) -> Reply:
    said = note or "by a one-tap link"
    approving.decide(tx, link.approval, approve=link.decision == "approve", note=said)
    return DONE
