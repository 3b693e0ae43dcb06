"""Where a bridge has its settings from, and where its journal is (contract, 13.1 and 14)."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from homarus.base.errors import HomarusError
from homarus.bridge.settings import ConfigFile, journal_path, read_config, resolve
from homarus.cli.bridge import split_programs
from tests.support.refusals import refused

URL = {"url": "http://a:1", "token": "ec_1", "agent_name": "tally"}


@pytest.mark.parametrize(
    "flag, env, file, expected",
    [
        (None, {}, {}, "~/.openclaw/emperor-control-plane/state/bridge-state.json"),
        ("/x/j", {"EMPEROR_CLAW_BRIDGE_STATE_PATH": "/y/j"}, {"bridgeStatePath": "/z/j"}, "/x/j"),
        (None, {"EMPEROR_CLAW_BRIDGE_STATE_PATH": "/y/j"}, {"bridgeStatePath": "/z/j"}, "/y/j"),
        (None, {"EMPEROR_CLAW_STATE_DIR": "/s"}, {"bridgeStatePath": "/z/j"}, "/z/j"),
        (None, {"EMPEROR_CLAW_STATE_DIR": "/s"}, {"stateDir": "/t"}, "/s/bridge-state.json"),
        (None, {}, {"stateDir": "/t"}, "/t/bridge-state.json"),
        (None, {"EMPEROR_CLAW_COMPANION_DIR": "/c"}, {}, "/c/state/bridge-state.json"),
        (None, {}, {"companionDir": "/d"}, "/d/state/bridge-state.json"),
        (None, {}, {"openclawHome": "/h"}, "/h/emperor-control-plane/state/bridge-state.json"),
    ],
)
def test_where_the_journal_is(
    tmp_path: Path, flag: str | None, env: dict[str, str], file: dict[str, Any], expected: str
) -> None:
    (tmp_path / "c.json").write_text(json.dumps(file))
    found = journal_path(flag, env, read_config(tmp_path / "c.json"))
    assert found == Path(expected).expanduser()


@pytest.mark.parametrize(
    "flags, env, file, field, expected",
    [
        ({"url": "http://f:1"}, {"HOMARUS_URL": "http://h:1"}, {}, "url", "http://f:1"),
        ({"url": None}, {"HOMARUS_URL": "http://h:1", "EMPEROR_CLAW_API_URL": "http://e"}, {},
         "url", "http://h:1"),
        ({"url": None}, {"EMPEROR_CLAW_API_URL": "http://e:1/api/mcp/"},
         {"api_base_url": "http://c"}, "url", "http://e:1"),
        ({"url": None}, {}, {"api_base_url": "https://c/"}, "url", "https://c"),
        ({"token": None}, {"EMPEROR_CLAW_API_TOKEN": "ec_e"}, {}, "token", "ec_e"),
        ({"token": None}, {"HOMARUS_TOKEN": "ec_h", "EMPEROR_CLAW_API_TOKEN": "ec_e"}, {},
         "token", "ec_h"),
        ({"agent_name": None}, {"EMPEROR_AGENT_NAME": "e"}, {}, "agent_name", "e"),
        ({"agent_name": None}, {}, {"doctor_agent_name": "d"}, "agent_name", "d"),
        ({"agent_name": None}, {}, {"agent_name": "a", "doctor_agent_name": "d"}, "agent_name",
         "a"),
        ({}, {"EMPEROR_RUNTIME_ID": "r"}, {}, "runtime_id", "r"),
        ({"runtime_id": "x"}, {"EMPEROR_RUNTIME_ID": "r"}, {}, "runtime_id", "x"),
        ({}, {}, {"runtime_id": "c"}, "runtime_id", "c"),
        ({}, {}, {"exec": ["a", "b"]}, "exec", ("a", "b")),
        ({"exec": ("f",)}, {}, {"exec": ["a", "b"]}, "exec", ("f",)),
        ({}, {}, {}, "max_tasks", 1),
        ({"max_tasks": 3}, {}, {}, "max_tasks", 3),
        ({}, {}, {}, "heartbeat_s", 30.0),
        ({}, {}, {}, "sync_s", 15.0),
        ({}, {}, {}, "idempotent", False),
    ],
)  # fmt: skip
def test_which_word_wins(
    flags: dict[str, Any], env: dict[str, str], file: dict[str, Any], field: str, expected: Any
) -> None:
    chosen = resolve(URL | flags, env, ConfigFile(**file))
    assert getattr(chosen, field) == expected


def test_reconnect_policy_of_the_file(tmp_path: Path) -> None:
    policy = {"baseDelayMs": 500, "maxDelayMs": 9_000}
    (tmp_path / "c.json").write_text(
        json.dumps({"schemaVersion": 1, "reconnectPolicy": policy, "resourceScopes": ["x"]})
    )
    chosen = resolve(URL, {}, read_config(tmp_path / "c.json"))
    assert (chosen.base_s, chosen.cap_s) == (0.5, 9.0)
    assert "ec_1" not in repr(chosen)


@pytest.mark.parametrize(
    "flags, own, expected",
    [
        ({"url": None, "token": None}, ("http://o:1", "ec_o"), ("http://o:1", "ec_o")),
        ({"url": "http://o:1/", "token": None}, ("http://o:1", "ec_o"), ("http://o:1", "ec_o")),
        ({"url": None, "token": "ec_g"}, ("http://o:1", "ec_o"), ("http://o:1", "ec_g")),
        ({"url": "http://x:1", "token": None}, ("http://o:1", "ec_o"), "bridge.no_token"),
        ({"url": None}, None, "bridge.no_url"),
        ({"token": None}, None, "bridge.no_token"),
        ({"agent_name": None}, None, "bridge.agent_missing"),
        ({"url": "nonsense"}, None, "client.url"),
    ],
)
def test_the_token_of_a_home_goes_to_its_own_daemon_only(
    flags: dict[str, Any], own: tuple[str, str] | None, expected: Any
) -> None:
    try:
        chosen = resolve(URL | flags, {}, ConfigFile(), own=own)
    except HomarusError as error:
        assert error.code == expected
        assert error.remedy
    else:
        assert (chosen.url, chosen.token) == expected


@pytest.mark.parametrize("text", ["", "[]", '{"exec": 4}', '{"schemaVersion": 2}', "[" * 100_000])
def test_files_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with refused("bridge.config"):
        read_config(tmp_path / "c.json")


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with refused("bridge.config_missing"):
        read_config(tmp_path / "c.json")


@pytest.mark.parametrize(
    "words, has_exec, has_reply, expected",
    [
        ("", False, False, {}),
        ("a b", True, False, {"exec": ("a", "b")}),
        ("a", False, True, {"reply": ("a",)}),
        ("a b --reply -- c d", True, False, {"exec": ("a", "b"), "reply": ("c", "d")}),
        ("a --exec -- c", False, True, {"exec": ("c",), "reply": ("a",)}),
        ("a --reply c", True, False, {"exec": ("a", "--reply", "c")}),
        ("", True, False, None),
        ("a --reply --", True, False, None),
        ("--reply -- c", True, False, None),
        ("a", False, False, None),
        ("a", True, True, None),
    ],
)
def test_two_programs_on_one_command_line(
    words: str, has_exec: bool, has_reply: bool, expected: Any
) -> None:
    given = tuple(words.split())
    if expected is None:
        with pytest.raises(click.UsageError):
            split_programs(given, has_exec=has_exec, has_reply=has_reply)
    else:
        assert split_programs(given, has_exec=has_exec, has_reply=has_reply) == expected


@pytest.mark.parametrize("url, token", [(None, "ec_filed"), ("http://c/", "ec_filed")])
def test_the_files_token_is_for_the_files_own_address(
    tmp_path: Path, url: str | None, token: str
) -> None:
    (tmp_path / "company.token").write_text("ec_filed\n")
    file = ConfigFile(api_base_url="http://c", token_file=str(tmp_path / "company.token"))
    assert resolve({"url": url, "agent_name": "tally"}, {}, file).token == token


@pytest.mark.parametrize("url, name", [("http://elsewhere", "company.token"), (None, "missing")])
def test_the_files_token_goes_nowhere_else(tmp_path: Path, url: str | None, name: str) -> None:
    (tmp_path / "company.token").write_text("ec_filed\n")
    file = ConfigFile(api_base_url="http://c", token_file=str(tmp_path / name))
    with refused("bridge.no_token"):
        resolve({"url": url, "agent_name": "tally"}, {}, file)
