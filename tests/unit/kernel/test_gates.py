"""The seven gates as pure functions: each passed, diverted and blocked, with exact boundaries."""

import pytest

from homarus.kernel.classifier import Scores, classify, coverage, words
from homarus.kernel.gates import (
    CompanySeen,
    Covering,
    Outcome,
    Stage,
    TaskAsked,
    evaluate,
)

THRESHOLD = 3.0
ROSTER = {
    "coo": ("carl",),
    "pm": ("paula",),
    "scoder": ("sara",),
    "coder": ("cody",),
}
STAGE = Stage("R-1", "product-dev", "development", (6,))


def asked(title="do it", *labels, **more):
    return TaskAsked(
        **(
            {"type": "any_work", "title": title, "labels": frozenset(labels)}
            | {"scores": classify(title)}
            | more
        )
    )


def seen(**more):
    return CompanySeen(**({"threshold": THRESHOLD, "experts": ROSTER} | more))


CASES = [
    # name, task, company, letters of the seven verdicts, level
    ("ordinary", asked("Fix the login page"), seen(), "ppppppp", 0),
    ("declared capability", asked(capability="a.b"), seen(), "psspppp", 0),
    ("declared, not registered", asked("x", "new-product", capability="a.b"),
     seen(registered=False, product_dev=True), "updpppp", 0),
    ("found above", asked(), seen(found=("a.b", 3.001)), "psspppp", 0),
    ("found at the threshold", asked(), seen(found=("a.b", 3.0)), "upppppp", 0),
    ("hit skips a new product", asked("x", "new-product", capability="a.b"),
     seen(product_dev=True), "psspppp", 0),
    ("hit, yet governance", asked("x", "governance", capability="a.b"), seen(), "pssdppp", 3),
    ("new feature, no card", asked("x", "new-feature"), seen(), "ppppppp", 0),
    ("new feature, by words", asked("Implement new feature: dark mode"), seen(), "ppppppp", 0),
    ("research, weak", asked("Deep research on parsers"), seen(), "puppppp", 0),
    ("new product, label", asked("x", "new-product"), seen(product_dev=True), "ppdpppp", 0),
    ("new product, nobody to do it", asked("x", "new-product"), seen(), "ppupppp", 0),
    ("type that starts", asked(type="new_product"),
     seen(covering=Covering("product-dev", "a", starts=True)), "ppdpppp", 0),
    ("its run is done", asked("x", "new-product", run_done=True), seen(product_dev=True),
     "ppppppp", 0),
    ("governance, label", asked("x", "governance"), seen(), "pppdppp", 3),
    ("governance, type", asked(type="agent_rules"), seen(), "pppdppp", 3),
    ("governance, target", asked(target="doc:AGENTS.md"), seen(governed_target=True),
     "pppdppp", 3),
    ("governance, words", asked("Modify agent onboarding process"), seen(), "pppdppp", 3),
    ("governance, already the coo's", asked("x", "governance", role="coo"), seen(),
     "ppppppp", 3),
    ("governance, words, no coo", asked("Modify agent onboarding process"), seen(experts={}),
     "pppuppp", 0),
    ("governance, label, no coo", asked("x", "governance"), seen(experts={}), "ppppppp", 3),
    ("governance, at the threshold", asked(scores=Scores(governance=3.0)), seen(), "pppuppp", 0),
    ("governance, above", asked(scores=Scores(governance=3.001)), seen(), "pppdppp", 3),
    ("high availability for pm", asked("design high-availability scheduling system", role="pm"),
     seen(), "ppppdpp", 1),
    ("for scoder itself", asked("design high-availability scheduling system", role="scoder"),
     seen(), "ppppppp", 0),
    ("nobody holds scoder", asked("design high-availability scheduling system", role="pm"),
     seen(experts={"pm": ("paula",)}), "ppppppp", 0),
    ("nobody named", asked("design high-availability scheduling system"), seen(), "ppppppp", 0),
    ("a person does it", asked("design high-availability scheduling system", role="pm",
                               person=True), seen(), "ppppppp", 0),
    ("role, at the threshold", asked(role="pm", scores=Scores((("scoder", 3.0),))), seen(),
     "ppppupp", 0),
    ("role, above", asked(role="pm", scores=Scores((("scoder", 3.001),))), seen(), "ppppdpp", 1),
    ("as much its own", asked(role="pm", scores=Scores((("scoder", 4.0), ("pm", 4.0)))), seen(),
     "ppppupp", 0),
    ("declared domain", asked(role="pm", domain="scoder"), seen(), "ppppdpp", 1),
    ("declared domain, solo", asked("x", "solo", role="pm", domain="scoder"), seen(),
     "ppppbpp", 1),
    ("solo, by words", asked("design high-availability scheduling system", "no-dispatch",
                             role="pm"), seen(), "ppppbpp", 1),
    ("chosen by an operator", asked("design high-availability scheduling system", role="pm",
                                    chosen=True), seen(), "ppppupp", 0),
    ("chosen, yet declared", asked(role="pm", domain="scoder", chosen=True), seen(),
     "ppppdpp", 1),
    ("covered, not started", asked(), seen(covering=Covering("product-dev", "prd")),
     "pppppbp", 2),
    ("covered, a stage of it", asked(stage=STAGE), seen(covering=Covering("product-dev", "prd")),
     "ppppppp", 0),
    ("a stage is nobody else's", asked("design high-availability scheduling system", role="pm",
                                       stage=STAGE), seen(), "ppppppp", 0),
    ("assets", asked(assets=("sop/x.md",)), seen(), "ppppppp", 0),
    ("declared level", asked(level=2), seen(), "ppppppp", 2),
    ("label L3", asked("x", "l3"), seen(), "ppppppp", 3),
    ("risk", asked("x", "risk:money"), seen(), "ppppppp", 3),
    ("the highest wins", asked("x", "l2", role="pm", domain="scoder"), seen(), "ppppdpp", 2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "company", "letters", "level"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_verdicts(task, company, letters, level):
    found = evaluate(task, company)
    assert (found.letters, found.level) == (letters, level)


def test_what_holds_a_task_says_why_and_what_to_do():
    for _, task, company, letters, _level in CASES:
        found = evaluate(task, company)
        if found.held is not None:
            assert found.held[1].why
            assert found.held[1].remedy, letters


def test_a_diversion_names_where_to_and_what_it_saw():
    found = evaluate(asked("design high-availability scheduling system", role="pm"), seen())
    verdict = found.gate(5)
    assert (verdict.outcome, verdict.to) == (Outcome.DIVERT, "scoder")
    assert verdict.evidence == {"domain": "scoder", "score": 3.5, "from": "pm"}
    assert found.evidence["5"]["to"] == "scoder"


@pytest.mark.parametrize(
    ("intent", "of", "score"),
    [
        ("create project card", "project-card.cli Project card CLI", 4.0),
        ("Count files", "files.count Count the files", 4.0),
        ("count all the files of a folder", "files.count Count the files", 2.667),
        ("Deploy", "app.deploy Deploy", 2.0),
        ("", "app.deploy Deploy", 0.0),
        ("create", "app.create Create", 0.0),
    ],
)
def test_coverage(intent, of, score):
    assert round(coverage(intent, words(of)), 3) == score


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Redesign the architectures", ()),
        ("ARCHITECTURE", (("scoder", 2.0),)),
        ("high_availability", (("scoder", 2.0),)),
        ("highavailability", ()),
        ("the brand new logo", (("brand", 1.0),)),
        ("design", ()),
    ],
)
def test_words_are_whole_and_in_any_case(text, found):
    assert classify(text).roles == found


def test_a_long_description_never_decides_alone():
    text = "architecture high availability system design technical design failover sharding " * 20
    scores = classify("Do it", text)
    assert scores.best_role == ("scoder", 1.0)
    assert classify("Review the architecture", text).best_role == ("scoder", 3.0)
