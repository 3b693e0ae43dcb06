"""`homarus config`: what it changes, what it refuses, what it explains; never a secret."""

import json
import os
import stat
from pathlib import Path

import pytest

from homarus.config import active
from homarus.config.active import Active, Value
from homarus.config.problem import Problem, Rejected
from homarus.config.read import read
from homarus.config.schema import KEYS
from homarus.config.settings import source
from tests.support.commands import Terminal

MINE = """\
// my company
{
  "gateway": { "port": 1, /* one */ },  // here
}
"""
URL = "postgresql://me:hunter2@db/x"


@pytest.fixture
def file(homarus: Terminal) -> Path:
    return homarus.home / "homarus.json"


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("gateway.port", "8080", 8080),
        ("gateway.drainSeconds", "2.5", 2.5),
        ("gateway.allowRemote", "true", True),
        ("gateway.bind", "127.0.0.9", "127.0.0.9"),
        ("logging.level", "debug", "debug"),
        ("gateway.tools.deny", '["a", "b"]', ["a", "b"]),
        ("gateway.tools.deny", "a, b", ["a", "b"]),
        ("gateway.tools.deny", "", []),
        ("gateway.publicUrl", "https://a.example", "https://a.example"),
    ],
)
def test_set_get_unset(homarus: Terminal, file: Path, key: str, typed: str, value: object) -> None:
    assert homarus.json("config", "set", key, typed)["value"] == value
    assert homarus.json("config", "get", key) == {"key": key, "value": value}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    homarus.json("config", "unset", key)
    assert homarus.json("config", "explain", key)["from"] == "default"


def test_comments_and_form_stay(homarus: Terminal, file: Path) -> None:
    file.write_text(MINE)
    homarus.json("config", "set", "gateway.port", "8080")
    homarus.json("config", "set", "logging.level", "debug")
    assert file.read_text() == MINE.replace('"port": 1', '"port": 8080').replace(
        "},  // here", '},  // here\n  "logging": { "level": "debug" },'
    )
    homarus.json("config", "unset", "logging.level")
    assert '"port": 8080, /* one */ },  // here' in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "error", "said"),
    [
        (("set", "gateway.port", "99999"), 78, "settings.value", "from 0 to 65535"),
        (("set", "gateway.port", "many"), 78, "settings.value", "a whole number"),
        (("set", "gateway.bind", "lan"), 78, "settings.bind", "gateway.allowRemote"),
        (("set", "level", "observe"), 2, "settings.governed", "change new --setting level"),
        (("get", "redlines.x"), 2, "settings.governed", "change new"),
        (("set", "hooks.x", "1"), 2, "settings.unused", "no hooks"),
        (("explain", "gateway.prot"), 3, "settings.unknown", "gateway.port"),
        (("set", "store", URL), 78, "settings.secret", "${NAME}"),
        (("set", "store", '{source: "exec", id: "x"}'), 78, "settings.secret", 'source: "env"'),
        (("set", "store", '{source: "file", id: "no.url"}'), 78, "settings.secret", "no file"),
        (("set", "gateway.auth.password", "{hunter2-hunter2}"), 78, "settings.secret", "in clear"),
        (("set", "gateway.auth.mode", "password"), 78, "settings.auth", "auth.password` first"),
        (("set", "gateway.auth.mode", "trusted-proxy"), 78, "settings.auth", "trustedProxies"),
        (("set", "gateway.port", "1", "--base", "abc"), 5, "settings.changed", "(none)"),
    ],
)
def test_what_is_refused_is_not_written(
    homarus: Terminal, file: Path, arguments: tuple[str, ...], code: int, error: str, said: str
) -> None:
    done = homarus("config", *arguments)
    assert (done.code, done.error) == (code, error)
    assert said in done.err
    assert "hunter2" not in done.err
    assert not file.exists()


