"""The worker of notices: posts each open question to the company's webhook, signed.

Intent before act: an attempt is committed, then made. HTTPS, or plain HTTP to this machine alone;
no redirects; what the receiver answers is not read. Tries are bounded (`kernel/notices.py`).
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.clock import iso_ms
from homarus.base.errors import HomarusError
from homarus.base.redact import redact_text
from homarus.base.waking import REST_S, Wake
from homarus.egress import hooks
from homarus.kernel import approval_queries, links, notices, settings
from homarus.kernel.approval_rows import Approval
from homarus.kernel.links import KeyOf, Link
from homarus.kernel.notices import Notice
from homarus.store.port import Rx, Store

log = structlog.get_logger("notices")

WORKER: Final = "notices"
AT_ONCE: Final = 20
MAX_SHOWN: Final = 1_000
LOOK_S: Final = 60.0
HELD_S: Final = 1.0


class Notices:
    """One a daemon. `link_key`, `hook_key`: the company's keys for links and for the body;
    `address`: this daemon's own URL."""

    def __init__(
        self, store: Store, link_key: KeyOf, hook_key: KeyOf, address: Callable[[], str]
    ) -> None:
        self._store = store
        self._link_key = link_key
        self._hook_key = hook_key
        self._address = address
        self._wake = Wake(REST_S)

    async def run(self) -> None:
        """Until cancelled."""
        undo = self._store.listen(self._wake.set)
        try:
            while True:
                wait_s = LOOK_S
                try:
                    due, left_ms = await self._store.read(_look)
                    await self._post_all(due)
                    if left_ms is not None:  # one that stays due is held up by a STOP
                        wait_s = min(LOOK_S, max(left_ms / 1000, HELD_S if due else 0))
                except HomarusError as error:
                    log.warning("notices_failed", code=error.code)
                await self._wake.wait(wait_s)
        finally:
            undo()

    async def _post_all(self, due: list[Notice]) -> None:
        for row in due:
            try:
                await self._post(row)
            except HomarusError as error:  # STOP: it stays pending
                log.info("notice_waits", notice=row.id, code=error.code)

    async def _post(self, row: Notice) -> None:
        intent = Action(row.company, "notice.post", f"approval:{row.approval}", system=WORKER)
        attempted = await self._store.write(intent, notices.attempt, row.id)
        if attempted is None:
            return
        problem = hooks.wrong_url(row.url)
        error: str | None = problem
        if problem is None:
            body = await self._store.read(self._body, row)
            error = await self._send(row, body)
        settling = Action(row.company, "notice.settle", f"approval:{row.approval}", system=WORKER)
        await self._store.write(settling, _settle, row.id, error, problem is not None)

    def _body(self, rx: Rx, row: Notice) -> bytes:
        asked = approval_queries.by_id(rx, row.company, row.approval)
        if asked is None:
            raise AssertionError("a notice of no approval")
        given = str(settings.value(rx, row.company, "approval.address")).rstrip("/")
        base = given or self._address()
        approver = str(settings.value(rx, row.company, "approval.approver"))
        return msgspec.json.encode(
            {
                "type": "approval_created",
                "notice": row.id,
                "company": row.company,
                "approval": shown(asked),
                "desk": f"{base}/app",
                "links": self._links(base, asked, approver) if approver else None,
            }
        )

    def _links(self, base: str, asked: Approval, approver: str) -> dict[str, str]:
        key = self._link_key(asked.company)
        return {
            word: links.url(
                base, key, Link(asked.company, asked.id, word, approver, asked.expires_ms)
            )
            for word in links.DECISIONS
        }

    async def _send(self, row: Notice, body: bytes) -> str | None:
        """Why it did not arrive; None: it did."""
        key = self._hook_key(row.company)
        try:
            answer = await hooks.post_once(row.url, body, key, {"x-homarus-notice": row.id})
        except hooks.NoAnswer as error:
            return f"not delivered: {error}"
        if 200 <= answer.status < 300:
            return None
        return f"the receiver answered {answer.status}"


def _look(rx: Rx) -> tuple[list[Notice], int | None]:
    """What is due, and how long until the next is. What is posted wakes the worker again."""
    return notices.due(rx, AT_ONCE), notices.wait_ms(rx)


def _settle(tx: Any, notice: str, error: str | None, final: bool) -> None:
    notices.settle(tx, notice, error, final=final)


def shown(row: Approval) -> dict[str, Any]:
    """What a receiver hears of an approval: enough to decide, no more."""
    return {
        "id": row.id,
        "number": row.number,
        "what": redact_text(row.what)[:MAX_SHOWN],
        "capability": row.capability,
        "target": row.target[:MAX_SHOWN],
        "payloadHash": row.payload.hex(),
        "requester": row.requester,
        "reason": redact_text(row.reason)[:MAX_SHOWN],
        "risk": row.risk,
        "scope": row.scope,
        "hours": row.hours,
        "cost": row.cost,
        "expiresAt": iso_ms(row.expires_ms),
    }
