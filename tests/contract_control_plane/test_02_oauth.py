"""Contract, section 2: OAuth 2.1 with PKCE, by hand, request by request; and how it is attacked."""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.contract_control_plane.wire import Answer, Wire

CALLBACK = "https://client.example/callback"
LOOPBACK = "http://127.0.0.1:4321/callback"
METADATA = "!/.well-known/oauth-authorization-server"
RESOURCE = "!/.well-known/oauth-protected-resource"
VERIFIER = "v" * 43


def s256(verifier: str) -> str:
    return (
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    )


class Browser:
    """A signed-in person: the dashboard's cookie, forms read from pages. Follows nothing itself."""

    def __init__(self, person: Wire) -> None:
        self.http = httpx2.Client(base_url=person.url, headers={"Origin": person.url})
        link = person.post("/api/v1/dashboard/codes")["url"]
        assert self.http.get(link).status_code == 303

    def close(self) -> None:
        self.http.close()

    def fields(self, page: str) -> dict[str, str]:
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
        chosen = re.search(r'<option value="([^"]+)" selected', page)
        return {k: unescape(v) for k, v in found} | ({"company": chosen[1]} if chosen else {})

    def consent(self, query: dict[str, str]) -> httpx2.Response:
        return self.http.get(f"/app/authorize?{urlencode(query)}")

    def answer(
        self, query: dict[str, str], decision: str = "approve", **more: str
    ) -> dict[str, str]:
        """Press a button; what the program's redirect URI is told."""
        reply = self.press(query, decision, **more)
        assert reply.status_code == 303, reply.text
        there = urlsplit(reply.headers["location"])
        assert f"{there.scheme}://{there.netloc}{there.path}" == query["redirect_uri"].split("?")[0]
        return {k: v[0] for k, v in parse_qs(there.query).items()}

    def press(self, query: dict[str, str], decision: str, **more: str) -> httpx2.Response:
        form = self.fields(self.consent(query).text) | {"decision": decision} | more
        return self.http.post("/app/authorize", data=form)


@pytest.fixture(scope="module")
def browser(person: Wire) -> Iterator[Browser]:
    """The owner, who chooses the company of this module where pages ask."""
    made = Browser(person)
    yield made
    made.close()


@pytest.fixture(scope="module")
def program(owner: Wire) -> str:
    """A registered program; registrations are rationed, so one serves the whole module."""
    return str(register(owner, redirect_uris=[CALLBACK, LOOPBACK])["client_id"])


def anybody(wire: Wire) -> Wire:
    return Wire(wire.url, None)


def register(wire: Wire, **body: Any) -> Answer:
    made = anybody(wire).post("/api/oauth/register", {"client_name": "Tester"} | body, key=None)
    assert made.status == 201, made.body
    return made


def ask(program: str, **more: str | None) -> dict[str, str]:
    query: dict[str, str | None] = {
        "response_type": "code",
        "client_id": program,
        "redirect_uri": CALLBACK,
        "code_challenge": s256(VERIFIER),
        "code_challenge_method": "S256",
        "state": "opaque & strange",
        "scope": "mcp_full",
    }
    return {k: v for k, v in (query | more).items() if v is not None}


def exchange(wire: Wire, program: str, code: str, **more: str | None) -> Answer:
    form: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": program,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    sent = {k: v for k, v in (form | more).items() if v is not None}
    return anybody(wire).post("/api/oauth/token", data=sent, key=None)


@pytest.fixture
def granted(browser: Browser, program: str, wire: Wire) -> Callable[..., str]:
    """A fresh code: `granted(scope="mcp_danger", granted="mcp_danger")`."""

    def make(*, granted: str = "mcp_full", **more: str | None) -> str:
        return browser.answer(ask(program, **more), company=wire.id, granted=granted)["code"]

    return make


# -- discovery -------------------------------------------------------------------------------


def test_the_servers_metadata(owner: Wire) -> None:
    """RFC 8414: the issuer is the address that was asked, without a path."""
    told = anybody(owner).get(METADATA)
    assert told.status == 200
    assert told["issuer"] == owner.url
    for name, path in (
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/api/oauth/token"),
        ("registration_endpoint", "/api/oauth/register"),
    ):
        assert told[name] == owner.url + path
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["grant_types_supported"] == ["authorization_code"]
    assert told["response_types_supported"] == ["code"]
    assert told["token_endpoint_auth_methods_supported"] == ["none"]
    assert told.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["", "/mcp"])
