"""What may be reached, decided without a network: addresses, hosts, requests, masks."""

from ipaddress import ip_address

import pytest

from homarus.base.errors import HomarusError
from homarus.egress import hosts, requests
from homarus.egress.addresses import is_public
from homarus.egress.hosts import Rules, Unusable
from homarus.egress.secrets import Mask

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "169.254.169.254", "169.254.0.1", "100.64.0.1", "192.0.0.1", "198.18.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254",
    "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1",
    "::7f00:1", "2001:0:7f00:1::1",
]  # fmt: skip


def code_of(rules: Rules, host: str, port: int) -> str | None:
    """None: it is let through."""
    try:
        rules.check(host, port)
    except HomarusError as refused:
        return refused.code
    return None


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "listed, host, port, code",
    [
        ("api.example.com", "api.example.com", 443, None),
        ("api.example.com", "api.example.com", 80, None),
        ("api.example.com", "api.example.com", 8443, "egress.host"),
        ("api.example.com:8443", "api.example.com", 8443, None),
        ("api.example.com:8443", "api.example.com", 443, "egress.host"),
        ("API.Example.com.", "api.example.com", 443, None),
        ("api.example.com", "xapi.example.com", 443, "egress.host"),
        ("api.example.com", "api.example.com.evil.org", 443, "egress.host"),
        ("*.example.com", "a.example.com", 443, None),
        ("*.example.com", "a.b.example.com", 443, None),
        ("*.example.com", "example.com", 443, "egress.host"),
        ("*.example.com", "evilexample.com", 443, "egress.host"),
        ("*", "anything.org", 443, None),
        ("*", "anything.org", 22, "egress.host"),
        ("*", "127.0.0.1", 80, "egress.address"),
        ("*", "169.254.169.254", 80, "egress.address"),
        ("*", "8.8.8.8", 443, None),
        ("example.com", "8.8.8.8", 443, "egress.host"),
        ("127.0.0.1:9000", "127.0.0.1", 9000, None),
        ("127.0.0.1:9000", "127.0.0.1", 9001, "egress.address"),
        ("127.0.0.0/8:9000", "127.9.9.9", 9000, None),
        ("127.0.0.1:9000", "::ffff:127.0.0.1", 9000, None),
        ("[::1]:9000", "::1", 9000, None),
        ("fd00::/8", "fd00::5", 443, None),
        ("10.0.0.0/8", "10.1.2.3", 443, None),
        ("10.0.0.0/8", "10.1.2.3", 8080, "egress.address"),
        ("exa mple.com", "example.com", 443, "egress.host"),
        ("example.com:99999", "example.com", 443, "egress.host"),
    ],
)
def test_hosts(listed: str, host: str, port: int, code: str | None) -> None:
    assert code_of(Rules([listed]), host, port) == code


@pytest.mark.parametrize(
    "listed, address, allowed",
    [
        (["intra.example.com"], "10.0.0.5", False),
        (["intra.example.com", "10.0.0.0/8"], "10.0.0.5", True),
        (["intra.example.com", "10.0.0.0/8:9"], "10.0.0.5", False),
        (["intra.example.com"], "8.8.8.8", True),
        (["intra.example.com"], "::ffff:10.0.0.5", False),
        (["intra.example.com"], "169.254.169.254", False),
    ],
)
def test_what_a_name_turned_out_to_be(listed: list[str], address: str, allowed: bool) -> None:
    rules = Rules(listed)
    try:
        rules.check_address("intra.example.com", ip_address(address), 443)
    except HomarusError as error:
        assert not allowed and error.code == "egress.address"
    else:
        assert allowed


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("https://api.example.com/v1/**", ("api.example.com:443",)),
        ("http://h/**", ("h:80",)),
        ("https://h:8443/", ("h:8443",)),
        ("https://[::1]:9/x", ("[::1]:9",)),
        ("workspace:notes/**", ()),
        ("task:1", ()),
    ],
)
def test_hosts_of_a_capability(pattern: str, found: tuple[str, ...]) -> None:
    assert hosts.of_targets((pattern,)) == found


@pytest.mark.parametrize(
    "text",
    ["http://", "ftp://x/", "file:///etc/passwd", "http://user@x/", "http://a b/", "//x/",
     "http://x:99999/", "http://[::1/", "gopher://x", "javascript:1"],
)  # fmt: skip
def test_urls_that_are_none(text: str) -> None:
    with pytest.raises(Unusable):
        hosts.of_url(text)


AUTH = b"Proxy-Authorization: Basic dTpw\r\n"


