"""Names of notes: legal on every system, in links and in sync, and made once."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from homarus.outbox.vault import names

AT_MS = 1_795_175_400_000


@pytest.mark.parametrize(
    "number, title, stem",
    [
        ("T-192", "Fix the door", "T-0192 Fix the door"),
        ("T-12345", "x", "T-12345 x"),
        ("E-4", "", "E-0004"),
        ("W-7", "  two\n lines\t", "W-0007 two lines"),
        ("T-1", 'a/b\\c:d*e?f"g<h>i|j', "T-0001 a b c d e f g h i j"),
        ("T-1", "#tag ^block [[link]] %%note%%", "T-0001 tag block link note"),
        ("T-1", "ends in dots...", "T-0001 ends in dots"),
        ("T-1", "...", "T-0001"),
        ("T-1", "Cafe\u0301 🚪", "T-0001 Café 🚪"),
        ("T-1", "a\u202eb\u200dc\x00d", "T-0001 a b c d"),
        ("T-1", "ä" * 100, "T-0001 " + "ä" * 36),
        ("T-1", "x" * 79 + " y", "T-0001 " + "x" * 73),
        ("CON", "", "CON"),
    ],
)
def test_stems(number: str, title: str, stem: str) -> None:
    assert names.file_stem(number, title) == stem


@given(number=st.integers(1, 10**9), title=st.text(max_size=200))
@example(number=1, title="x" * 80)  # as long as a name may be
@example(number=1, title="000" + "𝐀" * 20)
def test_any_title_makes_a_name_that_every_system_takes(number: int, title: str) -> None:
    stem = names.file_stem(f"T-{number}", title)
    for name in (stem, names.conflict_stem(stem, AT_MS), names.conflict_stem(stem, AT_MS, 49)):
        assert names.is_legal(name + names.SUFFIX), name
    assert stem.startswith(f"T-{number:04}")


@pytest.mark.parametrize(
    "name, legal",
    [
        ("Homarus", True),
        ("T-0001 x.md", True),
        ("", False),
        (".hidden", False),
        (" x", False),
        ("x.", False),
        ("x ", False),
        ("CON", False),
        ("con.md", False),
        ("lpt1.txt", False),
        ("console", True),
        ("a/b", False),
        ("..", False),
        ("x" * 120, False),
        ("Cafe\u0301", False),
    ],
)
def test_what_is_legal(name: str, legal: bool) -> None:
    assert names.is_legal(name) is legal


@pytest.mark.parametrize(
    "name, others, ours",
    [
        ("T-0001 x (Conflicted copy MacBook 202611201150).md", True, False),
        ("T-0001 x.sync-conflict-20261120-115000-ABCDEFG.md", True, False),
        ("T-0001 x (mia's conflicted copy 2026-11-20).md", True, False),
        ("T-0001 x (conflicted copy 2026-11-20 115000).md", True, False),
        ("T-0001 x (homarus conflict 20261120T115000Z).md", False, True),
        ("T-0001 x (homarus conflict 20261120T115000Z-1).md", False, True),
        ("T-0001 x.md", False, False),
        ("T-0001 x 2.md", False, False),
        ("On conflicted copies.md", False, False),
    ],
)
def test_conflict_copies_are_known_by_their_names(name: str, others: bool, ours: bool) -> None:
    assert (names.is_others(name), names.is_ours(name)) == (others, ours)


def test_the_name_of_a_conflict_copy_says_when() -> None:
    assert names.conflict_stem("T-0192 x", AT_MS) == "T-0192 x (homarus conflict 20261120T115000Z)"


@pytest.mark.parametrize(
    "title, link",
    [
        ("The door", "[[T-0001 x|The door]]"),
        ("a | b [c] [[d]]", "[[T-0001 x|a b c d]]"),
        ("|", "[[T-0001 x]]"),
    ],
)
def test_links(title: str, link: str) -> None:
    assert names.link("T-0001 x", title) == link