def test_the_resources_metadata(owner: Wire, path: str) -> None:
    """RFC 9728: the path follows the well-known name."""
    told = anybody(owner).get(RESOURCE + path)
    assert told["resource"] == owner.url + path
    assert told["authorization_servers"] == [owner.url]
    assert told["scopes_supported"] == ["mcp_full", "mcp_danger"]


@pytest.mark.parametrize(
    "method, path", [("POST", METADATA[1:]), ("GET", "/api/oauth/token"), ("PUT", "/authorize")]
)
def test_other_methods_are_405(owner: Wire, method: str, path: str) -> None:
    reply = anybody(owner).call(method, "!" + path)
    assert reply.status == 405 and reply.headers["allow"]


# -- registration ----------------------------------------------------------------------------


def test_a_program_registers_itself(owner: Wire) -> None:
    """RFC 7591: what it cannot have is replaced in the answer."""
    made = register(
        owner,
        redirect_uris=[CALLBACK],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="client_secret_basic",
        client_uri="https://client.example/",
        contacts=["x@client.example"],
    )
    assert re.fullmatch(r"oc_[0-9a-f]{32}", made["client_id"])
    assert made["redirect_uris"] == [CALLBACK]
    assert made["grant_types"] == ["authorization_code"]
    assert made["token_endpoint_auth_method"] == "none"
    assert "client_secret" not in made.body


WRONG_URIS = [
    "http://client.example/callback",  # neither HTTPS nor this machine
    "http://127.0.0.1.evil.example/cb",
    "http://localhost.evil.example/cb",
    "http://2130706433/cb",
    "https://client.example/cb#fragment",
    "https://user@client.example/cb",
    "https://client.example@evil.example/cb",
    "https://*.client.example/cb",
    "https://client.example\\@evil.example/cb",
    "https://client.example/cb\r\nX: y",
    "https://client.example/\u0441b",
    "https:///cb",
    "https://",
    "https://client.example:port/cb",
    "javascript:alert(1)",
    "data:text/html,x",
    "myapp://callback",
    "//client.example/cb",
    "/callback",
    "",
    "https://client.example/" + "x" * 2_000,
    7,
    None,
]


@pytest.mark.parametrize("uri", WRONG_URIS, ids=lambda uri: str(uri)[:40] or "empty")
def test_a_wrong_redirect_uri_is_not_registered(owner: Wire, uri: Any) -> None:
    body = {"redirect_uris": [CALLBACK, uri]}
    reply = anybody(owner).post("/api/oauth/register", body, key=None)
    assert (reply.status, reply["error"]) == (400, "invalid_redirect_uri")
    assert reply["error_description"]


@pytest.mark.parametrize(
    "body, error",
    [
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": [CALLBACK] * 11}, "invalid_redirect_uri"),
        ({"redirect_uris": CALLBACK}, "invalid_redirect_uri"),
        ({"redirect_uris": [CALLBACK], "client_name": "x" * 101}, "invalid_client_metadata"),
        ({"redirect_uris": [CALLBACK], "grant_types": ["password"]}, "invalid_client_metadata"),
        ({"redirect_uris": [CALLBACK], "response_types": ["token"]}, "invalid_client_metadata"),
        ([], "invalid_client_metadata"),
    ],
)
def test_wrong_metadata_is_not_registered(owner: Wire, body: Any, error: str) -> None:
    reply = anybody(owner).post("/api/oauth/register", body, key=None)
    assert (reply.status, reply["error"]) == (400, error)


@pytest.mark.parametrize(
    "content, kind, status",
    [
        (b"{", "application/json", 400),
        (b"[" * 5_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"redirect_uris": ["https://a.example/"]}', "text/plain", 400),
        (b"x" * 20_000, "application/json", 413),
    ],
)
def test_hostile_bodies_are_no_5xx(owner: Wire, content: bytes, kind: str, status: int) -> None:
    headers = {"Content-Type": kind}
    reply = anybody(owner).post("/api/oauth/register", content=content, headers=headers, key=None)
    assert reply.status == status and reply["error"]


# -- the way to consent ----------------------------------------------------------------------


