"""Input schemas: which are refused, and what arguments are told."""

from typing import Any

import pytest

from homarus.base.errors import Invalid
from homarus.kernel import schemas

DEEP: dict[str, Any] = {"type": "object"}
for _ in range(15):
    DEEP = {"type": "object", "properties": {"a": DEEP}}

BOMB = {
    "type": "object",
    "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(9)}
    | {"d9": {"type": "string"}},
    "properties": {"a": {"$ref": "#/$defs/d0"}},
}


@pytest.mark.parametrize(
    "schema, at, said",
    [
        ({}, "/type", "takes an object"),
        ({"type": "string"}, "/type", "takes an object"),
        ({"type": "object", "properties": []}, "/properties", "cannot compile"),
        ({"type": "object", "required": "a"}, "/required", "cannot compile"),
        ({"type": "object", "properties": {"a": {"type": "txt"}}}, "/properties/a/type", "cannot"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "/properties/a/pattern", "can"),
        (
            {"type": "object", "properties": {"a": {"pattern": "(?=a)"}}},
            "/properties/a/pattern",
            "",
        ),
        ({"type": "object", "$schema": "https://example.com/my"}, "/$schema", "draft"),
        ({"type": "object", "$ref": "https://example.com/x"}, "/$ref", "another document"),
        ({"type": "object", "$ref": "other.json#/a"}, "/$ref", "another document"),
        ({"type": "object", "$ref": "#/$defs/none"}, "/$ref", "leads nowhere"),
        ({"type": "object", "$ref": "#"}, None, "contains itself"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, None, "contains itself"),
        ({"type": "object", "$id": "https://example.com/a"}, "/$id", "not offered"),
        ({"type": "object", "$dynamicRef": "#a"}, "/$dynamicRef", "not offered"),
        (BOMB, None, "contains itself"),
        (DEEP, None, "deeper"),
        ({"type": "object", "enum": [{"a": n} for n in range(5_000)]}, None, "larger"),
        ({"type": "object", "title": "x" * 70_000}, "/", "more than 65536 bytes"),
    ],
)
def test_schemas_that_are_refused(schema: dict[str, Any], at: str | None, said: str) -> None:
    with pytest.raises(schemas.Fault, match=said) as caught:
        schemas.check(schema)
    assert at is None or schemas.pointer(caught.value.path) == at
    with pytest.raises(Invalid) as refused:
        schemas.need(schema)
    assert refused.value.code == "capability.schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"},
        {"type": "object", "$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"type": "object", "properties": {"$ref": {"type": "string"}}},
        {"type": "object", "$defs": {"a/b": {"type": "string"}},
         "properties": {"x": {"$ref": "#/$defs/a~1b"}}},
    ],
)  # fmt: skip
def test_schemas_that_are_taken(schema: dict[str, Any]) -> None:
    assert schemas.faults(schemas.check(schema), {}) == []


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"n": 1}, []),
        ({"n": 10, "words": ["a"]}, []),
        ({"n": 0}, ["/n: 0 is less than the minimum of 1"]),
        ({"n": 11}, ["/n: 11 is greater than the maximum of 10"]),
        ({}, ['/: "n" is a required property']),
        ({"n": 1, "words": ["a", 2]}, ['/words/1: 2 is not of type "string"']),
        ([], ['/: [] is not of type "object"']),
    ],
)
def test_arguments(arguments: Any, said: list[str]) -> None:
    text = schemas.check(
        {
            "type": "object",
            "required": ["n"],
            "properties": {
                "n": {"type": "integer", "minimum": 1, "maximum": 10},
                "words": {"type": "array", "items": {"type": "string"}},
            },
        }
    )
    assert schemas.faults(text, arguments) == said


def test_as_many_faults_as_are_told() -> None:
    text = schemas.check({"type": "object", "additionalProperties": {"type": "string"}})
    assert len(schemas.faults(text, {f"k{n}": n for n in range(50)})) == schemas.MAX_FAULTS


def test_a_pattern_takes_linear_time() -> None:
    """A backtracking engine would need 2^40 steps for this."""
    text = schemas.check({"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}})
    assert len(schemas.faults(text, {"a": "a" * 40 + "!"})) == 1
