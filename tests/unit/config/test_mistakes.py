"""Broken files of the kinds that people write: each is refused whole, with file, line, column, key,
what was expected and what to do."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.config.problem import Place, Problem, Rejected
from homarus.config.read import read
from homarus.config.settings import FILE, check_text, source

BIG = "{/*" + "x" * 300_000 + "*/}"
NOBODY = 65_534
URL = "postgresql://me:hunter2@db/x"


def problems(home: Path, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(Rejected) as caught:
        read(source(home, environ or {}))
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "at", "code", "path", "message", "expected", "remedy"),
    [
        ("{}\n}", (2, 1), "file", "", "'}' after the end", "nothing more", "Remove"),
        ("{gateway: {port: 1, port: 2}}", (1, 21), "twice", "port", "first in line 1", "once",
         "Keep one"),
        ("{gateway: {port: true}}", (1, 18), "value", "gateway.port", "true is true or false",
         "a whole number from 0 to 65535", "Correct"),
        ("{gateway: {prot: 1}}", (1, 12), "unknown", "gateway.prot", "no setting", "a key of",
         "Did you mean gateway.port?"),
        ("{logLevel: 'info'}", (1, 2), "unknown", "logLevel", "no setting", "a key of",
         "logging.level"),
        ("{gateway: {port: '18789'}}", (1, 18), "value", "gateway.port", "'18789' is a text",
         "a whole number", "Write 18789 unquoted."),
        ("{gateway: {port: 70000}}", (1, 18), "value", "gateway.port", "70000 does not fit",
         "from 0 to 65535", "Correct"),
        ("{gateway: {port: 1.5}}", (1, 18), "value", "gateway.port", "1.5 does not fit",
         "a whole number", "Correct"),
        ("{gateway: {publicUrl: '${NOWHERE}'}}", (1, 23), "environment", "gateway.publicUrl",
         "NOWHERE is not set", "NOWHERE to be set", "$${NOWHERE}"),
        ("{gateway: {drainSeconds: NaN}}", (1, 26), "value", "gateway.drainSeconds",
         "NaN does not fit", "from 0.05 to 86400", "Correct"),
        ("{gateway: {drainSeconds: Infinity}}", (1, 26), "value", "gateway.drainSeconds",
         "Infinity does not fit", "a number", "Correct"),
        (BIG, (0, 0), "file", "", "larger than 262144 bytes", "at most", "Shorten"),
        ("\ufeff{gateway: {port: -1}}", (1, 18), "value", "gateway.port", "-1", "from 0", ""),
        ("{\r\n\r\n  gateway: {\r\n  port: -1}}", (4, 9), "value", "gateway.port", "-1", "", ""),
        ("{\n\tgateway:\t{\n\t\tport:\t-1}}", (3, 9), "value", "gateway.port", "-1", "", ""),
        ("", (1, 1), "file", "", "the file is empty", "an object", "Write `{}`"),
        ("// nothing yet\n", (2, 1), "file", "", "the file is empty", "an object", "Write `{}`"),
        ("[]", (1, 1), "file", "", "the file holds a list", "an object", "Start it with `{`"),
        ("{gateway: {port: 18", (1, 20), "file", "", "the file ends", "`,` or `}`", ""),
        ("{gateway: {port: ", (1, 18), "file", "", "the file ends", "a value", ""),
        ("{gateway: {bind: 'x}}", (1, 18), "file", "", "does not end in its line", "closing '", ""),
        ("{gateway: /* {}", (1, 11), "file", "", "a comment does not end", "`*/`", ""),
        ("{gateway: {port = 1}}", (1, 17), "file", "", "'=' after the key 'port'", "`:`", ""),
        ("{gateway: {port: 1 bind: 2}}", (1, 20), "file", "", "'bind'", "`,` or `}`", ""),
        ("{logging: {level: info}}", (1, 19), "file", "", "'info'", "a value", "in quotes"),
        ("{logging: {level: 'warn'}}", (1, 19), "value", "logging.level", "'warn' is a text",
         "one of debug, info, warning, error", "Did you mean warning?"),
        ("{gateway: {bind: '\\u12'}}", (1, 18), "file", "", "escape", "escapes", ""),
        ("{level: 'observe'}", (1, 2), "governed", "level", "governed", "no rules",
         "`homarus change new --setting level=VALUE --intent"),
        ("{routing: {note_s: 1}}", (1, 12), "governed", "routing.note_s", "governed", "",
         "change new"),
        ("{'egress.hosts': []}", (1, 2), "governed", "egress.hosts", "governed", "", "change new"),
        ("{redlines: {}}", (1, 2), "governed", "redlines", "governed", "", "change new"),
        (f"{{store: '{URL}'}}", (1, 9), "secret", "store", "in clear", "a reference",
         "Write `${NAME}`"),
        ("{store: {source: 'exec', id: 'pass'}}", (1, 9), "secret", "store", "no secret",
         'source: "env"', "environment variable or a file"),
        ("{store: {source: 'env', id: 'NOWHERE'}}", (1, 9), "environment", "store", "not set", "",
         "Set it"),
        ("{store: {source: 'file', id: 'nowhere'}}", (1, 9), "secret", "store", "no file", "", ""),
        ("{'gateway.port': 1}", (1, 2), "unknown", "gateway.port", "a key with dots", "",
         "Nest it: `gateway: {port: …}`"),
        ("{gateway: 1}", (1, 11), "value", "gateway", "1 does not fit", "an object", ""),
        ("{gateway: null}", (1, 11), "value", "gateway", "this is null", "an object", ""),
        ("{gateway: {tools: {deny: 'exec'}}}", (1, 26), "value", "gateway.tools.deny",
         "'exec' is a text", "a list", 'Write `["exec"]`.'),
        ("{gateway: {bind: 'tailnet'}}", (1, 18), "value", "gateway.bind",
         "'tailnet' does not fit", "`loopback`, `lan` or an address", "Correct it."),
        ("{gateway: {bind: 7}}", (1, 18), "value", "gateway.bind", "7 does not fit", "`lan`", ""),
        ("{session: {mainKey: 'Main'}}", (1, 21), "value", "session.mainKey",
         "'Main' does not fit", "small letters", "Correct it."),
        ("{gateway: {trustedProxies: ['::1', '10.0.0.0/33']}}", (1, 36), "value",
         "gateway.trustedProxies", "'10.0.0.0/33' does not fit", "such as 10.0.0.0/8", ""),
        ("{gateway: {trustedProxies: '::1'}}", (1, 28), "value", "gateway.trustedProxies",
         "'::1' does not fit", "a list of at most 200 texts, each an address", 'Write `["::1"]`.'),
        ("{gateway: {tools: {deny: [true]}}}", (1, 27), "value", "gateway.tools.deny",
         "true is true or false", "a text", ""),
        ("{gateway: {publicUrl: 'gate.example'}}", (1, 23), "value", "gateway.publicUrl",
         "does not fit", "http:// or https://", ""),
        ("{gateway: {bind: 'lan'}}", (1, 18), "bind", "gateway.bind", "0.0.0.0 can be reached", "",
         "gateway.allowRemote"),
        ("{port: 1, gateway: {port: 2}}", (1, 21), "twice", "gateway.port", "former name", "once",
         "Keep `gateway.port`"),
        ("{$include: 'homarus.json'}", (1, 12), "include", "$include", "include each other", "",
         "Take one"),
        ("{$include: '../outside'}", (1, 12), "include", "$include", "lies outside", "", ""),
        ("{$include: 'nowhere'}", (1, 12), "include", "$include", "no file nowhere", "", ""),
        ("{$include: 3}", (1, 12), "include", "$include", "names no file", "", ""),
        ("[" * 100, (1, 42), "file", "", "nested deeper than 40", "", ""),
        ("{gateway: {port: " + "9" * 400 + "}}", (1, 18), "file", "", "too long", "320", ""),
    ],
    ids=lambda value: value[:28] if isinstance(value, str) else None,
)  # fmt: skip
def test_each_mistake_is_shown(
    tmp_path: Path, text: str, at: tuple[int, int], code: str, path: str, message: str,
    expected: str, remedy: str,
) -> None:  # fmt: skip
    (tmp_path / FILE).write_bytes(text.encode())
    (problem,) = problems(tmp_path)
    assert (problem.code, problem.path) == (f"settings.{code}", path)
    assert problem.place == Place(FILE, *at)
    assert message in problem.message
    assert expected in problem.expected
    assert remedy in problem.remedy
    assert problem.remedy
    assert "hunter2" not in problem.line() + str(problem.document())


def directory(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def circular(path: Path) -> None:
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def latin(path: Path) -> None:
    path.write_bytes("{\n // caf\u00e9\n}".encode("latin-1"))


def notepad(path: Path) -> None:
    path.write_text("{}", "utf-16")


@pytest.mark.parametrize(
    ("make", "place", "message"),
    [
        (directory, Place(FILE), "it is a directory"),
        (dangling, Place(FILE), "a link to a file that is not there"),
        (circular, Place(FILE), "cannot be read (Too many levels of symbolic links)"),
        (pipe, Place(FILE), "it is no file"),
        (latin, Place(FILE, 2, 8), "not UTF-8"),
        (notepad, Place(FILE), "UTF-16"),
    ],
)
def test_what_only_looks_like_a_file(
    tmp_path: Path, make: Callable[[Path], None], place: Place, message: str
) -> None:
    make(tmp_path / FILE)
    (problem,) = problems(tmp_path)
    assert (problem.code, problem.place) == ("settings.file", place)
    assert message in problem.message
    assert problem.remedy


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff{gateway: {port: 5}}",
        "{\r\n  gateway: {\r\n    port: 5, // five\r\n  },\r\n}\r\n",
        "{\tgateway:\t{\tport:\t5\t}\t}",
        '{"gateway": {"port": 5}}',
        "{gateway: {port: +0x5}}",
        "{gateway: {'p\\u006frt': 5.0}}",
        "/* a */ {/**/gateway/**/:/**/{port:5,},} // z",
    ],
)
def test_what_is_no_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode())
    assert read(source(tmp_path, {})).settings.port == 5


def test_a_file_that_this_user_may_not_read() -> None:
    """Also where root runs the tests: it reads everything, so somebody else looks."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        (Path(folder) / FILE).write_text("{}")
        (Path(folder) / FILE).chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            (problem,) = problems(Path(folder))
        finally:
            os.seteuid(user)
    assert "cannot be read (Permission denied)" in problem.message
    assert "chmod" in problem.remedy


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").write_text("{gateway: {port: 5}}")
    (tmp_path / FILE).symlink_to("dotfiles")
    assert read(source(tmp_path, {})).settings.port == 5


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{gateway: {port: 'x', prot: 1}, level: 'observe'}")
    found = problems(tmp_path, {"HOMARUS_MAX_TURNS": "many"})
    assert [(p.code, p.path) for p in found] == [
        ("settings.value", "gateway.port"), ("settings.unknown", "gateway.prot"),
        ("settings.governed", "level"), ("settings.value", "agents.defaults.maxConcurrent"),
    ]  # fmt: skip
    assert found[-1].place == Place("HOMARUS_MAX_TURNS")


