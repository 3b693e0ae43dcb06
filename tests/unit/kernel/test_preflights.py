"""Which acts a scope covers: tables of patterns, and arbitrary texts against a plain model."""

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.base.ids import is_uuid
from homarus.kernel.preflights import (
    MAX_PATTERN,
    MAX_TARGET,
    claim_id,
    claim_scope,
    covers,
    matches,
)

TASK = "019a0000-0000-7000-8000-000000000001"
OTHER = "019a0000-0000-7000-8000-000000000002"

COVERED = [
    # capability pattern, target pattern, capability, target
    ("files.count", "task:1", "files.count", "task:1"),
    ("files.*", "task:1", "files.count", "task:1"),
    ("files.**", "task:1", "files.count.all", "task:1"),
    ("*", "*", "anything.at.all", "anywhere:x/y"),
    ("f", "workspace:notes/*.md", "f", "workspace:notes/a.md"),
    ("f", "workspace:**", "f", "workspace:a/b/c"),
    ("f", "workspace:v?/x", "f", "workspace:v1/x"),
    ("f", "workspace:a*b*c", "f", "workspace:a-b-b-c"),
    ("f", "workspace:../x", "f", "workspace:../x"),
]
NOT_COVERED = [
    ("files.count", "task:1", "files.counts", "task:1"),
    ("files.count", "task:1", "files", "task:1"),
    ("files.*", "task:1", "files.count.all", "task:1"),
    ("files.*", "task:1", "filesXcount", "task:1"),
    ("files.count", "task:1", "files.count", "task:2"),
    ("files.count", "task:1", "files.count", "task:11"),
    ("f", "task:1/**", "f", "task:1"),
    ("f", "workspace:notes/*.md", "f", "workspace:notes/sub/a.md"),
    ("f", "workspace:v?/x", "f", "workspace:v//x"),
    ("f", "workspace:**", "f", "mirror:lark/x"),
    ("f", "workspace:**", "f", "workspace:../secret"),
    ("f", "workspace:**", "f", "workspace:a/%2e%2E/secret"),
    ("f", "workspace:**", "f", "workspace:a%2Fb"),
    ("f", "workspace:**", "f", "workspace:a\\b"),
    ("*", "*", "f", "workspace:a/../b"),
    ("*", "*", "f", ""),
    ("*", "*", "f", "x:" + "a" * MAX_TARGET),
    ("*" * (MAX_PATTERN + 1), "*", "f", "x:y"),
    ("f", "x:" + "*a" * 20, "f", "x:" + "a" * 900),
]


@pytest.mark.parametrize("capability, target, wanted, place", COVERED)
def test_covered(capability: str, target: str, wanted: str, place: str) -> None:
    assert covers(((capability, target),), wanted, place)


@pytest.mark.parametrize("capability, target, wanted, place", NOT_COVERED)
def test_not_covered(capability: str, target: str, wanted: str, place: str) -> None:
    assert not covers(((capability, target),), wanted, place)


@pytest.mark.parametrize(
    "capability, target, covered",
    [
        ("task.note", f"task:{TASK}", True),
        ("task.note", f"task:{OTHER}", False),
        ("artifact.create", "artifact:", True),
        ("memory.write", "agent:x", True),
        ("message.send", "thread:x", True),
        ("task.create", "task:new", True),
        ("task.assign", f"task:{OTHER}", True),
        ("session.spawn", "agent:", True),
        ("session.send", "agent:", True),
        ("files.count", f"task:{TASK}", True),
        ("files.count", f"task:{OTHER}", False),
        ("files.other", f"task:{TASK}", False),
        ("document.write", "document:x", False),
        ("change.approve", "change:x", False),
    ],
)
def test_what_a_claim_covers(capability: str, target: str, covered: bool) -> None:
    assert covers(claim_scope(TASK, "files.count"), capability, target) is covered


def test_a_scope_without_a_binding_covers_no_command() -> None:
    assert not covers(claim_scope(TASK, None), "files.count", f"task:{TASK}")


def test_the_id_of_a_claims_preflight_follows_from_task_and_fence() -> None:
    assert is_uuid(claim_id(TASK, 1))
    assert claim_id(TASK, 1) == claim_id(TASK, 1)
    assert len({claim_id(TASK, 1), claim_id(TASK, 2), claim_id(OTHER, 1), TASK}) == 4


@given(
    st.text(alphabet="ab*?", min_size=1, max_size=8).filter(lambda p: "**" not in p),
    st.text(alphabet="ab", max_size=10),
)
def test_within_one_part_it_is_the_shells_matching(pattern: str, text: str) -> None:
    assert matches(pattern, text, "/") is fnmatchcase(text, pattern)


@given(st.text(alphabet="ab/*", min_size=1, max_size=8), st.text(alphabet="ab/", max_size=10))
def test_stars_stop_at_the_separator_unless_there_are_two(pattern: str, text: str) -> None:
    parts = re.split(r"(\*\*|\*)", pattern)
    like = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
    expected = pattern == "*" or re.fullmatch(like, text) is not None
    assert matches(pattern, text, "/") is expected
