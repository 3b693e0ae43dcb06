"""Templates: what each slot takes, what it refuses, and that no value ever leaves its element."""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.base.errors import Invalid
from homarus.kernel.argv import (
    ELEMENTS_MAX,
    INT_MAX,
    NAME_BYTES_MAX,
    PATH_BYTES_MAX,
    Template,
    render,
)

LONG = "x" * (NAME_BYTES_MAX + 1)
DEEP = "a/" * (PATH_BYTES_MAX // 2) + "a"


@pytest.mark.parametrize(
    ("slot", "value", "expected"),
    [
        ("text", "word", "word"),
        ("text", "two words; $(x) `y` * \n", "two words; $(x) `y` * \n"),
        ("text", "a-b", "a-b"),
        ("text", "{slot}", "{slot}"),
        ("text", "é" * 4096, "é" * 4096),
        ({"type": "text", "chars_max": 2}, "ab", "ab"),
        ("int", 0, "0"),
        ("int", INT_MAX, str(INT_MAX)),
        ({"type": "int", "least": 5, "greatest": 5}, 5, "5"),
        ({"type": "choice", "choices": ["fast", "--slow"]}, "--slow", "--slow"),
        ("path", "a/b.txt", "./a/b.txt"),
        ("path", ".", "./."),
        ("path", "a//b/./c", "./a/b/c"),
        ("path", "-rf", "./-rf"),
        ("path", "..a/b..", "./..a/b.."),
        ("path", "\udcff", "./\udcff"),
        ({"type": "path", "root": "/no/such/root"}, "-a/b", "/no/such/root/-a/b"),
        ({"type": "path", "root": "/no/such/root"}, ".", "/no/such/root"),
        ({"type": "text", "default": "d"}, "v", "v"),
    ],
)
def test_values_that_fit(slot: Any, value: object, expected: str) -> None:
    assert render(["p", "{slot}", "z"], {"slot": slot}, {"slot": value}) == ["p", expected, "z"]
    for prefix in ("--out=", "-o=", "if=", "a.b-c_d="):
        assert render(["p", prefix + "{slot}"], {"slot": slot}, {"slot": value}) == [
            "p",
            prefix + expected,
        ]


@pytest.mark.parametrize(
    ("slot", "value", "got"),
    [
        ("text", "", "0 characters"),
        ("text", "x" * 4097, "4097 characters"),
        ("text", "-rf", "begins with '-'"),
        ("text", "--", "begins with '-'"),
        ("text", "a\0b", "NUL"),
        ("text", "\udc80", "encoded"),
        ("text", 5, "a number"),
        ("text", None, "nothing"),
        ("text", ["a"], "something else"),
        ("int", -1, "outside"),
        ("int", INT_MAX + 1, "outside"),
        ("int", "5", "a text"),
        ("int", True, "true or false"),
        ("int", 5.0, "a number"),
        ({"type": "choice", "choices": ["fast"]}, "slow", "something else"),
        ({"type": "choice", "choices": ["fast"]}, ["fast"], "something else"),
        ("path", "", "empty"),
        ("path", "/etc/passwd", "absolute"),
        ("path", "//etc", "absolute"),
        ("path", "..", "'..'"),
        ("path", "a/../../b", "'..'"),
        ("path", "a/..", "'..'"),
        ("path", "a\0", "NUL"),
        ("path", "\ud800", "encoded"),
        ("path", LONG, "too long"),
        ("path", DEEP, "too long"),
        ("path", 1, "a number"),
    ],
)
def test_values_that_do_not_fit(slot: Any, value: object, got: str) -> None:
    with pytest.raises(Invalid, match=got) as caught:
        render(["p", "{the_slot}"], {"the_slot": slot}, {"the_slot": value})
    assert caught.value.code == "argv.bad_value"
    assert caught.value.details["slot"] == "the_slot"
    assert "'the_slot' expected a" in caught.value.message or "one of" in caught.value.message


def test_missing_unknown_and_default_values() -> None:
    slots = {"a": "text", "b": {"type": "int", "default": 3}}
    assert render(["p", "{a}", "{b}"], slots, {"a": "x"}) == ["p", "x", "3"]
    with pytest.raises(Invalid, match=r"'a' expected a text .*; got nothing"):
        render(["p", "{a}", "{b}"], slots, {})
    with pytest.raises(Invalid, match=r"'c' expected .*no such slot"):
        render(["p", "{a}", "{b}"], slots, {"a": "x", "c": "y"})


@pytest.mark.parametrize(
    ("argv", "slots", "what"),
    [
        ([], {}, "list of 1 to"),
        (["x"] * (ELEMENTS_MAX + 1), {}, "list of 1 to"),
        ("sh -c x", {}, "list of 1 to"),
        (["{a}"], {"a": "text"}, "first element"),
        (["a={a}"], {"a": "text"}, "first element"),
        ([""], {}, "first element"),
        (["p", "{a}{b}"], {"a": "text", "b": "text"}, "whole element"),
        (["p", "{a}.txt"], {"a": "text"}, "whole element"),
        (["p", "x{a}"], {"a": "text"}, "whole element"),
        (["p", "x y={a}"], {"a": "text"}, "whole element"),
        (["p", "={a}"], {"a": "text"}, "whole element"),
        (["p", "--o={a}\n"], {"a": "text"}, "whole element"),
        (["p", "{b}"], {}, "no slot 'b'"),
        (["p"], {"a": "text"}, "no element holds the slot 'a'"),
        (["p", "{a}"], {"a": "shell"}, "needs a type"),
        (["p", "{a}"], {"a": None}, "needs a type"),
        (["p", "{a}"], {"a": {"type": "text", "size": 3}}, "'size'"),
        (["p", "{a}"], {"a": {"type": "text", "chars_max": 0}}, "chars_max"),
        (["p", "{a}"], {"a": {"type": "text", "chars_max": "9"}}, "chars_max"),
        (["p", "{a}"], {"a": {"type": "int", "least": 2, "greatest": 1}}, "in order"),
        (["p", "{a}"], {"a": {"type": "int", "least": -1}}, "negative"),
        (["p", "{a}"], {"a": {"type": "choice"}}, "'choices'"),
        (["p", "{a}"], {"a": {"type": "choice", "choices": []}}, "choices must"),
        (["p", "{a}"], {"a": {"type": "choice", "choices": "abc"}}, "choices must"),
        (["p", "{a}"], {"a": {"type": "path", "root": "rel"}}, "absolute"),
        (["p", "{a}"], {"a": {"type": "path", "root": 5}}, "absolute"),
        (["p", "{A}"], {"A": "text"}, "lower-case"),
        (["p", 5], {}, "every element"),
        (["p", "a\0"], {}, "every element"),
        (["p", "x" * 20_000], {}, "bytes"),
        (["sh", "-c", "{a}"], {"a": "text"}, "as a program"),
        (["/usr/bin/env", "python3.11", "-c", "{a}"], {"a": "path"}, "as a program"),
        (["node", "--eval={a}"], {"a": "text"}, "as a program"),
    ],
)
def test_templates_that_are_refused(argv: Any, slots: Any, what: str) -> None:
    with pytest.raises(Invalid, match=what) as caught:
        Template.parse(argv, slots)
    assert caught.value.code == "argv.bad_template"


@pytest.mark.parametrize("element", ["{print $1}", "{}", "a{1,2}", "{A}", "}{", "{ a }"])
def test_other_braces_are_literals(element: str) -> None:
    assert render(["awk", element], {}, {}) == ["awk", element]


def test_a_default_is_checked_when_the_capability_is_registered() -> None:
    with pytest.raises(Invalid, match="begins with '-'"):
        Template.parse(["p", "{a}"], {"a": {"type": "text", "default": "-x"}})
    Template.parse(["p", "--a={a}"], {"a": {"type": "text", "default": "-x"}})


def test_declared_inputs_are_the_roots_of_path_slots(tmp_path: Path) -> None:
    slots = {
        "a": {"type": "path", "root": str(tmp_path)},
        "b": {"type": "path", "root": str(tmp_path)},
        "c": "path",
    }
    template = Template.parse(["p", "{a}", "{b}", "{c}"], slots)
    assert template.inputs == (tmp_path,)


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "in").symlink_to("real")
    (root / "out").symlink_to(outside)
    slots = {"given": {"type": "path", "root": str(root)}}
    assert render(["p", "{given}"], slots, {"given": "in/x"}) == ["p", f"{root}/in/x"]
    with pytest.raises(Invalid, match="leads out by a link"):
        render(["p", "{given}"], slots, {"given": "out/x"})
    own = Template.parse(["p", "{own}"], {"own": "path"})
    assert own.render({"own": "in"}, workspace=root) == ["p", "./in"]
    with pytest.raises(Invalid, match="leads out by a link"):
        own.render({"own": "out/x"}, workspace=root)


