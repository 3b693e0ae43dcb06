"""What holds without a provider: the missing library, and what an endpoint tells of itself."""

import sys

import pytest

from homarus.agents.endpoint import Dialect, Endpoint
from homarus.agents.port import ModelRequest, Text, UserMessage
from homarus.agents.wires import Wire
from homarus.base.errors import Unavailable


async def test_without_the_library_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("homarus.agents.library")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    wire = Wire(Endpoint(Dialect.CHAT, "http://127.0.0.1:1/v1"))
    request = ModelRequest("m", "", (UserMessage((Text("a"),)),))
    with pytest.raises(Unavailable) as caught:
        await anext(wire.stream(request))
    assert caught.value.code == "model.library"
    assert "pip install homarus[agent]" in caught.value.remedy
    assert "pydantic_ai" in caught.value.message


@pytest.mark.parametrize(
    "base_url, host, loopback",
    [
        ("http://127.0.0.1:11434/v1/", "127.0.0.1:11434", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://localhost/v1", "localhost", True),
        ("http://192.168.1.2/v1", "192.168.1.2", False),
        ("https://api.openai.com/v1", "api.openai.com", False),
    ],
)
def test_an_endpoint(base_url: str, host: str, loopback: bool) -> None:
    endpoint = Endpoint(Dialect.CHAT, base_url, "sk-planted")
    assert (endpoint.host, endpoint.is_loopback) == (host, loopback)
    assert endpoint.base_url == base_url.rstrip("/")
    assert "sk-planted" not in f"{endpoint!r} {endpoint} {Wire(endpoint)!r}"


async def test_a_closed_wire_takes_nothing_more() -> None:
    wire = Wire(Endpoint(Dialect.CHAT, "http://127.0.0.1:1/v1"))
    await wire.close()
    with pytest.raises(Unavailable, match=r"model\.closed"):
        await anext(wire.stream(ModelRequest("m", "", ())))
