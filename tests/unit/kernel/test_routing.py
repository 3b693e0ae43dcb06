"""The note's text: what is read and written, what a signature holds (governance contract, 4)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.kernel import routing
from homarus.kernel.facts import AgentFacts
from homarus.kernel.routing import Malformed, Note, Perm, meet, parse, render, verified

KEY = b"k" * 32
NOW = 1_777_626_000_000

words = st.from_regex(r"[^\s,=\[\]]{1,40}", fullmatch=True)
short_notes = st.builds(Note, words, words, words, st.sampled_from(Perm))
long_notes = st.builds(
    lambda note, at_s, nonce: routing.complete(note, KEY, now_ms=at_s * 1000, nonce=nonce),
    short_notes,
    st.integers(0, 4_000_000_000),
    st.binary(min_size=8, max_size=8),
)


def test_the_text_form():
    note = Note("pm", "T123", "abc123", Perm.READ_WRITE)
    assert render(note) == (
        "[DISPATCHER_ROUTING_NOTE]\n"
        "[KERNEL_CONTEXT] caller=pm, task_id=T123, trace_id=abc123, perm=read_write"
    )
    full = routing.complete(note, KEY, now_ms=NOW, nonce=bytes.fromhex("9f2c41d07be35a68"))
    assert render(full).startswith(
        f"{render(note)}, ts=2026-05-01T09:00:00Z, nonce=9f2c41d07be35a68, sig="
    )
    assert len(full.sig) == 64


@given(st.one_of(short_notes, long_notes))
def test_what_is_written_is_read_back(note):
    assert parse(render(note)) == note
    assert parse(render(note).split("\n")[1]) == note
    assert parse(render(note).replace("\n", "\r\n") + "\n") == note


@given(long_notes)
def test_a_complete_note_verifies_by_its_companys_key_alone(note):
    assert verified(note, KEY)
    assert not verified(note, b"j" * 32)
    assert not verified(msgspec.structs.replace(note, sig=None), KEY)


@given(long_notes, st.data())
def test_any_changed_byte_is_refused(note, data):
    text = render(note)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=1, max_codepoint=0x2FF))
    if other == text[at]:
        return
    found = parse(text[:at] + other + text[at + 1 :])
    assert isinstance(found, Malformed) or not verified(found, KEY)


@given(st.text(max_size=300))
def test_any_text_is_a_note_or_says_what_is_wrong(text):
    for candidate in (text, f"{routing.CONTEXT} {text}"):
        found = parse(candidate)
        assert isinstance(found, Note) or (found.key and found.why)


def test_a_note_is_read_no_further_than_its_bound():
    text = render(Note("pm", "T-1", "t", Perm.READ))
    assert isinstance(parse(text.ljust(routing.MAX_NOTE)), Note)
    assert parse(text.ljust(routing.MAX_NOTE + 1)).key == "note"


@pytest.mark.parametrize(
    "one, other, both",
    [
        ("read", "read", "read"),
        ("read", "read_write", "read"),
        ("read", "govern", "read"),
        ("read_write", "read_write", "read_write"),
        ("read_write", "govern", "read_write"),
        ("govern", "govern", "govern"),
    ],
)
def test_the_meet_is_what_both_allow(one, other, both):
    assert meet(Perm(one), Perm(other)) == meet(Perm(other), Perm(one)) == Perm(both)


@given(st.sampled_from(Perm), st.sampled_from(Perm), st.sampled_from(Perm))
def test_perms_are_a_lattice(a, b, c):
    assert meet(a, a) == a
    assert meet(a, meet(b, c)) == meet(meet(a, b), c)
    assert meet(a, b).rank <= a.rank


@pytest.mark.parametrize(
    "role, perm",
    [(None, "read_write"), ("coder", "read_write"), ("coo", "govern"), ("approver", "govern"),
     ("owner", "govern"), ("COO", "read_write")],
)  # fmt: skip
def test_what_a_role_may(role, perm):
    assert routing.own_perm(role) == perm


@pytest.mark.parametrize(
    "name, label",
    [("pm", "pm"), ("pm-2", "pm-2"), ("the pm", "ID"), ("a,b", "ID"), ("a=b", "ID"),
     ("zoë", "ID"), ("x" * 100, "x" * 100), ("x" * 101, "ID")],
)  # fmt: skip
def test_an_agent_is_named_where_a_note_can_hold_its_name(name, label):
    assert routing.label(AgentFacts("ID", name, None, False)) == label


@pytest.mark.parametrize(
    "text, ref", [("T123", "T-123"), ("t7", "T-7"), ("T-123", "T-123"), ("T12x", "T12x")]
)
def test_the_manuals_task_numbers(text, ref):
    assert routing.task_ref(text) == ref


@pytest.mark.parametrize(
    "text, at_ms",
    [
        ("2026-05-01T09:00:00Z", NOW),
        ("1970-01-01T00:00:00Z", 0),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2026-02-29T00:00:00Z", None),
        ("2026-05-01T24:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-05-01T09:00:60Z", None),
        ("2026-05-01T09:00:00+00:00", None),
        ("2026-05-01 09:00:00Z", None),
        ("0000-05-01T09:00:00Z", None),
    ],
)
def test_times(text, at_ms):
    assert routing.ts_ms(text) == at_ms