def test_authorize_leads_to_the_consent_page_by_a_page_of_ours(owner: Wire, program: str) -> None:
    """Another site's page led here: only from a page of ours does the Strict cookie come along."""
    query = urlencode(ask(program) | {"state": '"><script>alert(1)</script>'})
    reply = anybody(owner).get(f"!/authorize?{query}")
    page = reply.raw.decode()
    assert reply.status == 200 and "<script" not in page
    there = re.search(r'content="0;url=([^"]*)"', page)
    assert there is not None
    assert unescape(there[1]) == f"/app/authorize?{query}"
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_nobody_signed_in_signs_in_first_and_comes_back(owner: Wire, program: str) -> None:
    visitor = httpx2.Client(base_url=owner.url, headers={"Origin": owner.url})
    here = f"/app/authorize?{urlencode(ask(program))}"
    login = visitor.get(here)
    assert login.status_code == 303
    assert login.headers["location"].startswith("/app/login?next=")
    form = visitor.get(login.headers["location"])
    action = re.search(r'action="([^"]+)"', form.text)
    assert action is not None
    back = visitor.post(unescape(action[1]), data={"token": owner.token})
    assert (back.status_code, back.headers["location"]) == (303, here)
    assert visitor.get(here).status_code == 200


@pytest.mark.parametrize(
    "goal",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/app\\..", "/application"],
)
def test_signing_in_leads_nowhere_else(owner: Wire, goal: str) -> None:
    visitor = httpx2.Client(base_url=owner.url, headers={"Origin": owner.url})
    path = f"/app/login?{urlencode({'next': goal})}"
    reply = visitor.post(path, data={"token": owner.token})
    assert (reply.status_code, reply.headers["location"]) == (303, "/app")


def test_the_page_says_who_asks_for_what(browser: Browser, program: str) -> None:
    reply = browser.consent(ask(program, scope="mcp_full mcp_danger"))
    assert reply.status_code == 200
    for word in ("Tester", "client.example", "mcp_full", "mcp_danger", "Nobody has checked"):
        assert word in reply.text
    loopback = browser.consent(ask(program, redirect_uri=LOOPBACK))
    assert "this computer" in loopback.text and "mcp_danger" not in loopback.text


@pytest.mark.parametrize("role", ["viewer", "operator", "approver"])
def test_only_an_owner_may_say_yes(person: Wire, owner: Wire, program: str, role: str) -> None:
    body = {"kind": "operator", "name": role, "role": role}
    minted = person.post("/api/v1/tokens", body)
    visitor = Browser(Wire(owner.url, minted["secret"], person.id))
    reply = visitor.consent(ask(program))
    assert reply.status_code == 403 and "oauth.authorize" in reply.text
    form = ask(program) | {"decision": "approve", "company": person.id, "csrf": "x"}
    assert visitor.http.post("/app/authorize", data=form).status_code == 403
    visitor.close()


# -- the whole exchange ----------------------------------------------------------------------


def test_a_code_becomes_a_company_token_once(
    owner: Wire, wire: Wire, person: Wire, browser: Browser, program: str
) -> None:
    told = browser.answer(ask(program), company=wire.id)
    assert told["state"] == "opaque & strange"
    assert told["iss"] == owner.url
    assert re.fullmatch(r"oac_[0-9a-f]{64}", told["code"])
    made = exchange(owner, program, told["code"])
    assert made.status == 200, made.body
    assert re.fullmatch(r"ec_[0-9a-f]{48}", made["access_token"])
    assert (made["token_type"], made["scope"]) == ("Bearer", "mcp_full")
    assert made["expires_in"] == 90 * 86_400
    assert made.headers["cache-control"] == "no-store"
    client = Wire(owner.url, made["access_token"])
    assert client.get("/runtime/health")["companyId"] == wire.id
    assert client.agent()["companyId"] == wire.id
    listed = person.get("/api/settings/tokens")["tokens"]
    assert listed[0]["name"] == "Tester"


@pytest.mark.parametrize(
    "asked, chosen, got, days",
    [
        (None, "mcp_full", "mcp_full", 90),
        ("mcp_full", "mcp_full", "mcp_full", 90),
        ("mcp_danger", "mcp_full", "mcp_full", 90),
        ("mcp_full mcp_danger", "mcp_danger", "mcp_danger", 30),
    ],
)
def test_scope_is_what_the_owner_grants_of_what_is_asked(
    owner: Wire,
    granted: Callable[..., str],
    program: str,
    asked: str | None,
    chosen: str,
    got: str,
    days: int,
) -> None:
    made = exchange(owner, program, granted(scope=asked, granted=chosen))
    assert (made["scope"], made["expires_in"]) == (got, days * 86_400)


