"""Tags and links of a text, as tables; and that a hostile text costs no time."""

import time

import pytest

from homarus.company import notes
from homarus.company.notes import Facets, facets, title_key

LONG = 500_000


@pytest.mark.parametrize(
    "text, tags",
    [
        ("", ()),
        ("a #Sales note, #q3/plan.", ("q3/plan", "sales")),
        ("# Heading\n## Another", ()),
        ("see x#part, a/#b and &#39; too", ()),
        ("#1 is no tag, #x1 is", ("x1",)),
        ("`#code` and\n```\n#fenced\n```\n#real", ("real",)),
        ("```\n#never closed", ()),
        ("---\ntags: [Sales, '#q3']\n---\ntext #more", ("more", "q3", "sales")),
        ("---\ntags: a, b c\n---\n", ("a", "b", "c")),
        ("---\r\ntags:\r\n  - one\r\n  - two/x\r\n---\r\n", ("one", "two/x")),
        ("---\ntags: [1, null, 'not a tag!']\n---\n", ("1",)),
        ("---\ntags: {a: b}\n---\n#x", ("x",)),
        ("---\n: : no yaml [\n---\n#x", ("x",)),
        ("---\na: &x [1]\ntags: [*x]\n---\n#y", ("y",)),
        ("text\n---\ntags: [late]\n---\n", ()),
        ('{"channel": "#general"}', ()),
        ("[1, 2]", ()),
        ("{not json #tag}", ("tag",)),
        ("#" + "a" * 64, ("a" * 64,)),
        ("#Straße #ÉTÉ", ("straße", "été")),
    ],
)
def test_tags(text, tags):
    assert facets(text).tags == tags


@pytest.mark.parametrize(
    "text, links",
    [
        ("[[Price list]] and [[price  LIST|again]] and [[Other]]", ("Price list", "Other")),
        ("[[]] [[ ]] [[a\nb]] [x] [[a[b]]]", ()),
        ("`[[code]]`\n~~~\n[[fenced]]\n~~~", ()),
        ("[[" + "x" * 301 + "]]", ()),
        ("---\nfrom: '[[Front]]'\n---\n[[Body]]", ("Body",)),
    ],
)
def test_links(text, links):
    assert facets(text).links == links


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("Price List", "price   list ", True),
        ("Straße", "STRASSE", True),
        ("Price List", "PriceList", False),
    ],
)
def test_titles_that_are_one(one, other, same):
    assert (title_key(one) == title_key(other)) is same


def test_a_text_has_so_many_tags_and_links_and_no_more():
    made = facets(" ".join(f"#t{n} [[l{n}]]" for n in range(1_000)))
    assert (len(made.tags), len(made.links)) == (notes.MAX_TAGS, notes.MAX_LINKS)
    assert made.links[:2] == ("l0", "l1")


def test_no_text_is_no_facets():
    assert facets(None) == Facets()


@pytest.mark.parametrize("piece", ["`", "```\n", "[[", "#", "[[a|", "---\n", "a", "]]", "~~~"])
def test_a_hostile_text_is_read_quickly(piece):
    """A generous bound: quadratic work would take minutes."""
    began = time.process_time()
    facets(piece * (LONG // len(piece)))
    assert time.process_time() - began < 2.0
