"""Frames as a broken or hostile client would send them, from a seed: near to valid, then worse."""

import json
import random
from typing import Any, Final

WORDS: Final = (
    "",
    "a",
    "main",
    "agent:main:main",
    "../..",
    "\x00",
    "é" * 40,
    "😀",
    "x" * 9_000,
    "null",
)
NUMBERS: Final = (0, -1, 1, 2**31, 2**63, -(2**63), 1e308, 0.5)
ODD: Final = (None, True, [], {}, [[]], {"a": {"b": []}}, *WORDS, *NUMBERS)
MAX_DEPTH: Final = 4
MAX_ITEMS: Final = 3
SHORT_MS: Final = 1
"""How long a request that waits does so: the test is not about waiting."""


class Frames:
    """`schema`: the protocol's document; `methods`: those that are called."""

    def __init__(self, seed: int, schema: dict[str, Any], methods: list[str]) -> None:
        self._random = random.Random(seed)
        self._defs = schema["$defs"]
        self._params = {name: schema["methods"][name]["params"] for name in methods}
        self._methods = methods

    def one(self, number: int) -> tuple[str | bytes, bool]:
        """A frame, and whether it must be answered under the id `number`."""
        pick = self._random.random()
        frame = self._request(number)
        if pick < 0.97:
            return json.dumps(frame), True
        text = json.dumps(self._spoiled(frame))
        if pick < 0.98:
            return text, False
        if pick < 0.99:
            return text[: self._random.randrange(len(text) + 1)], False
        return self._random.randbytes(self._random.randrange(1, 400)), False

    def _request(self, number: int) -> dict[str, Any]:
        method = self._random.choice(self._methods)
        params = self._value(self._params[method], MAX_DEPTH)
        if isinstance(params, dict) and self._random.random() < 0.3:
            key = self._random.choice([*params, "odd", "key", "__proto__"])
            params = {**params, key: self._random.choice(ODD)}
        if isinstance(params, dict) and "timeoutMs" in self._properties(method):
            params["timeoutMs"] = SHORT_MS
        frame: dict[str, Any] = {"type": "req", "id": str(number), "method": method}
        if self._random.random() < 0.95:
            frame["params"] = params
        if self._random.random() < 0.02:
            frame["method"] = self._random.choice(("nope", "a.b.c", "connect", "HEALTH"))
        return frame

    def _properties(self, method: str) -> dict[str, Any]:
        schema = self._params[method]
        found = self._defs[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema
        return dict(found.get("properties", {}))

    def _spoiled(self, frame: dict[str, Any]) -> Any:
        key = self._random.choice([*frame, "odd"])
        return self._random.choice(([], frame | {key: self._random.choice(ODD)}, {}, "x", [frame]))

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        """A value that the schema allows, mostly; small."""
        roll = self._random
        if roll.random() < 0.04 or depth == 0:
            return roll.choice(ODD)
        if "$ref" in schema:
            return self._value(self._defs[schema["$ref"].rsplit("/", 1)[-1]], depth)
        for of in ("anyOf", "oneOf"):
            if of in schema:
                return self._value(roll.choice(schema[of]), depth)
        if "enum" in schema:
            return roll.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = roll.choice(kind)
        if kind == "object":
            return self._object(schema, depth - 1)
        if kind == "array":
            items = schema.get("items") or {}
            return [self._value(items, depth - 1) for _ in range(roll.randrange(MAX_ITEMS))]
        plain = {"string": WORDS, "integer": (0, 1, 5, 1_000, -1), "number": NUMBERS,
                 "boolean": (True, False), "null": (None,)}  # fmt: skip
        return roll.choice(plain.get(str(kind), ODD))

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        needed = schema.get("required", ())
        return {
            name: self._value(of, depth)
            for name, of in schema.get("properties", {}).items()
            if name in needed or self._random.random() < 0.25
        }