def test_a_broken_file_is_not_made_worse(homarus: Terminal, file: Path) -> None:
    file.write_text("{gateway: {port: 1}")
    done = homarus("--json", "config", "set", "gateway.port", "2")
    assert done.code == 78
    (problem,) = json.loads(done.err)["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("homarus.json", 1, 20)
    assert file.read_text() == "{gateway: {port: 1}"


def test_the_hash_keeps_two_writers_apart(homarus: Terminal, file: Path) -> None:
    file.write_text(MINE)
    base = homarus.json("config", "get")["hash"]
    assert base == read(source(homarus.home, {})).digest
    after = homarus.json("config", "set", "gateway.port", "2", "--base", base)["hash"]
    assert homarus("config", "set", "gateway.port", "3", "--base", base).code == 5
    assert homarus("config", "set", "gateway.port", "3", "--base", after).code == 0


def test_validate_lists_mistakes_and_what_is_not_used(homarus: Terminal, file: Path) -> None:
    assert "all defaults" in homarus("config", "validate").out
    file.write_text("{gateway: {mode: 'local', port: 1}, hooks: {}, port: 2}")
    done = homarus("config", "validate")
    assert (done.code, done.error) == (78, "settings.twice")
    file.write_text("{gateway: {mode: 'local'}, hooks: {}, port: 2}")
    notes = homarus.json("config", "validate")["notes"]
    assert [(n["path"], n["line"], n["column"]) for n in notes] == [
        ("gateway.mode", 1, 12), ("hooks", 1, 28), ("port", 1, 39),
    ]  # fmt: skip
    other = homarus.home / "other.json5"
    other.write_text("{logging: {level: 'loud'}, store: 5}")
    done = homarus("config", "validate", str(other))
    assert done.code == 78
    assert "logging.level" in done.err
    assert "store" in done.err


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_explain_says_all_of_a_key(homarus: Terminal, file: Path, key: object) -> None:
    assert hasattr(key, "path")
    said = homarus.json("config", "explain", key.path)
    assert said["about"]
    assert said["environment"].startswith("HOMARUS_")
    assert said["applies"] in ("at once", "by a restart", "by hand")
    assert (said["from"], said["running"], said["waiting"]) == ("default", None, False)


def test_explain_says_where_a_value_comes_from(homarus: Terminal, file: Path) -> None:
    file.write_text("{\n  gateway: {port: 5},\n}")
    explain = ("config", "explain", "gateway.port")
    assert homarus.json(*explain)["from"] == "file (homarus.json:2:13)"
    with_environment = homarus("--json", *explain, env={"HOMARUS_PORT": "6"}).json
    assert (with_environment["value"], with_environment["from"]) == (
        6, "environment (HOMARUS_PORT)",
    )  # fmt: skip
    values = {"gateway.port": Value(7, "flag", "--port")}
    said = Active(os.getpid(), "2026-01-01T00:00:00+00:00", "", values, ("gateway.port",))
    active.write(homarus.home, said)
    found = homarus.json(*explain)
    assert found["running"] == {"value": 7, "source": "flag", "where": "--port"}
    assert (found["waiting"], found["original"]) == (True, "gateway.port")
    text = homarus(*explain).out
    assert "flag (--port)" in text
    assert "waits" in text


def test_secrets_are_never_shown(homarus: Terminal, file: Path) -> None:
    file.write_text("{store: '${DB}'}")
    env = {"DB": URL}
    for arguments in (("get",), ("get", "store"), ("explain", "store"), ("validate",)):
        for json_ in ((), ("--json",)):
            done = homarus(*json_, "config", *arguments, env=env)
            assert done.code == 0, done.err
            assert "hunter2" not in done.out + done.err
    assert homarus("config", "get", "store", env=env).out == "postgresql://me:[redacted]@db/x\n"


def test_set_needs_not_the_environment_of_the_daemon(homarus: Terminal, file: Path) -> None:
    file.write_text("{store: '${DB}'}")
    assert homarus("config", "set", "gateway.port", "5").code == 0
    assert file.read_text() == "{store: '${DB}', gateway: { port: 5 }}"


@pytest.mark.parametrize(
    ("key", "typed", "written"),
    [
        (
            "gateway.auth.password",
            '{"source":"file","id":"gw.pw"}',
            '{ source: "file", id: "gw.pw" }',
        ),
        ("gateway.auth.password", "{source: 'env', id: 'GATE'}", '{ source: "env", id: "GATE" }'),
        ("gateway.auth.password", "${GATE}", '"${GATE}"'),
        ("store", '{source: "env", id: "DB"}', '{ source: "env", id: "DB" }'),
    ],
)
def test_a_secret_is_set_by_what_it_refers_to(
    homarus: Terminal, file: Path, key: str, typed: str, written: str
) -> None:
    (homarus.home / "gw.pw").write_text("a-password-of-it\n")
    (homarus.home / "gw.pw").chmod(0o600)
    env = {"GATE": "a-password-of-it", "DB": URL}
    done = homarus("config", "set", key, typed, env=env)
    assert done.code == 0, done.err
    assert f"{key.rpartition('.')[2]}: {written}" in file.read_text()
    assert "redacted" in done.out and "a-password" not in done.out and "hunter2" not in done.out
    assert homarus("config", "validate", env=env).code == 0


@pytest.mark.parametrize(
    ("key", "typed", "unset"),
    [
        ("gateway.auth.password", "${FIRST}", ["FIRST"]),
        ("gateway.auth.password", "{source: 'env', id: 'FIRST'}", ["FIRST"]),
        ("store", "postgresql://me:${FIRST}@${SECOND}/$${SET}", ["FIRST", "SECOND"]),
    ],
)
def test_what_refers_to_a_variable_that_is_not_set_here_is_not_said_to_count(
    homarus: Terminal, file: Path, key: str, typed: str, unset: list[str]
) -> None:
    env = {"FIRST": None, "SECOND": None}
    active.write(homarus.home, Active(os.getpid(), "", "", {}))
    said = homarus("config", "set", key, typed, env=env).out
    assert "refers to ${FIRST}" in said and "not set in this shell" in said
    assert "homarus doctor" in said and " is " not in said and "takes it up at once" not in said
    told = homarus("--json", "config", "set", key, typed, env=env).json
    assert (told["value"], told["unset"]) == (None, unset)


def test_a_mode_and_what_it_needs_go_together(homarus: Terminal, file: Path) -> None:
    env = {"GATE": None}
    assert homarus("config", "set", "gateway.auth.password", "${GATE}", env=env).code == 0
    assert homarus("config", "set", "gateway.auth.mode", "password", env=env).code == 0
    before = file.read_text()
    done = homarus("config", "unset", "gateway.auth.password", env=env)
    assert (done.error, file.read_text()) == ("settings.auth", before)


def test_what_the_running_daemon_refused_is_told(homarus: Terminal, file: Path) -> None:
    """Its environment is not that of whoever asks."""
    file.write_text("{store: '${DB}'}")
    with pytest.raises(Rejected) as refused:
        read(source(homarus.home, {}))
    problems = tuple(problem.document() for problem in refused.value.problems)
    active.write(homarus.home, Active(os.getpid(), "", "", {}, (), problems))
    told = homarus("config", "validate", env={"DB": URL}).out
    assert "The running daemon refused" in told and "DB is not set" in told
    checks = homarus("--json", "doctor", env={"DB": URL}).json["checks"]
    (check,) = [c for c in checks if c["name"] == "config"]
    assert check["verdict"] == "fail" and "DB is not set" in check["detail"]


@pytest.mark.parametrize(
    ("text", "digest", "refused", "said"),
    [
        (None, "abc", False, "goes on as before without it"),
        (None, "abc", True, "The running daemon refused"),
        (None, "", False, "all defaults"),
        ("{}", "abc", False, "has not taken up this file yet"),
    ],
)
def test_what_a_running_daemon_makes_of_the_file(
    homarus: Terminal, file: Path, text: str | None, digest: str, refused: bool, said: str
) -> None:
    if text is not None:
        file.write_text(text)
    gone = Problem("settings.file", "the file is gone", "Put it back.").document()
    active.write(homarus.home, Active(os.getpid(), "", digest, {}, (), (gone,) if refused else ()))
    told = homarus("config", "validate").out
    assert said in told
    assert ("yet" in told) is ("yet" in said)


def test_the_schema_is_json(homarus: Terminal) -> None:
    printed = json.loads(homarus("config", "schema").out)
    assert printed["properties"]["gateway"]["properties"]["port"]["maximum"] == 65_535


@pytest.mark.parametrize(
    ("text", "waiting", "verdict"),
    [(None, (), "ok"), ("{}", (), "ok"), ("{", (), "fail"), ("{}", ("gateway.port",), "warn")],
)
def test_doctor_looks_at_the_file(
    homarus: Terminal, file: Path, text: str | None, waiting: tuple[str, ...], verdict: str
) -> None:
    if text is not None:
        file.write_text(text)
    if waiting:
        active.write(homarus.home, Active(os.getpid(), "", "", {}, waiting))
    (check,) = [
        c for c in homarus("--json", "doctor").json["checks"] if c["name"] == "config"
    ]  # fmt: skip
    assert check["verdict"] == verdict