def test_a_mistake_counts_also_where_a_flag_overrides_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{gateway: {port: 'x'}}")
    with pytest.raises(Rejected):
        read(source(tmp_path, {}, port=1))


# -- substitution, references, includes ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("${SCHEME}://a.example", "https://a.example"),
        ("https://${NAME}${NAME}.example", "https://aa.example"),
        ("https://${EMPTY}a.example", "https://a.example"),
    ],
)
def test_the_environment_is_put_in(tmp_path: Path, text: str, url: str) -> None:
    (tmp_path / FILE).write_text(f"{{gateway: {{publicUrl: '{text}'}}}}")
    environ = {"SCHEME": "https", "NAME": "a", "EMPTY": ""}
    assert read(source(tmp_path, environ)).settings.public_url == url


def test_escaped_and_other_dollars_stay(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{gateway: {tools: {deny: ['$${HOME}', '$x', '${lower}']}}}")
    found = read(source(tmp_path, {"HOME": "/root"}))
    assert found.settings.http_tools_deny == ("${HOME}", "$x", "${lower}")


@pytest.mark.parametrize(
    "text",
    [
        "{store: {source: 'env', id: 'DB'}}",
        "{store: {source: 'file', provider: 'default', id: 'db.url'}}",
        "{store: '${DB}'}",
        "{store: 'postgresql://me:${PASSWORD}@db/x'}",
    ],
)
def test_secrets_by_reference(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    (tmp_path / "db.url").write_text(URL + "\n")
    (tmp_path / "db.url").chmod(0o600)
    assert read(source(tmp_path, {"DB": URL, "PASSWORD": "hunter2"})).settings.store == URL


def test_a_secret_that_others_may_read_is_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{store: {source: 'file', id: 'db.url'}}")
    (tmp_path / "db.url").write_text(URL)
    (tmp_path / "db.url").chmod(0o644)
    (problem,) = problems(tmp_path)
    assert (problem.code, problem.remedy) == ("settings.secret", f"chmod 600 {tmp_path}/db.url")


def test_includes_are_merged_and_own_keys_win(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.json5").write_text("{gateway: {port: 1, maxSockets: 1}, $include: 'b'}")
    (tmp_path / "more" / "b").write_text("{gateway: {maxConnections: 7, maxSockets: 7}}")
    (tmp_path / "c").write_text("{gateway: {port: 2}}")
    (tmp_path / FILE).write_text("{$include: ['more/a.json5', 'c'], gateway: {drainSeconds: 3}}")
    found = read(source(tmp_path, {}))
    s = found.settings
    assert (s.port, s.max_sockets, s.max_connections, s.drain_s) == (2, 1, 7, 3)
    assert found.origins["gateway.maxSockets"].where == "more/a.json5:1:21"
    assert [path.name for path in found.files] == [FILE, "a.json5", "b", "c"]


def test_includes_in_a_circle_are_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{$include: 'a'}")
    (tmp_path / "a").write_text("{\n$include: 'b'}")
    (tmp_path / "b").write_text("{$include: 'a'}")
    (problem,) = problems(tmp_path)
    assert problem.place == Place("b", 1, 12)
    assert "homarus.json -> a -> b -> a" in problem.message


# -- a text alone: what a change record checks ---------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{store: '${DB}', gateway: {publicUrl: '${URL}'}}", None),
        ("{$include: 'a'}", None),
        ("{store: {source: 'file', id: '/etc/passwd'}}", None),
        ("{gateway: {port: 'x'}}", "settings.value"),
        ("{/*" + "x" * 20_000 + "*/}", "settings.file"),
        (f"{{store: '{URL}'}}", "settings.secret"),
    ],
)
def test_a_text_alone_is_checked_without_looking_around(text: str, code: str | None) -> None:
    if code is None:
        assert check_text(text).files == (Path("/") / FILE,)
        return
    with pytest.raises(Rejected) as caught:
        check_text(text)
    assert caught.value.code == code


def test_a_daemon_with_a_broken_file_ends_with_78(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{gateway: {port: 'x'}}")
    argv = [sys.executable, "-m", "homarus.cli.main", "--home", str(tmp_path), "up", "--json"]
    done: Any = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert '"line": 1' in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
