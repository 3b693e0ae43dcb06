"""A pipeline's YAML: what is read, and how each mistake is told: file, line, column, expected."""

import pytest

from homarus.base.errors import Invalid
from homarus.pipelines import service
from homarus.pipelines.text import MAX_STAGES, MAX_TEXT, Known, parse

GOOD = """\
id: book
title: A book
stages:
  - id: write
    owner: writer
    output: [text]
    done: ["it is written"]
  - id: edit
    owner: editor
    gates: [5, 7]
  - {id: print, owner: editor, type: print_run}
feedback:
  - {from: edit, to: write}
"""


def test_a_plain_file():
    plan = parse(GOOD)
    assert (plan.id, plan.title, [s.id for s in plan.stages]) == (
        "book", "A book", ["write", "edit", "print"],
    )  # fmt: skip
    assert plan.transitions == (("write", "edit"), ("edit", "print"))
    assert plan.feedback == (("edit", "write"),)
    assert [s.type for s in plan.stages] == ["write", "edit", "print_run"]
    assert plan.stages[1].gates == (5, 7)
    assert plan.before("print") == ("edit",)


def test_transitions_give_the_order_of_work():
    text = GOOD.replace(
        "feedback:\n  - {from: edit, to: write}\n",
        "transitions:\n  - {from: print, to: edit}\n  - {from: write, to: print}\n",
    )
    assert [s.id for s in parse(text).stages] == ["write", "print", "edit"]


@pytest.mark.parametrize("name", service.SHIPPED)
def test_what_is_shipped_is_read(name):
    plan = service.find_shipped(name).definition
    assert plan.id == name
    assert all(stage.done and stage.output for stage in plan.stages)


def test_product_dev_is_the_manuals():
    plan = service.find_shipped("product-dev").definition
    assert [(s.id, s.owner) for s in plan.stages] == [
        ("requirement-audit", "coo"), ("prd", "pm"), ("technical-design", "scoder"),
        ("development", "coder"), ("acceptance", "pm"),
    ]  # fmt: skip
    assert [s.gates for s in plan.stages] == [(), (4,), (5,), (6,), (7,)]


STAGE = "  - {id: a, owner: writer}\n"
HEAD = "id: book\ntitle: t\nstages:\n"


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "expected"),
    [
        ("", "empty", 1, 1, "keys id"),
        ("# nothing\n", "empty", 1, 1, "keys id"),
        ("[1, 2]\n", "kind", 1, 1, "keys id"),
        ("id: [", "yaml", 2, 1, "YAML"),
        ("title: t\n\tx: y\n", "yaml", 2, 1, "YAML"),
        (HEAD.replace("title", "titel") + STAGE, "key", 2, 1, "`title`"),
        (HEAD + "  - {id: a, onwer: writer}\n", "key", 4, 13, "`owner`"),
        (HEAD + STAGE + "title: again\n", "key", 5, 1, "it once"),
        (HEAD.replace("title: t\n", "") + STAGE, "missing", 1, 1, "`title: …`"),
        (HEAD + "  - {id: a}\n", "missing", 4, 5, "`owner: …`"),
        ("id: book\ntitle: t\nstages: []\n", "value", 3, 9, "at least one stage"),
        ("id: book\ntitle: t\nstages: x\n", "kind", 3, 9, "a list"),
        (HEAD.replace("book", "No Name") + STAGE, "value", 1, 5, "product-dev"),
        (HEAD + STAGE + STAGE, "stage", 5, 5, "other ids"),
        (HEAD + "  - {id: a, owner: wrighter}\n", "role", 4, 20, "writer"),
        (HEAD + "  - {id: a, owner: writer, agent: adda}\n", "agent", 4, 35, "ada"),
        (HEAD + "  - {id: a, owner: writer, gates: [8]}\n", "gate", 4, 36, "1 to 7"),
        (HEAD + STAGE + "feedback: [{from: a, to: b}]\n", "stage", 5, 26, "a"),
        (HEAD + STAGE + "  - {id: b, owner: writer}\ntransitions:\n  - {from: a, to: b}\n"
         "  - {from: b, to: a}\n", "cycle", 7, 5, "feedback"),
        (HEAD + STAGE + "transitions: [{from: a, to: a}]\n", "cycle", 5, 15, "feedback"),
        ("x: &a [1]\ny: *a\n", "anchor", 1, 4, "written out"),
        ("[" * 9 + "]" * 9, "deep", 1, 9, "levels"),
        (HEAD + "".join(f"  - {{id: s{n}, owner: writer}}\n" for n in range(MAX_STAGES + 1)),
         "many", 4 + MAX_STAGES, 5, "at most 50"),
        (HEAD + "".join(f"  - {{id: s{n}, owner: writer}}\n" for n in range(10_000)),
         "too_large", 1, 1, "shorter"),
        (HEAD + "  - x\n" * 10_000, "many", None, None, "at most 50 stages"),
        ("#" * (MAX_TEXT + 1), "too_large", 1, 1, "shorter"),
        ("title: \x00\n", "yaml", None, None, "YAML"),
        ("- !!python/object/apply:os.system [x]\n", "kind", 1, 1, "keys"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_place(text, code, line, column, expected):
    known = Known(frozenset({"writer", "editor"}), frozenset({"ada"}))
    with pytest.raises(Invalid) as caught:
        parse(text, name="book.yaml", known=known)
    error = caught.value
    assert error.code == f"pipeline.{code}"
    if line is not None:
        assert (error.details["line"], error.details["column"]) == (line, column)
        assert error.message.startswith(f"book.yaml:{line}:{column}: ")
    assert expected in error.remedy