def test_no_means_no(browser: Browser, program: str) -> None:
    told = browser.answer(ask(program), "deny")
    assert told["error"] == "access_denied" and told["state"] == "opaque & strange"
    assert "code" not in told


def test_a_program_on_this_machine_takes_the_port_that_is_free(
    owner: Wire, browser: Browser, program: str, wire: Wire
) -> None:
    """RFC 8252, 7.3."""
    there = LOOPBACK.replace("4321", "59999")
    told = browser.answer(ask(program, redirect_uri=there), company=wire.id)
    made = exchange(owner, program, told["code"], redirect_uri=there)
    assert made.status == 200


def test_a_resource_is_one_of_ours(owner: Wire, granted: Callable[..., str], program: str) -> None:
    """RFC 8707."""
    resource = f"{owner.url}/mcp"
    code = granted(resource=resource)
    assert exchange(owner, program, code, resource=resource).status == 200
    assert exchange(owner, program, "x", resource="https://evil.example")["error"] == (
        "invalid_target"
    )
    other = exchange(owner, program, granted(resource=resource), resource=owner.url)
    assert other["error"] == "invalid_grant"


# -- attacks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, error",
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": VERIFIER[:42]}, "invalid_request"),
        ({"code_challenge": "!" * 43}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "root"}, "invalid_scope"),
        ({"scope": "mcp_full root"}, "invalid_scope"),
        ({"resource": "https://evil.example/mcp"}, "invalid_target"),
        ({"state": "x" * 2_001}, "invalid_request"),
    ],
)
def test_pkce_downgrade_and_other_wrong_requests_get_no_yes(
    browser: Browser, program: str, change: dict[str, str | None], error: str
) -> None:
    """They are shown, and nothing is redirected before a person presses the button (RFC 9700)."""
    query = ask(program, **change)
    page = browser.consent(query)
    assert page.status_code == 400 and "approve" not in page.text
    for decision in ("deny", "approve"):
        assert browser.answer(query, decision)["error"] == error


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/callback",
        "https://client.example/callback/",
        "https://client.example/callback/../other",
        "https://client.example/CALLBACK",
        "https://client.example/callback?x=1",
        "https://client.example.evil.example/callback",
        "http://client.example/callback",
        "http://127.0.0.1:4321/other",
        "http://localhost:4321/callback",
        "http://127.0.0.1:4321/callback?x",
        "https://127.0.0.1:4321/callback",
        "javascript:alert(1)",
        "",
    ],
)
def test_redirect_mix_up_and_open_redirects(browser: Browser, program: str, uri: str) -> None:
    """Nobody's redirect URI is led to, not even with an error."""
    query = ask(program, redirect_uri=uri)
    page = browser.consent(query)
    assert page.status_code == 400 and "location" not in page.headers
    form = query | {"decision": "deny", "csrf": "x"}
    posted = browser.http.post("/app/authorize", data=form)
    assert posted.status_code in (400, 403) and "location" not in posted.headers


def test_an_unknown_program_is_led_nowhere(browser: Browser) -> None:
    page = browser.consent(ask("oc_" + "0" * 32))
    assert page.status_code == 400 and "oauth.invalid_client" in page.text


def test_a_field_given_twice_is_refused(browser: Browser, program: str) -> None:
    query = urlencode([*ask(program).items(), ("redirect_uri", "https://evil.example/")])
    assert browser.http.get(f"/app/authorize?{query}").status_code == 400


def test_consent_cannot_be_forged(browser: Browser, program: str, owner: Wire) -> None:
    """CSRF: the session's own token, and a page of ours that posts."""
    form = browser.fields(browser.consent(ask(program)).text) | {"decision": "approve"}
    for change in ({"csrf": ""}, {"csrf": "0" * 32}):
        reply = browser.http.post("/app/authorize", data=form | change)
        assert reply.status_code == 403 and "web.csrf" in reply.text
    for origin in ("https://client.example", "null"):
        headers = {"Origin": origin}
        reply = browser.http.post("/app/authorize", data=form, headers=headers)
        assert reply.status_code == 403 and "web.origin" in reply.text
    naked = httpx2.post(f"{owner.url}/app/authorize", data=form, headers={"Origin": owner.url})
    assert naked.status_code == 401


