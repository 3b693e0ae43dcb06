"""The text of a note: what is ours comes back as it was, what is a person's stays byte for byte."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from homarus.outbox.vault import note
from homarus.outbox.vault.note import BEGIN, END, Moment, Ours

OURS = Ours(
    {
        note.ID: "i1", note.NUMBER: "T-1", note.TITLE: "The door", "hm_state": "no",
        "hm_due": Moment("2026-11-20T12:50:00"), "hm_skills": ["012", "a: b"], "hm_priority": 5,
        "hm_flag": True, "hm_of": "[[W-0001 House|House]]",
    },
    "# The door\n\nShut it.\n",
)  # fmt: skip
NEWER = Ours(dict(OURS.values) | {note.TITLE: "Window", "hm_state": "on"}, "# Window\n")

texts = st.text(st.characters(codec="utf-8"), max_size=60)
values = st.one_of(
    texts, st.booleans(), st.integers(-(2**63), 2**63), st.lists(texts, max_size=4),
    st.sampled_from(["no", "012", "12:30", "2026-01-02", "[[x]]", "@me", "a: b", "# x", "~", ""]),
)  # fmt: skip
keys = st.from_regex(r"hm_[a-z]{1,8}", fullmatch=True).filter(lambda key: key != note.HASH)
bodies = st.lists(
    st.sampled_from(
        ["%%", BEGIN, END, "```\n", "~~~~", "---\n", "text", "\n", "\r\n", "# x", "\x85"]
    ),
    max_size=8,
).map("".join)


def ours_of(given_values: dict[str, Any], body: str) -> Ours:
    return Ours({note.ID: "i1", **given_values}, note.region_text([f"# {body}", body]))


@given(values=st.dictionaries(keys, values, max_size=6), body=st.one_of(texts, bodies), tail=texts)
def test_what_is_ours_comes_back(values: dict[str, Any], body: str, tail: str) -> None:
    ours = ours_of(values, body)
    text = note.fresh(ours) + tail.replace("%%", "")
    found = note.parse(text)
    assert note.standing(found) == (ours.digest, ours.digest)
    assert found.region == ours.region
    for key, value in ours.values.items():
        if not isinstance(value, bool):
            want = [str(item) for item in value] if isinstance(value, list) else str(value)
            assert note.value_of(found, key) == want
    front = yaml.safe_load(text.split("---\n")[1]) if "---" not in str(values) else None
    assert front is None or {key: front[key] for key in ours.values} == dict(ours.values)


@given(
    own=st.lists(
        st.sampled_from(
            ["tags: [a, b]\n", "# a comment\n", "mine: 'x'\n", "list:\n- 1\n  - 2\n", "\n",
             "broken: [\n", "aliases:\n  - Door\n  - Gate\n", 'quoted "key: x\n', "über: ß\n"]
        ),
        max_size=4,
    ),
    head=texts, tail=st.one_of(texts, bodies.filter(lambda body: "homarus" not in body)),
)  # fmt: skip
def test_what_is_a_persons_stays(own: list[str], head: str, tail: str) -> None:
    fresh = note.parse(note.fresh(OURS))
    front = fresh.front[:3] + tuple(note.Entry("", raw) for raw in own) + fresh.front[3:]
    raw = "".join(entry.raw for entry in front)
    text = f"---\n{raw}---\n{head}{BEGIN}\n{OURS.region}{END}{tail}"
    after = note.rewritten(note.parse(text), NEWER)
    found = note.parse(after)
    assert note.standing(found) == (NEWER.digest, NEWER.digest)
    assert (found.head, found.tail) == (head, tail)
    mine = "".join(entry.raw for entry in found.front if not entry.key.startswith("hm_"))
    assert "".join(own) in mine


@pytest.mark.parametrize(
    "change",
    [
        (r'hm_state: "no"', "hm_state: done"),
        (r'hm_state: "no"\n', ""),
        (r'hm_state: "no"', 'hm_state: "no"  # why'),
        (r'hm_state: "no"', 'hm_state: "no'),
        (r'hm_state: "no"', 'hm_state: "no"\nhm_state: "no"'),
        (r'hm_id: "i1"\n', ""),
        (r"hm_priority: 5", "hm_priority: 6"),
        (r"hm_flag: true", "hm_flag: false"),
        (r'- "012"\n', ""),
        (r"hm_hash: .*", "hm_hash: x"),
        (r"hm_hash: .*\n", ""),
        (r"hm_hash", "hm_new: 1\nhm_hash"),
        ("Shut it.", "Shut it!"),
        ("# The door\n", "# The door\n\n"),
        (re.escape(BEGIN), ""),
        (re.escape(END), ""),
        (re.escape(END), f"x{END}"),
        (re.escape(BEGIN), f"{BEGIN} x"),
        (re.escape(BEGIN), f"{BEGIN}\n{BEGIN}"),
        ("Shut", END),
        ("\n---\n", "\n"),
    ],
)
def test_an_edit_of_what_is_ours_is_seen(change: tuple[str, str]) -> None:
    text = note.fresh(OURS)
    assert not note.standing(note.parse(text)).touched
    edited = re.sub(change[0], change[1].replace("\\", r"\\"), text, count=1)
    assert edited != text
    found = note.parse(edited)
    assert note.standing(found).touched
    after = note.parse(note.rewritten(found, OURS))
    assert note.standing(after) == (OURS.digest, OURS.digest)


@pytest.mark.parametrize(
    "change",
    [
        (r'"no"', "'no'"),
        (r'hm_state: "no"', "hm_state: no"),
        (r'hm_skills:\n- "012"\n- "a: b"', "hm_skills:\n  - '012'\n  - \"a: b\""),
        (r'hm_skills:\n- "012"\n- "a: b"', "hm_skills: ['012', 'a: b']"),
        (r"W-0001 House\|", "House of ours|"),  # its note was renamed
        (r"\n", "\r\n"),
        (r"^---", "\ufeff---"),
        (r"$", "my text"),
        (r"---\n%%", "mine: 1\n---\nabove\n%%"),
    ],
)
def test_another_form_of_the_same_is_no_edit(change: tuple[str, str]) -> None:
    text = re.sub(change[0], change[1], note.fresh(OURS))
    assert note.standing(note.parse(text)) == (OURS.digest, OURS.digest)


@pytest.mark.parametrize(
    "aliases, after",
    [
        ('aliases:\n- "The door"\n', 'aliases:\n- "Window"\n'),
        ("aliases: [The door]\n", 'aliases:\n- "Window"\n'),
        ("aliases: [The door, Gate]\n", "aliases: [The door, Gate]\n"),
        ("aliases: Gate\n", "aliases: Gate\n"),
        ("", ""),
    ],
)
def test_the_title_is_an_alias_until_a_person_sets_them(aliases: str, after: str) -> None:
    text = note.fresh(OURS).replace('aliases:\n- "The door"\n', aliases)
    assert after in note.rewritten(note.parse(text), NEWER)
    assert ("aliases" in note.rewritten(note.parse(text), NEWER)) is bool(after)


def test_without_markers_all_text_stays_below_ours() -> None:
    text = note.fresh(OURS).replace(END, "") + "mine"
    after = note.rewritten(note.parse(text), NEWER)
    assert after.count(BEGIN) == after.count(END) == 1
    assert "%% homarus:begin (copy) %%\n# The door\n\nShut it.\n\nmine" in after


def test_a_conflict_copy_is_the_text_without_whose_it_is() -> None:
    text = note.fresh(OURS).replace("Shut", "Open") + "mine"
    copy = note.conflict_copy(text)
    lines = [line for line in text.splitlines() if not line.startswith(("hm_id", "hm_hash"))]
    assert copy.splitlines() == lines
    assert note.conflict_copy("no frontmatter") == "no frontmatter"


def test_numbers_become_links_in_values_alone() -> None:
    ours = Ours(
        {note.ID: "i", note.NUMBER: "W-1", "hm_of": "W-1", "hm_more": ["W-1", "W-2"]}, "W-1\n"
    )
    text = note.relinked(note.fresh(ours) + "W-1", {"W-1": "[[W-0001 a|a]]"})
    found = note.parse(text)
    assert not note.standing(found).touched
    assert note.value_of(found, "hm_of") == "[[W-0001 a|a]]"
    assert note.value_of(found, "hm_more") == ["[[W-0001 a|a]]", "W-2"]
    assert (note.value_of(found, note.NUMBER), found.region) == ("W-1", "W-1\n")
    edited = note.fresh(ours).replace("W-1\n%%", "x\n%%")
    assert note.relinked(edited, {"W-1": "[[W-0001 a|a]]"}) == edited
