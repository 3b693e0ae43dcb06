"""`homarus model`, against a real daemon and a scripted provider."""

import socket
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from click.testing import CliRunner

from homarus.cli import model
from homarus.cli.app import cli
from homarus.cli.model import OLLAMA_PORT, PROVIDERS
from homarus.testing.model_server import Fail, ModelServer, Say
from tests.support.commands import NO_ENVIRONMENT, Ran, Running

KEY = "sk-planted-77ab01"
NAMES = count(1)


class At:
    """The commands in a fresh company; `OLLAMA_HOST` is where nobody is, or `ollama`."""

    def __init__(self, running: Running, ollama: str) -> None:
        self.running = running
        self.slug = f"models-{next(NAMES)}"
        self.env = NO_ENVIRONMENT | {"OLLAMA_HOST": ollama}
        running.json("company", "create", self.slug)

    def __call__(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Ran:
        flags = [word for word in arguments if word == "--json"]
        words = [word for word in arguments if word != "--json"]
        argv = ["--home", str(self.running.home), "--company", self.slug, *flags, "model", *words]
        found = CliRunner().invoke(cli, argv, input=stdin, env=self.env | (env or {}))
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Ran(found.exit_code, found.stdout, found.stderr)

    def json(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Any:
        done = self("--json", *arguments, stdin=stdin, env=env)
        assert done.code == 0, done.err
        return done.json

    def add(self, *arguments: str, **how: Any) -> Any:
        return self.json("add", *arguments, **how)["model"]


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """An address of loopback where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def at(running: Running, nobody: str) -> At:
    return At(running, nobody)


@pytest.fixture
def provider() -> Iterator[ModelServer]:
    with ModelServer(key=KEY, models=("careful-1", "quick-1")) as server:
        yield server


# -- adding --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("--provider", "openai", "--model", "gpt-5", "--key-stdin"),
         ("default", "openai-responses", "https://api.openai.com/v1", True, 128_000, 8_192)),
        (("smart", "--provider", "anthropic", "--model", "claude-opus-5", "--key-stdin"),
         ("smart", "anthropic", "https://api.anthropic.com", True, 200_000, 8_192)),
        (("--provider", "openrouter", "--model", "qwen/qwen3", "--key-stdin"),
         ("default", "openai", "https://openrouter.ai/api/v1", True, 128_000, 8_192)),
        (("--provider", "vllm", "--model", "qwen3"),
         ("default", "openai", "http://127.0.0.1:8000/v1", False, 32_768, 8_192)),
        (("--provider", "ollama", "--model", "qwen3", "--base-url", "http://gpu:11434/v1"),
         ("default", "openai", "http://gpu:11434/v1", False, 32_768, 8_192)),
        (("--base-url", "http://10.0.0.5:4000/v1", "--model", "m", "--context", "4096"),
         ("default", "openai", "http://10.0.0.5:4000/v1", False, 4_096, 1_024)),
        (("--base-url", "https://m.example.com", "--dialect", "anthropic", "--model", "m",
          "--key-stdin", "--context", "9000", "--max-output", "500"),
         ("default", "anthropic", "https://m.example.com", True, 9_000, 500)),
    ],
)  # fmt: skip
def test_add_with_options(at: At, arguments: tuple[str, ...], expected: tuple[Any, ...]) -> None:
    row = at.add(*arguments, stdin=f"{KEY}\n")
    fields = ("name", "dialect", "baseUrl", "keyConfigured", "contextTokens", "maxOutputTokens")
    assert tuple(row[field] for field in fields) == expected
    assert at.json("list")["models"] == [row]


def test_a_key_by_its_variable_and_taken_away(at: At) -> None:
    hosted = ("--provider", "anthropic", "--model", "claude-opus-5")
    assert at.add(*hosted, "--key-env", "MY_KEY", env={"MY_KEY": KEY})["keyConfigured"] is True
    assert at.add(*hosted, "--max-output", "1000")["keyConfigured"] is True, "it stays"
    assert at.add(*hosted, "--no-key")["keyConfigured"] is False


def test_fallbacks(at: At) -> None:
    local = ("--provider", "vllm", "--model", "qwen3")
    at.add("small", *local)
    at.add("tiny", *local)
    row = at.add(*local, "--fallback", "small", "--fallback", "tiny")
    assert row["fallbacks"] == ["small", "tiny"]
    assert at("remove", "small").error == "model.used"


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((), "No Ollama answers on this machine"),
        (("--provider", "openai"), "give --model"),
        (("--provider", "openai", "--model", "m"), "give --key-stdin or --key-env"),
        (("--provider", "other", "--model", "m"), "give --base-url"),
        (("--provider", "ollama", "--model", "m"), "give --base-url"),
        (("--dialect", "anthropic", "--model", "m"), "give --base-url"),
        (("--provider", "openai", "--model", "m", "--key-env", "UNSET"), "UNSET is not set"),
        (("--provider", "openai", "--model", "m", "--key-stdin", "--no-key"), "Give one of"),
        (("--provider", "mistral"), "is not one of"),
        (("--dialect", "gemini"), "is not one of"),
        (("--key", KEY), "No such option"),
    ],
)
def test_what_is_missing_is_named(at: At, arguments: tuple[str, ...], says: str) -> None:
    done = at("add", *arguments)
    assert (done.code, says in done.err) == (2, True), done.err
    assert at.json("list")["models"] == []


def test_an_empty_key_is_none(at: At) -> None:
    done = at("add", "--provider", "openai", "--model", "m", "--key-stdin", stdin="\n")
    assert done.error == "model.bad_key"


# -- asking --------------------------------------------------------------------------------


def test_without_ollama_a_person_is_asked(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "interactive", lambda: True)
    done = at("add", stdin=f"anthropic\nclaude-opus-5\n{KEY}\n")
    assert done.code == 0, done.err
    assert KEY not in done.out + done.err
    [row] = at.json("list")["models"]
    assert (row["model"], row["dialect"], row["keyConfigured"]) == (
        "claude-opus-5", "anthropic", True,
    )  # fmt: skip


def test_another_address_is_asked_for(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "interactive", lambda: True)
    done = at("add", stdin="other\nhttp://10.0.0.5:4000/v1\nqwen3\n")
    assert done.code == 0, done.err
    [row] = at.json("list")["models"]
    assert (row["model"], row["baseUrl"]) == ("qwen3", "http://10.0.0.5:4000/v1")


# -- Ollama --------------------------------------------------------------------------------


def test_the_ollama_of_this_machine_is_found(at: At, provider: ModelServer) -> None:
    row = at.add(env={"OLLAMA_HOST": provider.url})
    assert (row["name"], row["model"], row["baseUrl"], row["keyConfigured"]) == (
        "default", "careful-1", f"{provider.url}/v1", False,
    )  # fmt: skip
    assert row["contextTokens"] == PROVIDERS["ollama"].context


def test_a_person_picks_among_its_models(
    at: At, provider: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "interactive", lambda: True)
    done = at("add", stdin="quick-1\n", env={"OLLAMA_HOST": provider.url})
    assert done.code == 0, done.err
    assert [row["model"] for row in at.json("list")["models"]] == ["quick-1"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", ("127.0.0.1", OLLAMA_PORT)),
        ("0.0.0.0", ("127.0.0.1", OLLAMA_PORT)),
        ("0.0.0.0:9000", ("127.0.0.1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("[::]:9000", ("127.0.0.1", 9000)),
        ("gpu", ("gpu", OLLAMA_PORT)),
        ("http://gpu:9000", ("gpu", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        ("gpu:lots", ("127.0.0.1", OLLAMA_PORT)),
    ],
)
def test_where_it_is_looked_for(text: str, expected: tuple[str, int]) -> None:
    assert model._ollama_address(text) == expected


# -- testing, removing ---------------------------------------------------------------------


def test_test_says_what_came_back(at: At, provider: ModelServer) -> None:
    url = provider.base_url("openai")
    at.add("--base-url", url, "--model", "careful-1", "--key-stdin", stdin=KEY)
    provider.add(Say("ready", usage=(12, 3)), Say("", usage=(12, 3), stop="length"), Fail(429))
    said = at("test").out
    assert "ready" in said and "careful-1" in said and "12 in, 3 out" in said and " ms" in said
    assert at.json("test")["test"]["stop"] == "length"
    busy = at("test")
    assert (busy.code, busy.error) == (1, "model.busy")
    assert at("test", "nobody").error == "model.unknown"


def test_a_model_id_that_the_provider_does_not_know(at: At, provider: ModelServer) -> None:
    url = provider.base_url("openai")
    at.add("--base-url", url, "--model", "gpt-9", "--key-stdin", stdin=KEY)
    done = at("test")
    assert (done.code, done.error) == (1, "model.request")
    assert "homarus model list" in done.err


def test_remove(at: At) -> None:
    assert "homarus model add" in at("list").out
    at.add("--provider", "vllm", "--model", "qwen3")
    assert "qwen3" in at("list").out
    assert at("remove").code == 0
    assert (at("remove").code, at("remove").error) == (3, "model.unknown")
