"""A mapping with a bound."""

from homarus.base.recent import Recent


def test_who_was_set_longest_ago_is_forgotten() -> None:
    known: Recent[str, int] = Recent(2)
    known["a"] = 1
    known["b"] = 2
    known["a"] = 3
    known["c"] = 4
    assert list(known.items()) == [("a", 3), ("c", 4)]
