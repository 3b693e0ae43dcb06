"""The proxy over real sockets: who gets out, where to, with what, and what is on record of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from homarus.agents.tools.kit import Kit
from homarus.agents.tools.web import Web
from homarus.backends.local import interpreter
from homarus.base.errors import HomarusError
from homarus.company import notes, resources
from homarus.dispatch.calls import Calls
from homarus.egress.client import get
from homarus.egress.lease import Bounds
from homarus.egress.proxy import Egress
from homarus.egress.secrets import Secrets
from homarus.flows import calling, mirror_acts, reaching
from homarus.flows.reaching import Run
from homarus.kernel import receipts, redlines, registry, settings
from homarus.kernel.keys import MasterKey
from homarus.testing.bench import Bench, code_of, open_bench, text_of
from homarus.testing.ground import MASTER_KEY, ground
from homarus.testing.shop import OWNER, Shop, open_shop
from tests.support.scripted_http import Answer, scripted

SECRET = "s3cr3t-of-the-api"
TRACE = "01a1f978-acee-72aa-8763-e53ee771c702"
NAMES = {"api.test": "127.0.0.1", "other.test": "127.0.0.1", "public.test": "8.8.8.8",
         "meta.test": "169.254.169.254", "mapped.test": "::ffff:127.0.0.1"}  # fmt: skip


async def names(host: str, port: int) -> list[str]:
    """A name server of ours; what it does not know does not exist."""
    _ = port
    if host not in NAMES:
        raise OSError("unknown")
    return [NAMES[host]]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with ground(tmp_path / "home") as g:
        shop = await open_shop(g)
        await shop.agent("ada", role="coder")
        yield shop


@pytest.fixture
async def egress(shop: Shop, authority: trustme.CA) -> AsyncIterator[Egress]:
    g = shop.ground
    master = MasterKey.from_file(g.home / MASTER_KEY)
    made = Egress(g.store, Secrets(g.store, master), g.home / "run", resolve=names,
                  tls=trusting(authority))  # fmt: skip
    await made.start()
    yield made
    await made.stop()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def run_of(shop: Shop, id_: str = "run-1") -> Run:
    return Run(id_, shop.ground.company, shop.agents["ada"], "a.run", trace=TRACE)


def client_of(lease: Any, **more: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(proxy=lease.url(), trust_env=False, timeout=10, **more)


async def mirror(shop: Shop, host: str, port: int) -> None:
    """One of the company that writes there."""
    checked = mirror_acts.Checked(
        "webhook", host, (f"{host}:{port}",), (), frozenset({"task"}), 1_000
    )
    config = {"url": f"https://{host}:{port}/"}
    new = mirror_acts.NewMirror("board", config, "", checked)
    await shop.do("change.switch", OWNER, settings.put, redlines.MIRRORS, ["webhook"])
    await shop.do("mirror.add", OWNER, mirror_acts.add, new)


async def visits(shop: Shop, run: str = "run-1") -> list[tuple[str, str, int]]:
    rows = await shop.ground.read(reaching.of_run, shop.ground.company, run)
    return [(row.host, row.state, row.requests) for row in rows]


async def test_a_run_reaches_what_it_may_and_it_is_on_record(shop: Shop, egress: Egress) -> None:
    with scripted(Answer(body={"x": 1})) as server:
        port = int(server.url.rpartition(":")[2])
        async with egress.open(run_of(shop), (f"127.0.0.1:{port}",)) as lease:
            async with client_of(lease) as client:
                first = await client.get(f"{server.url}/a?b=c", headers={"X-Own": "yes"})
                again = await client.post(f"{server.url}/d", content=b"body")
            assert (first.json(), again.status_code) == ({"x": 1}, 200)
            assert await visits(shop) == [("127.0.0.1", "open", 0)], "the row stands before"
    assert [(a.method, a.path, a.body) for a in server.asked] == [
        ("GET", "/a?b=c", b""), ("POST", "/d", b"body"),
    ]  # fmt: skip
    assert server.asked[0].headers["x-own"] == "yes"
    assert "proxy-authorization" not in server.asked[0].headers
    assert await visits(shop) == [("127.0.0.1", "done", 2)]
    g = shop.ground
    rows = await g.read(receipts.about, g.company, g.company_no, "trace", TRACE)
    assert [(r.target, r.outcome) for r in rows] == [(f"host:127.0.0.1:{port}", None)]


@pytest.mark.parametrize(
    "allowed, url, code",
    [
        (("api.test",), "http://other.test/", "egress.host"),
        (("*",), "http://127.0.0.1/", "egress.address"),
        (("*",), "http://2130706433/", "egress.lookup"),
        (("*",), "http://api.test/", "egress.address"),
        (("*",), "http://meta.test/", "egress.address"),
        (("*",), "http://mapped.test/", "egress.address"),
        (("*",), "http://nowhere.test/", "egress.lookup"),
        ((), "http://public.test/", "egress.host"),
        (("not a host",), "http://public.test/", "egress.host"),
    ],
)
async def test_what_is_not_reached(
    shop: Shop, egress: Egress, allowed: tuple[str, ...], url: str, code: str
) -> None:
    async with egress.open(run_of(shop), allowed) as lease:
        async with client_of(lease) as client:
            reply = await client.get(url)
        assert reply.json()["error"]["code"] == code
        tunnel = url.replace("http://", "https://")
        async with client_of(lease) as client:
            with pytest.raises(httpx2.ProxyError):
                await client.get(tunnel)
        assert [error.code for error in lease.refusals] == [code, code]
    assert await visits(shop) == []


@pytest.mark.parametrize("host", ["[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[fe80::1]"])
async def test_no_form_of_an_address_is_a_way_round(shop: Shop, egress: Egress, host: str) -> None:
    async with egress.open(run_of(shop), ("*",)) as lease:
        assert "egress.address" in await raw(lease, f"GET http://{host}/ HTTP/1.1")
        assert "egress.address" in await raw(lease, f"CONNECT {host}:443 HTTP/1.1")


async def test_a_name_is_looked_up_once_and_that_address_is_reached(
    shop: Shop, egress: Egress
) -> None:
    """A name server that changes its answer gets nobody anywhere."""
    with scripted(Answer()) as server:
        port = int(server.url.rpartition(":")[2])
        hosts = (f"api.test:{port}", f"127.0.0.1:{port}")
        async with egress.open(run_of(shop), hosts) as lease, client_of(lease) as client:
            assert (await client.get(f"http://api.test:{port}/")).status_code == 200
        assert server.asked[0].headers["host"] == f"api.test:{port}"


@pytest.mark.parametrize("how", ["none", "wrong", "closed"])
async def test_without_its_credentials_nobody_gets_out(
    shop: Shop, egress: Egress, how: str
) -> None:
    async with egress.open(run_of(shop), ("*",)) as lease:
        url = lease.url()
    if how == "none":
        url = f"http://127.0.0.1:{egress.port}"
    elif how == "wrong":
        url = f"http://{lease.user}:wrong@127.0.0.1:{egress.port}"
    async with httpx2.AsyncClient(proxy=url, trust_env=False) as client:
        reply = await client.get("http://public.test/")
    assert reply.status_code == 407
    assert reply.json()["error"]["code"] == "egress.credentials"


async def test_stop_holds_at_the_way_out(shop: Shop, egress: Egress) -> None:
    with scripted(Answer()) as server:
        port = int(server.url.rpartition(":")[2])
        await shop.stop("agent", "ada")
        lent = egress.open(run_of(shop), (f"127.0.0.1:{port}",))
        async with lent as lease, client_of(lease) as client:
            reply = await client.get(server.url)
        assert reply.json()["error"]["code"] == "stop.agent"
        assert server.asked == []


# -- TLS -------------------------------------------------------------------------------------


@pytest.fixture
async def tls_port(authority: trustme.CA) -> AsyncIterator[int]:
    """A server that speaks TLS for api.test and tells back what it was asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b"you said: " + head
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                     b"Connection: close\r\n\r\n" % len(body) + body)  # fmt: skip
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_tunnel(shop: Shop, egress: Egress, tls_port: int, authority: trustme.CA) -> None:
    hosts = (f"api.test:{tls_port}", f"127.0.0.1:{tls_port}")
    async with egress.open(run_of(shop), hosts) as lease:
        async with client_of(lease, verify=trusting(authority)) as client:
            reply = await client.get(f"https://api.test:{tls_port}/x")
        assert reply.text.startswith("you said: GET /x HTTP/1.1")
    assert await visits(shop) == [("api.test", "done", 1)]