def test_consent_cannot_be_framed_or_scripted(browser: Browser, program: str) -> None:
    reply = browser.consent(ask(program))
    policy = reply.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'self'" in policy
    assert "unsafe" not in policy and "form-action 'self' https:;" in policy
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", reply.text)


def test_a_hostile_name_is_text(owner: Wire, browser: Browser) -> None:
    name = '<script>alert(1)</script>"\u202eevil'
    hostile = register(owner, client_name=name, redirect_uris=[CALLBACK])["client_id"]
    page = browser.consent(ask(hostile)).text
    assert "<script" not in page and "\u202e" not in page


def test_more_than_was_asked_is_not_granted(browser: Browser, program: str, wire: Wire) -> None:
    reply = browser.press(ask(program), "approve", company=wire.id, granted="mcp_danger")
    assert reply.status_code == 400 and "oauth.invalid_scope" in reply.text


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": s256(VERIFIER)},  # the challenge itself, as for `plain`
        {"code_verifier": "v" * 42},
        {"redirect_uri": LOOPBACK},
        {"redirect_uri": CALLBACK + "/"},
        {"client_id": "other"},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_code_tried_wrongly_is_spent(
    owner: Wire, granted: Callable[..., str], program: str, change: dict[str, str]
) -> None:
    """Code injection: who has the code but not its proof gets nothing, and burns it."""
    if "client_id" in change:
        change = {"client_id": register(owner, redirect_uris=[CALLBACK])["client_id"]}
    code = granted()
    assert exchange(owner, program, code, **change)["error"] == "invalid_grant"
    again = exchange(owner, program, code)
    assert (again.status, again["error"]) == (400, "invalid_grant")


def test_a_replayed_code_revokes_what_it_gave(
    owner: Wire, granted: Callable[..., str], program: str
) -> None:
    code = granted()
    client = Wire(owner.url, exchange(owner, program, code)["access_token"])
    assert client.get("/agents").status == 200
    assert exchange(owner, program, code)["error"] == "invalid_grant"
    assert client.get("/agents").status == 401
    assert exchange(owner, program, code)["error"] == "invalid_grant"


def test_codes_of_an_owner_who_is_no_more_are_worth_nothing(
    owner: Wire, person: Wire, program: str
) -> None:
    minted = person.post("/api/v1/tokens", {"kind": "operator", "name": "o", "role": "owner"})
    visitor = Browser(Wire(owner.url, minted["secret"], person.id))
    code = visitor.answer(ask(program))["code"]
    visitor.close()
    person.delete(f"/api/v1/tokens/{minted['token']['id']}")
    assert exchange(owner, program, code)["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "change, status, error",
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "unsupported_grant_type"),
        ({"code": None}, 400, "invalid_request"),
        ({"code": "oac_" + "0" * 64}, 400, "invalid_grant"),
        ({"code_verifier": None}, 400, "invalid_request"),
        ({"redirect_uri": None}, 400, "invalid_request"),
        ({"client_id": None}, 401, "invalid_client"),
        ({"client_id": "oc_" + "0" * 32}, 401, "invalid_client"),
        ({"code": "\0"}, 400, "invalid_request"),
    ],
)
def test_wrong_token_requests(
    owner: Wire, program: str, change: dict[str, str | None], status: int, error: str
) -> None:
    reply = exchange(owner, program, **{"code": "oac_" + secrets.token_hex(32)} | change)
    assert (reply.status, reply["error"]) == (status, error)
    assert reply["error_description"] and "access_token" not in reply.body


@pytest.mark.parametrize(
    "content, kind",
    [
        (b"grant_type=authorization_code&grant_type=x", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(40)), "application/x-www-form-urlencoded"),
        (b"code=%ff", "application/x-www-form-urlencoded"),
        (b'{"grant_type": "authorization_code"}', "application/json"),
    ],
)
def test_unreadable_token_requests(owner: Wire, content: bytes, kind: str) -> None:
    headers = {"Content-Type": kind}
    reply = anybody(owner).post("/api/oauth/token", content=content, headers=headers, key=None)
    assert (reply.status, reply["error"]) == (400, "invalid_request")
