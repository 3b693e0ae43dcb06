"""Settings: one name each, whole-file checks, the environment wins, mistakes name their place."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from homarus.base.errors import Invalid
from homarus.config.settings import DEFAULT_PORT, Settings, is_loopback, load, rows


def written(home: Path, text: str) -> Path:
    (home / "homarus.json").write_text(text)
    return home


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = load(tmp_path, {})
    assert settings == Settings(home=tmp_path)
    assert (settings.host, settings.port) == ("127.0.0.1", DEFAULT_PORT)


def test_file_then_environment_then_arguments(tmp_path: Path) -> None:
    home = written(tmp_path, "{\n  // a comment\n  port: 1, drain_s: 2, log_level: 'debug',\n}")
    settings = load(home, {"HOMARUS_PORT": "2", "HOMARUS_OTHER": "x"}, drain_s=3.5, host=None)
    assert (settings.port, settings.drain_s, settings.log_level) == (2, 3.5, "debug")


@pytest.mark.parametrize(
    "text, environ, code, said",
    [
        ("{prot: 1}", {}, "settings.unknown", "port"),
        ("{zzzz: 1}", {}, "settings.unknown", "Known"),
        ("{home: '/x'}", {}, "settings.unknown", "home"),
        ("{port: '1'}", {}, "settings.value", "port"),
        ("{port: 70000}", {}, "settings.value", "port"),
        ("{drain_s: -1}", {}, "settings.value", "drain_s"),
        ("{log_level: 'loud'}", {}, "settings.value", "log_level"),
        ("{public_url: 'homarus.example'}", {}, "settings.value", "public_url"),
        ("{public_url: 'https://homarus.example/path'}", {}, "settings.value", "public_url"),
        ("{port: ", {}, "settings.file", "homarus.json"),
        ("[1]", {}, "settings.file", "homarus.json"),
        ("{}", {"HOMARUS_PORT": "many"}, "settings.value", "HOMARUS_PORT"),
        ("{host: '0.0.0.0'}", {}, "settings.bind", "0.0.0.0"),
        ("{}", {"HOMARUS_HOST": "192.168.1.4"}, "settings.bind", "192.168.1.4"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, environ: dict[str, str], code: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        load(written(tmp_path, text), environ)
    assert caught.value.code == code
    assert said in str(caught.value)


@pytest.mark.parametrize("text, allowed", [("true", True), ("1", True), ("false", False)])
def test_a_remote_address_needs_consent(tmp_path: Path, text: str, allowed: bool) -> None:
    environ = {"HOMARUS_HOST": "0.0.0.0", "HOMARUS_ALLOW_REMOTE": text}
    if allowed:
        assert load(tmp_path, environ).host == "0.0.0.0"
    else:
        with pytest.raises(Invalid):
            load(tmp_path, environ)


@pytest.mark.parametrize(
    "host, local",
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_the_table_explains_every_setting() -> None:
    table: dict[str, Any] = {row.name: row for row in rows()}
    assert table.keys() == {f.name for f in fields(Settings)}
    assert all(row.text and row.env.startswith("HOMARUS_") for row in table.values())