def _keep(tx: Any, name: str, config: str, sealed: bytes) -> None:
    change = resources.ResourceChange(
        provider="own", type="secret", name=name, config=notes.read(config), secret_sealed=sealed
    )
    resources.create(tx, "company", None, change)


async def keep(shop: Shop, name: str, hosts: list[str], value: str = SECRET) -> None:
    g = shop.ground
    master = MasterKey.from_file(g.home / MASTER_KEY)
    sealed = master.seal(value.encode(), reaching.sealed_for(g.company))
    await shop.do("resource.create", OWNER, _keep, name, json.dumps({"hosts": hosts}), sealed)


async def raw(lease: Any, head: str) -> str:
    """A request as a program in a sandbox may write it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", lease.port)
    lines = [*head.split("\n"), f"Proxy-Authorization: {lease.authorization}"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_a_handle_becomes_its_value_on_the_last_stretch_alone(
    shop: Shop, egress: Egress, tls_port: int
) -> None:
    """The server gets the value; what it says back of it is blanked."""
    await keep(shop, "api-key", [f"api.test:{tls_port}"])
    hosts = (f"api.test:{tls_port}", f"127.0.0.1:{tls_port}")
    async with egress.open(run_of(shop), hosts) as lease:
        said = await raw(
            lease,
            f"GET https://api.test:{tls_port}/x HTTP/1.1\n"
            "Authorization: Bearer secret://api-key\nAccept-Encoding: gzip",
        )
    assert SECRET not in said and "secret://" not in said
    assert f"Authorization: Bearer {'*' * len(SECRET)}" in said
    assert "Accept-Encoding: identity" in said and "gzip" not in said
    (row,) = await shop.ground.read(reaching.of_run, shop.ground.company, "run-1")
    assert row.secrets == ("api-key",)


@pytest.mark.parametrize(
    "name, hosts, value, url",
    [
        ("api-key", ["other.test"], SECRET, "https://api.test:PORT/"),
        ("api-key", [], SECRET, "https://api.test:PORT/"),
        ("another", ["api.test:PORT"], SECRET, "https://api.test:PORT/"),
        ("api-key", ["api.test:PORT"], "two\nlines", "https://api.test:PORT/"),
    ],
)
async def test_handles_that_are_not_used(
    shop: Shop, egress: Egress, tls_port: int, name: str, hosts: list[str], value: str, url: str
) -> None:
    port = str(tls_port)
    await keep(shop, name, [host.replace("PORT", port) for host in hosts], value)
    reach = (f"api.test:{port}", f"127.0.0.1:{port}")
    async with egress.open(run_of(shop), reach) as lease:
        said = await raw(lease, f"GET {url.replace('PORT', port)} HTTP/1.1\n"
                         "Authorization: secret://api-key")  # fmt: skip
    assert "egress.secret" in said and SECRET not in said
    assert await visits(shop) == []


async def test_no_handle_goes_without_tls(shop: Shop, egress: Egress) -> None:
    await keep(shop, "api-key", ["public.test"])
    async with egress.open(run_of(shop), ("public.test",)) as lease:
        said = await raw(lease, "GET http://public.test/ HTTP/1.1\nX-Key: secret://api-key")
    assert "egress.secret" in said and "without TLS" in said


# -- bounds and crashes ----------------------------------------------------------------------


@pytest.mark.parametrize("size, whole", [(1_000, True), (1_500, False)])
async def test_a_run_has_its_share_of_bytes(
    shop: Shop, egress: Egress, size: int, whole: bool
) -> None:
    with scripted(Answer(body=b"x" * size)) as server:
        port = int(server.url.rpartition(":")[2])
        bounds = Bounds(bytes_down=1_300)
        lent = egress.open(run_of(shop), (f"127.0.0.1:{port}",), bounds)
        async with lent as lease, client_of(lease) as client:
            if whole:
                assert len((await client.get(server.url)).content) == size
            else:
                with pytest.raises(httpx2.HTTPError):
                    await client.get(server.url)
        assert [error.code for error in lease.refusals] == ([] if whole else ["egress.bytes"])


async def test_too_large_a_body_is_refused_before_it_is_sent(shop: Shop, egress: Egress) -> None:
    with scripted(Answer()) as server:
        port = int(server.url.rpartition(":")[2])
        bounds = Bounds(bytes_up=10)
        lent = egress.open(run_of(shop), (f"127.0.0.1:{port}",), bounds)
        async with lent as lease, client_of(lease) as client:
            reply = await client.post(server.url, content=b"x" * 11)
        assert reply.json()["error"]["code"] == "egress.bytes"
        assert server.asked == []


async def test_a_silent_server_is_left(shop: Shop, egress: Egress) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bounds = Bounds(idle_s=0.05)
    async with egress.open(run_of(shop), (f"127.0.0.1:{port}",), bounds) as lease:
        assert "egress.answer" in await raw(lease, f"GET http://127.0.0.1:{port}/ HTTP/1.1")
    server.close()
    assert await visits(shop) == [("127.0.0.1", "done", 1)]


async def test_what_a_crash_left_open_is_unknown(shop: Shop, egress: Egress) -> None:
    action = shop.ground.action("egress.open", "host:x:1", system="egress", credential="",
                                acting="ada")  # fmt: skip
    await shop.ground.store.write(action, reaching.open_visit, run_of(shop), "x", 1)
    again = Egress(egress._store, egress._secrets, shop.ground.home / "run2")
    await again.start()
    await again.stop()
    assert await visits(shop) == [("x", "unknown", 0)]


# -- web_fetch -------------------------------------------------------------------------------

PAGE = b"""<html><head><title>A  page</title><style>p{}</style></head><body><h1>Hello</h1>
<p>Some <b>bold</b> text.</p><script>steal()</script><ul><li>one<li>two</ul>
<div style="display:none">invisible <b>words</b></div><p hidden>also</p>
<a href="/next">next</a></body></html>"""


@pytest.fixture
async def bench(shop: Shop, egress: Egress) -> Bench:
    return await open_bench(shop, "eve", Kit(Web(egress).tools()))


async def allow(shop: Shop, *hosts: str) -> None:
    await shop.do("change.switch", OWNER, settings.put, reaching.HOSTS, list(hosts))


async def test_a_page_is_read_as_text(bench: Bench) -> None:
    with scripted(
        Answer(body=PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
    ) as server:
        await allow(bench.shop, server.url.removeprefix("http://"))
        result = await bench.call("web_fetch", url=f"{server.url}/a")
    text = text_of(result)
    assert not result.is_error and "[title: A page]" in text
    assert "# Hello\n" in text and "Some bold text." in text and "- one\n" in text
    assert "steal" not in text and "invisible" not in text and "also" not in text
    assert f"[1] {server.url}/next" in text
    assert result.details is not None and result.details["source"] == f"{server.url}/a"
    assert "cookie" not in server.asked[0].headers


@pytest.mark.parametrize(
    "answer, code",
    [
        (Answer(302, headers={"Location": "http://127.0.0.1:1/x"}), "egress.address"),
        (Answer(302, headers={"Location": "http://169.254.169.254/x"}), "egress.address"),
        (Answer(302, headers={"Location": "file:///etc/passwd"}), "egress.url"),
        (Answer(302, headers={"Location": "http://evil.test/"}), "egress.host"),
        (Answer(302, headers={"Location": "/again"}), "egress.redirects"),
        (Answer(body=b"\0\1", headers={"Content-Type": "application/zip"}), "web.media"),
        (Answer(body=b"x", headers={"Content-Encoding": "gzip"}), "egress.encoding"),
        (Answer(drop=True), "egress.answer"),
    ],
)
async def test_pages_that_are_not_read(bench: Bench, answer: Answer, code: str) -> None:
    with scripted(answer) as server:
        await allow(bench.shop, server.url.removeprefix("http://"))
        assert code_of(await bench.call("web_fetch", url=server.url)) == code


@pytest.mark.parametrize(
    "url, code",
    [
        ("http://127.0.0.1:1/", "egress.address"),
        ("http://public.test/", "egress.host"),
        ("ftp://public.test/", "egress.url"),
        ("http://user:pw@public.test/", "egress.url"),
        ("http://public.test/a b", "egress.url"),
        ("x", "egress.url"),
    ],
)
async def test_without_a_word_of_the_company_nothing_is_reached(
    bench: Bench, url: str, code: str
) -> None:
    assert code_of(await bench.call("web_fetch", url=url)) == code


async def test_a_long_page_is_cut_at_the_bound(shop: Shop, egress: Egress) -> None:
    with scripted(Answer(body=b"x" * 5_000)) as server:
        port = int(server.url.rpartition(":")[2])
        async with egress.open(run_of(shop), (f"127.0.0.1:{port}",)) as lease:
            fetched = await get(lease, server.url, max_bytes=1_000)
        assert (len(fetched.body), fetched.whole) == (1_000, False)
        with pytest.raises(HomarusError, match=r"in time"):
            async with egress.open(run_of(shop, "run-2"), (f"127.0.0.1:{port}",)) as lease:
                await get(lease, server.url, max_s=0)


# -- commands in the sandbox -----------------------------------------------------------------

ASK = """
import sys, urllib.request, socket
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url, timeout=10).read().decode())
    except Exception as error:
        print(type(error).__name__, getattr(error, 'code', ''))
