"""A value in the file is changed; nothing around it is."""

import random
import stat
from pathlib import Path
from typing import Any

import pyjson5
import pytest

from homarus.base.errors import Conflict
from homarus.config import edit, files
from homarus.config.edit import changed, removed
from homarus.config.schema import FILE
from homarus.config.text import Text, parse
from tests.support.profile import chosen_profile

DOCUMENTS = chosen_profile().pick(ci=300, full=20_000)
MINE = """\
// my company
{
  gateway: {
    port: 1, // one
    /* two */ bind: 'lan',
  },

  logging: { level: "info" }  // last
}
"""


@pytest.mark.parametrize(
    ("text", "path", "value", "expected"),
    [
        ("", "gateway.port", 5, "{\n  gateway: { port: 5 },\n}\n"),
        ("{}", "store", "sqlite", '{\n  store: "sqlite",\n}'),
        ("{a: 1}", "store", "s", '{a: 1, store: "s"}'),
        (MINE, "gateway.port", 8080, MINE.replace("port: 1,", "port: 8080,")),
        (MINE, "logging.level", "debug", MINE.replace('"info"', '"debug"')),
        (MINE, "gateway.maxSockets", 5,
         MINE.replace("'lan',\n", "'lan',\n    maxSockets: 5,\n")),
        (MINE, "store", "s", MINE.replace(" }  // last", ' },  // last\n  store: "s"')),
        (MINE, "gateway.tools.deny", ["a", "b"],
         MINE.replace("'lan',\n", "'lan',\n    tools: { deny: [\"a\", \"b\"] },\n")),
        ('{\n\t"a": {"b": 1}\n}', "a.c", True, '{\n\t"a": {"b": 1, "c": true}\n}'),
        ('{\n\t"a": 1\n}', "c", 2.5, '{\n\t"a": 1,\n\t"c": 2.5\n}'),
        ("{\r\n  a: 1,\r\n}\r\n", "c", 2, "{\r\n  a: 1,\r\n  c: 2,\r\n}\r\n"),
        ("{a: 1 /* , */ , // x\n}", "b", 2, "{a: 1, b: 2 /* , */ , // x\n}"),
        ("{\n  // only a comment\n}\n", "a", 1, "{\n  // only a comment\n  a: 1,\n}\n"),
        ("{a: 1}", "a.b", 2, "{a: { b: 2 }}"),
    ],
)  # fmt: skip
def test_set(text: str, path: str, value: Any, expected: str) -> None:
    assert changed(text, path, value) == expected
    assert changed(expected, path, value) == expected


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("{a: 1, b: 2, c: 3}", "a", "{b: 2, c: 3}"),
        ("{a: 1, b: 2, c: 3}", "b", "{a: 1, c: 3}"),
        ("{a: 1, b: 2, c: 3}", "c", "{a: 1, b: 2}"),
        ("{a: 1}", "a", "{}"),
        ("{\n  a: 1, // one\n  b: 2,\n}", "a", "{\n  // one\n  b: 2,\n}"),
        ("{\n  a: 1,\n  b: 2\n}", "b", "{\n  a: 1,\n}"),
        ("{a: {b: 1}}", "a.b", "{a: {}}"),
        ("{a: 1}", "b", "{a: 1}"),
        ("{a: 1}", "a.b.c", "{a: 1}"),
    ],
)
def test_unset(text: str, path: str, expected: str) -> None:
    assert removed(text, path) == expected


# -- against the library ------------------------------------------------------------------------


def blank(r: random.Random) -> str:
    return "".join(
        r.choice(("", " ", "\n", "\t", "\r\n", "/* {,} */", "// ]\n", "\u00a0"))
        for _ in range(r.randrange(3))
    )


SCALARS = ("1", "-1", "+.5", "1e3", "0xFf", "1.", "'a'", '"b\\n"', "'\\u00e9\\\n'", "true", "null",
           "''", "'// no'", '"{"')  # fmt: skip


def written(r: random.Random, depth: int = 0) -> str:
    """A random JSON5 value."""
    kind = r.randrange(3) if depth < 4 else 2
    if kind == 2:
        return r.choice(SCALARS)
    items = [written(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 0:
        keys = [r.choice((f"k{n}", f"'k {n}'", f'"k{n}"', f"$k{n}")) for n in range(len(items))]
        items = [f"{k}{blank(r)}:{blank(r)}{v}" for k, v in zip(keys, items, strict=True)]
    ends = ("{", "}") if kind == 0 else ("[", "]")
    inside = ",".join(f"{blank(r)}{item}{blank(r)}" for item in items)
    last = "," if items and r.random() < 0.3 else ""
    return f"{ends[0]}{inside}{last}{blank(r)}{ends[1]}"


def test_documents_are_read_as_the_library_reads_them() -> None:
    r = random.Random(5)
    for n in range(DOCUMENTS):
        text = f"{blank(r)}{{a: {written(r)}}}{blank(r)}"
        node, twice = parse(Text("x", text))
        assert (node.plain(), twice) == (pyjson5.decode(text), []), f"document {n}: {text!r}"


def test_edits_of_documents_change_one_value() -> None:
    r = random.Random(6)
    for n in range(DOCUMENTS):
        text = f"{blank(r)}{{a: {written(r)}, b: {written(r)}{blank(r)}}}{blank(r)}"
        path, value = r.choice(("a", "b", "c", "a.x", "b.k0")), r.choice((1, "x", [True]))
        wanted = pyjson5.decode(text)
        at = wanted
        *above, last = path.split(".")
        for name in above:
            if not isinstance(at[name], dict):
                at[name] = {}
            at = at[name]
        at[last] = value
        new = changed(text, path, value)
        assert pyjson5.decode(new) == wanted, f"document {n}: {text!r} {path}"
        del at[last]
        assert pyjson5.decode(removed(new, path)) == wanted, f"document {n}: {new!r} {path}"


# -- on disk ----------------------------------------------------------------------------------


def base(path: Path) -> str:
    found = files.read(path, FILE)
    return "" if found is None else found.digest


def test_a_file_is_replaced_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text("{}")
    path.chmod(0o644)
    digest = edit.write(path, FILE, "{a: 'é'}", base(path))
    assert (path.read_text(), base(path)) == ("{a: 'é'}", digest)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_what_somebody_else_wrote_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text("{}")
    before = base(path)
    path.write_text("{mine: 1}")
    for stale in (before, ""):
        with pytest.raises(Conflict) as caught:
            edit.write(path, FILE, "{theirs: 1}", stale)
        assert caught.value.code == "settings.changed"
    assert path.read_text() == "{mine: 1}"
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_a_link_stays_one_and_a_byte_order_mark_too(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target = tmp_path / "dotfiles" / "h.json"
    target.write_bytes(b"\xef\xbb\xbf{}")
    path = tmp_path / FILE
    path.symlink_to(target)
    found = files.read(path, FILE)
    assert found is not None
    assert found.bom
    digest = edit.write(path, FILE, "{a: 1}", found.digest, bom=True)
    assert path.is_symlink()
    assert target.read_bytes() == b"\xef\xbb\xbf{a: 1}"
    assert base(path) == digest
