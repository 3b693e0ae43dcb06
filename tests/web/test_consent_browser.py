"""A program written by others asks for a token, and a person answers in a real browser.

The program is the OAuth client of the `mcp` package: discovery, registration, PKCE, issuer and
state checks are its own.
"""

import asyncio
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from playwright.sync_api import expect
from pydantic import AnyUrl

from homarus.testing.daemon import key
from tests.support.browser import WAIT_S, Company, Screen

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
Opener = Callable[..., Screen]
MAX_REQUEST = 65_536


class Memory:
    """What the program keeps between its runs."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Program:
    """A program on this machine: it opens the browser, and listens for the answer on loopback."""

    def __init__(self, company: Company, name: str = "Acme Tools", scope: str = "mcp_full") -> None:
        self.company = company
        self.memory = Memory()
        self.opened: queue.Queue[str] = queue.Queue()
        self.port = 0
        self._name, self._scope = name, scope
        self._told: asyncio.Future[str] = None  # type: ignore[assignment]
        self._server: asyncio.Server = None  # type: ignore[assignment]
        company.run(self._listen())

    async def _listen(self) -> None:
        self._told = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=MAX_REQUEST)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """`/callback` is what the browser is sent to; `/start?to=URL` a page that links there."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        query = parse_qs(urlsplit(path).query)
        body = "<!doctype html><title>Acme</title><h1>Thank you</h1>"
        if path.startswith("/callback") and not self._told.done():
            self._told.set_result(path)
        elif path.startswith("/start"):
            body = f"<!doctype html><title>Acme</title><a id=go href='{query['to'][0]}'>Connect</a>"
        reply = f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {len(body)}\r\n"
        writer.write((reply + "connection: close\r\n\r\n" + body).encode())
        await writer.drain()
        writer.close()

    async def close(self) -> None:
        self._server.close()

    async def _open(self, url: str) -> None:
        self.opened.put(url)

    async def _callback(self) -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(await self._told).query)
        if "error" in query:
            raise PermissionError(query["error"][0])
        first = {name: values[0] for name, values in query.items()}
        return AuthorizationCodeResult(
            code=first["code"], state=first.get("state"), iss=first.get("iss")
        )

    async def _work(self, path: str) -> httpx2.Response:
        provider = OAuthClientProvider(
            server_url=f"{self.company.daemon.url}/mcp",
            client_metadata=OAuthClientMetadata(
                client_name=self._name,
                redirect_uris=[AnyUrl(f"http://127.0.0.1:{self.port}/callback")],
                scope=self._scope,
            ),
            storage=self.memory,
            redirect_handler=self._open,
            callback_handler=self._callback,
        )
        async with httpx2.AsyncClient(auth=provider, timeout=WAIT_S) as client:
            return await client.get(self.company.daemon.url + path)

    def call(self, path: str = "/api/mcp/agents") -> "Future[httpx2.Response]":
        """A request as the program makes it; it asks a person for a token when it has none."""
        return self.company.begin(self._work(path))

    def url(self) -> str:
        """What it opens in the browser."""
        return self.opened.get(timeout=WAIT_S)


@pytest.fixture
def program(company: Company) -> Iterator[Program]:
    made = Program(company)
    yield made
    company.run(made.close())


def token_rows(company: Company) -> list[dict[str, Any]]:
    reply = company.run(company.daemon.owner.get("/api/settings/tokens"))
    rows: list[dict[str, Any]] = reply.json()["tokens"]
    return rows


def test_a_person_lets_a_program_in(
    company: Company, program: Program, open_screen: Opener
) -> None:
    screen = open_screen(viewport={"width": 390, "height": 844})
    answer = program.call()
    page = screen.page
    page.goto(program.url())
    expect(page.get_by_role("heading")).to_have_text("Let a program in?")
    expect(page.locator("main")).to_contain_text("Acme Tools")
    expect(page.locator("main")).to_contain_text("on this computer")
    page.get_by_role("button", name="Let it in").click()
    expect(page.get_by_role("heading")).to_have_text("Thank you")
    reply = answer.result(WAIT_S)
    assert (reply.status_code, reply.json()) == (200, {"agents": []})
    assert screen.errors == []
    assert token_rows(company)[0]["name"] == "Acme Tools"
    assert program.memory.tokens is not None and program.memory.tokens.scope == "mcp_full"


def test_the_token_is_used_again_until_it_is_revoked(
    company: Company, program: Program, open_screen: Opener
) -> None:
    page = open_screen().page
    answer = program.call()
    page.goto(program.url())
    page.get_by_role("button", name="Let it in").click()
    answer.result(WAIT_S)
    assert program.call().result(WAIT_S).status_code == 200
    assert program.opened.empty()
    token = token_rows(company)[0]["id"]
    gone = company.run(company.daemon.owner.delete(f"/api/settings/tokens/{token}", headers=key()))
    assert gone.status_code == 200
    again = program.call()
    assert "/authorize?" in program.url(), "it asks the person again"
    again.cancel()


def test_a_person_says_no(company: Company, program: Program, open_screen: Opener) -> None:
    page = open_screen().page
    before = token_rows(company)
    answer = program.call()
    page.goto(program.url())
    page.get_by_role("button", name="No").click()
    expect(page.get_by_role("heading")).to_have_text("Thank you")
    with pytest.raises(PermissionError, match="access_denied"):
        answer.result(WAIT_S)
    assert token_rows(company) == before


def test_who_is_not_signed_in_signs_in_on_the_way(
    company: Company, program: Program, open_screen: Opener
) -> None:
    page = open_screen(link=None).page
    answer = program.call()
    page.goto(program.url())
    page.get_by_label("Or give an operator's token").fill(company.daemon.owner_token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Let it in").click()
    assert answer.result(WAIT_S).status_code == 200


def test_a_web_page_of_another_site_leads_to_consent_not_to_sign_in(
    program: Program, open_screen: Opener
) -> None:
    """The session's cookie is Strict; the hop by a page of ours makes it come along."""
    page = open_screen().page
    answer = program.call()
    page.goto(f"http://localhost:{program.port}/start?to={quote(program.url(), safe='')}")
    page.locator("#go").click()
    expect(page.get_by_role("heading")).to_have_text("Let a program in?")
    page.get_by_role("button", name="Let it in").click()
    assert answer.result(WAIT_S).status_code == 200


def test_secrets_are_granted_by_choice_only(company: Company, open_screen: Opener) -> None:
    program = Program(company, scope="mcp_danger")
    page = open_screen().page
    answer = program.call()
    page.goto(program.url())
    expect(page.get_by_label("It may")).to_have_value("mcp_full")
    page.get_by_label("It may").select_option("mcp_danger")
    page.get_by_role("button", name="Let it in").click()
    assert answer.result(WAIT_S).status_code == 200
    assert token_rows(company)[0]["scope"] == "mcp_danger"
    company.run(program.close())


def test_without_scripts_it_works_the_same(program: Program, open_screen: Opener) -> None:
    page = open_screen(java_script_enabled=False).page
    answer = program.call()
    page.goto(program.url())
    page.get_by_role("button", name="Let it in").click()
    assert answer.result(WAIT_S).status_code == 200