try:
    socket.create_connection(("127.0.0.1", %d), 2)
    print("a way past the proxy")
except OSError:
    print("no other way")
"""


async def ended(shop: Shop, call: str) -> calling.Call:
    changed = asyncio.Event()
    undo = shop.ground.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(60):
            while True:
                changed.clear()
                found = await shop.ground.read(calling.need, shop.ground.company, call)
                if found.state not in ("ready", "running"):
                    return found  # type: ignore[no-any-return]
                await changed.wait()
    finally:
        undo()


async def test_a_sandboxed_command_gets_out_by_the_proxy_alone(shop: Shop, egress: Egress) -> None:
    with scripted(Answer(body={"hello": "sandbox"})) as server:
        port = int(server.url.rpartition(":")[2])
        python = interpreter().python
        new = registry.NewCapability(
            "a.run", "Ask the network",
            argv=(python, "-c", ASK % port, server.url, "http://other.test/"),
            targets=(f"{server.url}/**",),
        )  # fmt: skip
        await shop.do("capability.register", OWNER, registry.register, new)
        task = await shop.task(capability="a.run")
        await shop.claim("ada", task=task.id)
        request = calling.NewCall("a.run", task.id, f"task:{task.id}", {}, b"\0" * 32)
        action = shop.action("a.run", "ada", request.target, task.id)
        call = await shop.ground.store.write(action, calling.request, request)
        worker = asyncio.create_task(Calls(shop.ground.store, shop.ground.home, egress).run())
        done = await ended(shop, call.id)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    assert done.output is not None
    if done.output.get("error") == "sandbox.missing":
        pytest.skip("bubblewrap does not work here")
    assert done.output["stdout"].splitlines() == [
        '{"hello": "sandbox"}', "HTTPError 403", "no other way",
    ], done.output  # fmt: skip
    assert done.output["sandbox"] == "bwrap"
    assert done.output["refused"][0].startswith("egress.host: other.test:80")
    assert await visits(shop, call.id) == [("127.0.0.1", "done", 1)]


@pytest.mark.parametrize(
    "mirrored, asked",
    [
        ("api.test", "api.test"),
        ("api.test", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "other.test"),
    ],
)
async def test_where_a_mirror_writes_no_run_gets(
    shop: Shop, egress: Egress, mirrored: str, asked: str
) -> None:
    """By its name, by its address, and by another name where the mirror is named by its address.
    Another name of a named server is not closed: one address may serve many."""
    with scripted(Answer(body={})) as server:
        port = int(server.url.rpartition(":")[2])
        await mirror(shop, mirrored, port)
        hosts = (f"*:{port}", f"127.0.0.0/8:{port}")
        async with egress.open(run_of(shop), hosts) as lease, client_of(lease) as client:
            reply = await client.get(f"http://{asked}:{port}/")
    assert (reply.status_code, reply.headers["x-homarus-code"]) == (403, "egress.mirror")
    assert server.asked == []