HOSTILE = st.one_of(
    st.text(),
    st.sampled_from(
        ["-rf", "--", "--help", "../..", "/etc/passwd", "a\0b", "{b}", "\n-x", "~", ""]
    ),
    st.lists(st.sampled_from(["..", ".", "", "a", "-o", "~", "\\", "%2e%2e", " "])).map("/".join),
    st.integers(),
    st.none(),
    st.lists(st.text(), max_size=2),
    st.dictionaries(st.text(), st.text(), max_size=1),
)
SLOTS = {
    "a": "text",
    "b": "path",
    "c": {"type": "path", "root": "/no/such/root"},
    "d": "int",
    "e": {"type": "choice", "choices": ["x", "y"]},
    "f": "text",
}
TEMPLATE = ["p", "{a}", "{b}", "{c}", "--d={d}", "{e}", "--f={f}", "end"]


@given(st.fixed_dictionaries(dict.fromkeys(SLOTS, HOSTILE)))
def test_hostile_values_are_refused_or_stay_in_their_element(values: dict[str, object]) -> None:
    for name, value in values.items():
        good = {"a": "w", "b": "w", "c": "w", "d": 1, "e": "x", "f": "w"}
        try:
            argv = render(TEMPLATE, SLOTS, good | {name: value})
        except Invalid as exc:
            assert exc.details["slot"] == name
            continue
        calm = render(TEMPLATE, SLOTS, good)
        assert len(argv) == len(TEMPLATE)
        changed = [i for i, pair in enumerate(zip(argv, calm, strict=True)) if pair[0] != pair[1]]
        assert set(changed) <= {list("pabcdef").index(name)}
        assert not any(at.startswith("-") for at in (argv[1], argv[2], argv[3], argv[5]))
        assert argv[4].startswith("--d=")
        assert argv[6].startswith("--f=")
        assert not any("\0" in at for at in argv)
        assert all(os.fsencode(at) for at in argv)
        below = PurePosixPath(os.path.normpath(argv[3]))
        assert below.is_relative_to("/no/such/root")
        assert not os.path.normpath(argv[2]).startswith(("..", "/"))


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.text(max_size=8))
def test_templates_without_slots_are_what_they_say(argv: list[str], value: str) -> None:
    try:
        template = Template.parse(argv, {})
    except Invalid as exc:
        assert exc.code == "argv.bad_template"
        return
    assert template.render({}) == argv
