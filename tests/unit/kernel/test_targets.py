"""Target patterns: what they match, exactly."""

import time

import pytest

from homarus.kernel import targets

LINEAR_S = 2.0
"""Far more than it takes, and far less than a match that doubles with each star."""


@pytest.mark.parametrize(
    "pattern, target, covers",
    [
        ("workspace:notes/a.md", "workspace:notes/a.md", True),
        ("workspace:notes/a.md", "workspace:notes/a.mdx", False),
        ("workspace:notes/a.md", "xworkspace:notes/a.md", False),
        ("workspace:notes/*.md", "workspace:notes/a.md", True),
        ("workspace:notes/*.md", "workspace:notes/.md", True),
        ("workspace:notes/*.md", "workspace:notes/b/a.md", False),
        ("workspace:notes/*", "workspace:notes/", True),
        ("workspace:notes/*", "workspace:notes", False),
        ("workspace:notes/**", "workspace:notes/b/a.md", True),
        ("workspace:notes/**", "workspace:notesb", False),
        ("workspace:**", "workspace:anything/at/all", True),
        ("workspace:n?tes", "workspace:notes", True),
        ("workspace:n?tes", "workspace:n/tes", False),
        ("mailto:*@acme.example", "mailto:x@acme.example", True),
        ("mailto:*@acme.example", "mailto:x@acme.example.evil", False),
        ("mailto:*@acme.example", "mailto:x@evil.example/x@acme.example", False),
        ("a:*b*c", "a:bbcc", True),
        ("a:*b*c", "a:cb", False),
        ("a:*/b/**", "a:x/b/y/z", True),
        ("a:*/b/**", "a:x/y/b/z", False),
        ("a:[b].c", "a:[b].c", True),
        ("a:[b].c", "a:bxc", False),
        ("workspace:**", "workspace:../etc/passwd", False),
        ("workspace:**", "workspace:a/../../etc", False),
        ("workspace:**", "workspace:a/..", False),
        ("workspace:**", "workspace:a/%2e%2E/b", False),
        ("workspace:**", "workspace:a..b", True),
    ],
)
def test_what_a_pattern_covers(pattern: str, target: str, covers: bool) -> None:
    assert targets.matches([pattern], target) is covers


def test_many_stars_take_linear_time() -> None:
    pattern = "a:" + "*a" * targets.MAX_STARS + "b"
    assert targets.fault(pattern, reads=False) is None
    began = time.process_time()
    assert not targets.matches([pattern], "a:" + "a" * 400)
    assert time.process_time() - began < LINEAR_S


@pytest.mark.parametrize(
    "pattern, above_read, read",
    [
        ("workspace:*", True, True),
        ("workspace:**", True, True),
        ("https://api.example/v1/**", True, True),
        ("https://**", False, True),
        ("https:**", False, True),
        ("file:*", False, True),
        ("file:?", False, True),
        ("file:/*/*", False, True),
        ("file:a*", True, True),
        ("*", False, False),
        ("**", False, False),
        ("*:*", False, False),
        ("file:", False, False),
        ("FILE:a", False, False),
        ("file:a b", False, False),
        ("file:a\\b", False, False),
        ("file:**a", False, False),
        ("file:" + "*a" * 9, False, False),
        ("file:" + "a" * 295, True, True),
        ("file:" + "a" * 296, False, False),
    ],
)
def test_patterns_that_may_be_registered(pattern: str, above_read: bool, read: bool) -> None:
    assert (targets.fault(pattern, reads=False) is None) is above_read
    assert (targets.fault(pattern, reads=True) is None) is read


@pytest.mark.parametrize(
    "target, mirror",
    [("mirror:lark_base/tasks", "lark_base"), ("mirror:", ""), ("mirrors:a", None), ("a:b", None)],
)
def test_mirrors(target: str, mirror: str | None) -> None:
    assert targets.mirror_of(target) == mirror
