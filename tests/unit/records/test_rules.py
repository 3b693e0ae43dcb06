"""Names, types and words that records accept."""

import pytest

from homarus.base.errors import Invalid
from homarus.records import rules


@pytest.mark.parametrize(
    "name", ["report.md", "Bericht März.pdf", "a;c.txt", "日本.txt", "x" * 255]
)
def test_plain_names_pass(name):
    assert rules.file_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "  ", ".", "..", "a/b", "../x", "/etc/passwd", "a\\b", "a\0b", "a\nb", "\x7f", "x" * 256,
     "ä" * 128, "\ud800"],
)  # fmt: skip
def test_anything_but_a_name_is_refused(name):
    with pytest.raises(Invalid, match=r"artifact\.file_name"):
        rules.file_name(name)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.md", "attachment; filename=\"a.md\"; filename*=UTF-8''a.md"),
        ('a"b.md', "attachment; filename=\"a_b.md\"; filename*=UTF-8''a%22b.md"),
        ("é.md", "attachment; filename=\"_.md\"; filename*=UTF-8''%C3%A9.md"),
    ],
)
def test_disposition_is_always_an_attachment(name, header):
    assert rules.disposition(name) == header


@pytest.mark.parametrize(
    "text", ["text/plain", "text/markdown; charset=utf-8", 'a/b; x="y z"', "application/vnd.a+json"]
)
def test_media_types_are_kept_as_given(text):
    assert rules.content_type(text) == text


@pytest.mark.parametrize("text", ["", "text", "text/", "a/b\r\nX: y", "a/b; c", "a/" + "b" * 200])
def test_what_is_no_media_type_is_refused(text):
    with pytest.raises(Invalid, match=r"artifact\.content_type"):
        rules.content_type(text)


@pytest.mark.parametrize(
    ("given", "klass", "expected"),
    [
        (None, "working_file", "operational"),
        (None, "deliverable", "record"),
        (None, "export_bundle", "record"),
        ("temporary", "deliverable", "temporary"),
    ],
)
def test_importance_follows_the_class(given, klass, expected):
    assert rules.importance_of(given, klass) == expected


@pytest.mark.parametrize("text", ["a" * 64, "SHA256:" + "A" * 64, "  " + "0" * 64])
def test_checksums(text):
    assert len(rules.checksum(text)) == 64


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "a" * 65])
def test_bad_checksums(text):
    with pytest.raises(Invalid, match=r"artifact\.checksum"):
        rules.checksum(text)
