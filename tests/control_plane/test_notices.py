"""The webhook of approvals and its one-tap links, between a running daemon and a receiver."""

import asyncio
import hmac
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from homarus.base.action import Action
from homarus.egress.hooks import SIGNATURE, TIMESTAMP, wrong_url
from homarus.kernel import links, notices, settings, tokens
from homarus.store.port import Rx, Tx
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.ground import ManualClock
from tests.support.scripted_http import Answer, ScriptedServer, scripted

WAIT_S = 20.0
DAY_MS = 86_400_000


async def govern(daemon: Daemon, **values: Any) -> None:
    """What the switch of a change record does."""
    owner = await daemon.app.store.read(tokens.by_secret, daemon.owner_token)

    def put(tx: Tx) -> None:
        for name, value in values.items():
            settings.put(tx, f"approval.{name}", value)

    action = Action(daemon.company_id, "change.switch", "change:", credential=owner.id)
    await daemon.app.store.write(action, put)


async def ask(daemon: Daemon, what: str = "Publish the page") -> str:
    body = {"actionType": "publish", "what": what, "rationale": "it is ready", "cost": 1_000_000}
    reply = await daemon.company.post("/api/v1/approvals", json=body, headers=key())
    assert reply.status_code == 201, reply.text
    return str(reply.json()["approval"]["number"])


async def notice(daemon: Daemon, state: str) -> tuple[Any, ...]:
    """The only notice, once it is in this state; woken by commits."""

    def look(rx: Rx) -> tuple[Any, ...] | None:
        return rx.one("select state, attempts, error from notice")

    changed = asyncio.Event()
    undo = daemon.app.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                changed.clear()
                row = await daemon.app.store.read(look)
                if row is not None and row[0] == state:
                    return row
                await changed.wait()
    finally:
        undo()


async def posted(daemon: Daemon, server: ScriptedServer) -> dict[str, Any]:
    await notice(daemon, "sent")
    body: dict[str, Any] = server.asked[-1].json
    return body


async def with_links(daemon: Daemon, server: ScriptedServer, role: str = "approver") -> Any:
    token, _ = await daemon.token(kind="operator", role=role, name="Ada")
    await govern(daemon, webhook=server.url, approver=token)
    await ask(daemon)
    return token, await posted(daemon, server)


async def tap(daemon: Daemon, link: str, method: str = "POST", **change: str) -> httpx2.Response:
    path = urlsplit(link)
    form = {name: values[0] for name, values in parse_qs(path.query).items()} | change
    if method == "GET":
        return await daemon.anybody.get(path.path, params=form)
    return await daemon.anybody.post(path.path, data=form)


async def status(daemon: Daemon, number: str = "A-1") -> dict[str, Any]:
    reply = await daemon.owner.get(f"/api/v1/approvals/{number}")
    row: dict[str, Any] = reply.json()["approval"]
    return row


async def test_each_question_is_posted_signed(daemon: Daemon) -> None:
    with scripted(Answer()) as server:
        await govern(daemon, webhook=server.url)
        await ask(daemon, "Publish with token ho_0123456789abcdef0123456789abcdef0123456789abcdef")
        body = await posted(daemon, server)
    [asked] = server.asked
    assert (body["type"], body["approval"]["number"], body["links"]) == (
        "approval_created", "A-1", None,
    )  # fmt: skip
    assert "ho_0123456789" not in asked.body.decode()
    secret = daemon.app.notices._hook_key(daemon.company_id)
    at = asked.headers[TIMESTAMP.lower()]
    signed = hmac.digest(secret, f"{at}.".encode() + asked.body, "sha256").hex()
    assert asked.headers[SIGNATURE.lower()] == f"sha256={signed}"


@pytest.mark.parametrize("word, after", [("approve", "approved"), ("reject", "rejected")])
async def test_a_link_decides_when_its_button_is_pressed(
    daemon: Daemon, word: str, after: str
) -> None:
    with scripted(Answer()) as server:
        token, body = await with_links(daemon, server)
    link = body["links"][word]
    for _ in range(3):
        page = await tap(daemon, link, "GET")
        assert page.status_code == 200
        for said in ("Publish the page", "1.00", "A-1", "as Ada"):
            assert said in page.text
    assert (await status(daemon))["status"] == "pending", "looking decides nothing"
    reply = await tap(daemon, link, note="fine")
    assert reply.status_code == 200
    row = await status(daemon)
    assert (row["status"], row["resolverUserId"], row["resolutionNote"]) == (
        after, f"operator:{token}", "fine",
    )  # fmt: skip
    assert (await tap(daemon, link)).status_code == 200, "a resend is the same effect"
    other = body["links"]["reject" if word == "approve" else "approve"]
    late = await tap(daemon, other)
    assert (late.status_code, f"was {after} by Ada at" in late.text) == (409, True)
    assert (await tap(daemon, link, "GET")).status_code == 409
    assert await status(daemon) == row


