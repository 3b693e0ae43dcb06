"""The table of rules in words is whole: every rule, every code that a rule refuses with."""

import ast
from pathlib import Path

import pytest

import homarus
from homarus.kernel.admit import ALWAYS, INTERCEPTORS
from homarus.kernel.explained import RULES, find
from tests.support.refusals import refused

SOURCE = Path(homarus.__file__).parent
OF_GATES = {f"gate-{n}" for n in range(1, 8)}


def refusals() -> set[str]:
    """Codes of all `refuse(code, rule, ...)` in the kernel; those made at run time end in `*`."""
    codes = set()
    for path in sorted((SOURCE / "kernel").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "refuse":
                match node.args[0]:
                    case ast.Constant(value=str(code)):
                        codes.add(code)
                    case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]):
                        codes.add(f"{start}*")
    return codes


def test_every_interceptor_is_explained_and_says_whether_it_holds_always():
    for name, _, observable in INTERCEPTORS:
        rules = OF_GATES if name == "gates" else {name}
        assert rules <= RULES.keys()
        assert {RULES[rule].holds_always for rule in rules} == {observable is ALWAYS}


def test_the_manuals_names_are_there():
    for n in range(1, 7):
        assert f"R{n}" in RULES
    assert {"A", "B", "C", "L0", "L1", "L2", "L3"} | OF_GATES <= RULES.keys()


@pytest.mark.parametrize("code", sorted(refusals()))
def test_every_refusal_of_the_kernel_is_explained(code):
    if not code.endswith("*"):
        assert find(code).id
        return
    known = [word for rule in RULES.values() for word, _ in rule.refused]
    assert any(word.startswith(code[:-1]) for word in known)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_says_what_it_asks_and_what_to_do(rule):
    assert rule.title != rule.manual and rule.asks.endswith(".") and rule.instead.endswith(".")
    assert rule.try_it
    assert all(code and when for code, when in rule.refused)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("R4", "R4"), ("r4", "R4"), (" stop ", "stop"), ("halt", "stop"), ("gate-6", "gate-6"),
        ("R5.replayed", "R5"), ("stop.company", "stop"), ("trust.untrusted", "trust"),
        ("divert.wild_task", "B"), ("wild-task", "B"), ("ptp", "R6"), ("l2", "L2"), ("a", "A"),
    ],
)  # fmt: skip
def test_rules_are_found_by_name_and_by_code(name, rule):
    assert find(name).id == rule


@pytest.mark.parametrize(("name", "near"), [("qouta", "quota"), ("gate6", "gate-6"), ("zzz", "R1")])
def test_unknown_rules_get_the_nearest(name, near):
    with refused("rule.unknown") as caught:
        find(name)
    assert near in caught.value.remedy