@pytest.mark.parametrize(
    "head, code",
    [
        (b"GET http://x/ HTTP/1.1\r\n" + AUTH, None),
        (b"CONNECT x:443 HTTP/1.1\r\n" + AUTH, None),
        (b"GET /x HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"CONNECT x HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"CONNECT x:0 HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"CONNECT x:70000 HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://x/ HTTP/2\r\n" + AUTH, "egress.request"),
        (b"GET http://x/\r\n" + AUTH, "egress.request"),
        (b"get http://x/ HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET ftp://x/ HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://u@x/ HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://x/a\tb HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://x/a\nB: c HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://x/a\nb HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://x/?a\0 HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://x/\x7f HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://x\t/ HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"CONNECT x\n:443 HTTP/1.1\r\n" + AUTH, "egress.request"),
        (b"GET http://x/%0A?a=%7f HTTP/1.1\r\n" + AUTH, None),
        (b"GET http://x/ HTTP/1.1\r\n", "egress.credentials"),
        (b"GET http://x/ HTTP/1.1\r\n" + AUTH + AUTH, "egress.credentials"),
        (b"GET http://x/ HTTP/1.1\r\nProxy-Authorization: Bearer x\r\n", "egress.credentials"),
        (b"GET http://x/ HTTP/1.1\r\nProxy-Authorization: Basic *\r\n", "egress.credentials"),
        (b"GET http://x/ HTTP/1.1\r\nBad Header: x\r\n" + AUTH, "egress.request"),
        (b"GET http://x/ HTTP/1.1\r\nA: x\r\n folded\r\n" + AUTH, "egress.request"),
        (b"GET http://x/ HTTP/1.1\r\nA: x\ny: z\r\n" + AUTH, "egress.request"),
        (b"POST http://x/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + AUTH, "egress.request"),
        (b"POST http://x/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + AUTH,
         "egress.request"),
        (b"POST http://x/ HTTP/1.1\r\nContent-Length: -1\r\n" + AUTH, "egress.request"),
        (b"GET http://x/ HTTP/1.1\r\n" + b"A: b\r\n" * 101 + AUTH, "egress.request"),
    ],
)  # fmt: skip
def test_requests(head: bytes, code: str | None) -> None:
    try:
        read = requests.read(head.removesuffix(b"\r\n"))
    except HomarusError as error:
        assert error.code == code
    else:
        assert code is None and (read.user, read.password) == ("u", "p")


@pytest.mark.parametrize(
    "url, path",
    [
        ("http://x", "/"), ("http://x/", "/"), ("http://x/a?b=c", "/a?b=c"), ("http://x?q", "/?q"),
        ("http://x/a#frag", "/a"),
    ],
)  # fmt: skip
def test_what_is_asked_for(url: str, path: str) -> None:
    head = f"GET {url} HTTP/1.1\r\n".encode() + AUTH.removesuffix(b"\r\n")
    assert requests.read(head).path == path


@pytest.mark.parametrize(
    "url, scheme",
    [("http://x:443/a", "https"), ("http://x/a", "http"), ("https://x:80/a", "https")],
)
def test_a_plain_request_to_the_port_of_tls_goes_on_over_tls(url: str, scheme: str) -> None:
    head = f"GET {url} HTTP/1.1\r\n".encode() + AUTH.removesuffix(b"\r\n")
    assert requests.read(head).scheme == scheme


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_masks_blank_values_across_pieces(size: int) -> None:
    mask = Mask((b"hunter2", b"hunter22"))
    data = b"a hunter2 b hunter22 c hunte"
    out = b"".join(mask.feed(data[i : i + size]) for i in range(0, len(data), size)) + mask.end()
    assert b"hunter2" not in out
    assert len(out) == len(data) and out.startswith(b"a *") and out.endswith(b"c hunte")


@pytest.mark.parametrize(
    "host, port, code",
    [
        ("127.0.0.1", 9000, "egress.mirror"),
        ("::ffff:127.0.0.1", 9000, "egress.mirror"),
        ("board.example", 443, "egress.mirror"),
        ("127.0.0.1", 9001, None),
        ("other.example", 443, None),
    ],
)
def test_no_list_opens_what_belongs_to_a_mirror(host: str, port: int, code: str | None) -> None:
    listed = ("*", "127.0.0.0/8:9000", "127.0.0.0/8:9001")
    rules = Rules(listed, ("127.0.0.1:9000", "board.example:443"))
    assert code_of(rules, host, port) == code
    assert rules.mirrors_at(443) == ["board.example"]