@pytest.mark.parametrize(
    "change",
    [
        {"d": "reject"},
        {"e": "99999999999999"},
        {"s": "0" * 64},
        {"s": "é"},
        {"s": ""},
        {"t": "01a1f978-acee-72aa-8763-e53ee771c702"},
        {"a": "01a1f978-acee-72aa-8763-e53ee771c702"},
        {"c": "01a1f978-acee-72aa-8763-e53ee771c702"},
        {"a": "A-1"},
        {"d": "perhaps"},
        {"e": "soon"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_changed_link_is_none(daemon: Daemon, method: str, change: dict[str, str]) -> None:
    with scripted(Answer()) as server:
        _, body = await with_links(daemon, server)
    reply = await tap(daemon, body["links"]["approve"], method, **change)
    assert (reply.status_code, "link.bad" in reply.text) == (403, True)
    assert (await status(daemon))["status"] == "pending"


async def test_a_link_ends_with_its_question_exactly(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock=clock) as daemon:
        with scripted(Answer()) as server:
            _, body = await with_links(daemon, server)
        clock.advance(DAY_MS - 1)
        assert (await tap(daemon, body["links"]["approve"], "GET")).status_code == 200
        clock.advance(1)
        for method in ("GET", "POST"):
            reply = await tap(daemon, body["links"]["approve"], method)
            assert (reply.status_code, "link.over" in reply.text) == (403, True)


@pytest.mark.parametrize(
    "role, code", [("operator", "permission.capability"), ("viewer", "permission.capability")]
)
async def test_a_link_can_do_no_more_than_its_operator(
    daemon: Daemon, role: str, code: str
) -> None:
    with scripted(Answer()) as server:
        _, body = await with_links(daemon, server, role)
    reply = await tap(daemon, body["links"]["approve"])
    assert (reply.status_code, code in reply.text) == (403, True)


async def test_a_link_ends_with_its_operator(daemon: Daemon) -> None:
    with scripted(Answer()) as server:
        token, body = await with_links(daemon, server)
    await daemon.owner.delete(f"/api/v1/tokens/{token}")
    for method in ("GET", "POST"):
        reply = await tap(daemon, body["links"]["approve"], method)
        assert (reply.status_code, "identity.revoked" in reply.text) == (401, True)


@pytest.mark.parametrize(
    "first",
    [Answer(500), Answer(302, headers={"Location": "http://127.0.0.1:9/"}), Answer(drop=True)],
)
async def test_what_did_not_arrive_is_posted_again(tmp_path: Path, first: Answer) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock=clock) as daemon:
        with scripted(first, Answer()) as server:
            await govern(daemon, webhook=server.url)
            await ask(daemon)
            async with asyncio.timeout(WAIT_S):
                while (await notice(daemon, "pending"))[2] is None:
                    await daemon.app.maintenance.flush()
            clock.advance(notices.BACKOFF_MS)
            await daemon.project("something else commits")
            row = await notice(daemon, "sent")
        assert (row[1], len(server.asked)) == (2, 2)
        ids = {asked.headers["x-homarus-notice"] for asked in server.asked}
        assert len(ids) == 1


@pytest.mark.parametrize(
    "url, good",
    [
        ("https://hooks.example/x", True),
        ("http://127.0.0.1:9/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:9/x", True),
        ("http://hooks.example/x", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://10.0.0.1/x", False),
        ("https://user@hooks.example/", False),
        ("https:///x", False),
        ("ftp://hooks.example/", False),
        ("file:///etc/passwd", False),
        ("https://hooks.example:x/", False),
        ("https://hooks.example/a b", False),
        ("https://hööks.example/", False),
        ("", False),
        ("https://hooks.example/" + "x" * 2_000, False),
    ],
)
def test_where_may_be_posted(url: str, good: bool) -> None:
    assert (wrong_url(url) is None) is good


async def test_a_webhook_that_cannot_be_is_given_up_at_once(daemon: Daemon) -> None:
    await govern(daemon, webhook="http://hooks.example/")
    await ask(daemon)
    row = await notice(daemon, "failed")
    assert (row[1], row[2]) == (1, "the webhook is neither HTTPS nor on this machine")


async def test_an_answered_question_is_not_posted(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock=clock) as daemon:
        with scripted(Answer(500)) as server:
            await govern(daemon, webhook=server.url)
            await ask(daemon)
            async with asyncio.timeout(WAIT_S):
                while (await notice(daemon, "pending"))[2] is None:
                    await daemon.app.maintenance.flush()
            await daemon.owner.post("/api/v1/approvals/A-1/approve", json={})
            clock.advance(notices.BACKOFF_MS)
            await daemon.project("something else commits")
            await notice(daemon, "dropped")
        assert len(server.asked) == 1


async def test_tries_are_bounded(tmp_path: Path) -> None:
    from homarus.kernel import approvals
    from homarus.testing.ground import ground

    async with ground(tmp_path) as g:

        def asked(tx: Tx) -> None:
            settings.put(tx, "approval.webhook", "https://hooks.example/")
            approvals.request(
                tx, capability="x.y", target="", payload=bytes(32), task=None, agent=None,
                reason="", kind="custom",
            )  # fmt: skip

        await g.write("change.switch", asked)
        waits = []
        for n in range(notices.MAX_ATTEMPTS):
            [row] = await g.read(notices.due, 9)
            made = await g.write("notice.post", notices.attempt, row.id)
            assert made.attempts == n + 1
            assert await g.write("notice.post", notices.attempt, row.id) is None
            await g.write("notice.settle", notices.settle, row.id, "no")
            wait = await g.read(notices.wait_ms)
            waits.append(wait)
            g.clock.advance(wait or 0)
        assert waits == [10_000, 40_000, 160_000, 640_000, None]


def test_a_link_of_another_company_does_not_verify() -> None:
    ids = [f"01a1f978-acee-72aa-8763-e53ee771c70{n}" for n in range(4)]
    link = links.Link(ids[0], ids[1], "approve", ids[2], 10)
    made = links.url("https://x.example", b"k" * 32, link)
    values = {name: found[0] for name, found in parse_qs(urlsplit(made).query).items()}
    assert links.read(lambda company: b"k" * 32, values, 9) == link
    with pytest.raises(Exception, match="no link"):
        links.read(lambda company: company.encode(), values, 9)
