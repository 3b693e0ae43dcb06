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
     "ä" * 128, "\ud800", "NUL", "con.txt", "Aux.tar.gz", "COM1", "lpt9.x", "C:", "c:evil.txt",
     "cod\u202eexe.doc", "\u2066x"],
)  # fmt: skip
def test_anything_but_a_name_is_refused(name):
    with pytest.raises(Invalid, match=r"artifact\.file_name"):
        rules.file_name(name)


@pytest.mark.parametrize("name", ["console", "nul-and-void.txt", "com10", "ab:c", "12:30", ".x"])
def test_names_that_only_look_reserved_pass(name):
    assert rules.file_name(name) == name


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        ("report.md", "report.md"),
        ("a\\b", "a_b"),
        ("a\nb\x7f", "a_b_"),
        ("  ", "_"),
        ("..", "_.."),
        ("con.txt", "_con.txt"),
        ("ä" * 128, "ä" * 127),
    ],
)
def test_a_name_that_is_there_already_is_made_safe(there, kept):
    assert rules.safe_name(there) == kept
    assert rules.file_name(kept) == kept


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
    ("klass", "expected"),
    [
        ("working_file", "operational"),
        ("source_document", "operational"),
        ("proof", "operational"),
        ("template", "operational"),
        ("deliverable", "record"),
        ("export_bundle", "record"),
    ],
)
def test_importance_follows_the_class(klass, expected):
    assert rules.importance_of(klass) == expected


@pytest.mark.parametrize(
    ("kind", "head", "expected"),
    [
        ("text/plain", b"abc", "abc"),
        ("Text/Markdown; charset=utf-8", b"# A", "# A"),
        ("application/json", b"{}", "{}"),
        ("application/vnd.a+json", b"{}", "{}"),
        ("text/plain", "ä".encode()[:1] + b"", ""),
        ("text/plain", b"a\xc3", "a"),
        ("text/plain", b"\xef\xbb\xbfabc", "abc"),
        ("text/plain", b"x" * 3_000, "x" * 2_000),
        ("text/plain", b"a\0b", None),
        ("text/plain", b"\xff\xfe", None),
        ("image/png", b"abc", None),
        ("application/octet-stream", b"abc", None),
    ],
)
def test_how_a_text_begins(kind, head, expected):
    assert rules.preview(kind, head) == expected


@pytest.mark.parametrize("text", ["50%", "a_b", "wow!", "Ärger"])
def test_a_search_takes_every_character_as_itself(text):
    literal = text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    assert rules.containing(text) == f"%{literal}%"


@pytest.mark.parametrize("text", ["a" * 64, "SHA256:" + "A" * 64, "  " + "0" * 64])
def test_checksums(text):
    assert len(rules.checksum(text)) == 64


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "a" * 65])
def test_bad_checksums(text):
    with pytest.raises(Invalid, match=r"artifact\.checksum"):
        rules.checksum(text)
