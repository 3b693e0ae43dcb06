"""The protocol as JSON Schema: it accepts what the gateway accepts (gateway contract, 1)."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from homarus.gateway.ws import frames
from homarus.gateway.ws.connection import decoder
from homarus.gateway.ws.methods.table import methods
from homarus.gateway.ws.schema import document
from homarus.testing.daemon import Daemon
from tests.test_one_door import least

ALL = methods()
DOCUMENT = document(ALL)
OPEN = {"Anything"}
"""Parameters of methods that are not built: nothing is done with them."""


def closed(schema: Any, name: str) -> list[str]:
    found = []
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("additionalProperties") is not False:
            found.append(name)
        for value in schema.values():
            found += closed(value, name)
    return found


def test_every_schema_is_closed() -> None:
    left = {name: schema for name, schema in DOCUMENT["$defs"].items() if name not in OPEN}
    assert [name for name, schema in left.items() if closed(schema, name)] == []
    assert set(DOCUMENT["methods"]) == {*ALL, "connect"}


def accepts(name: str, params: Any) -> bool:
    schema = DOCUMENT["methods"][name]["params"] | {"$defs": DOCUMENT["$defs"]}
    return bool(jsonschema_rs.is_valid(schema, params))


BUILT = sorted(row.name for row in ALL.values() if row.advertised)


@pytest.mark.parametrize("name", BUILT)
def test_schema_and_decoder_agree(name: str) -> None:
    good = least(ALL[name].params)
    for params in (good, good | {"odd property": 1}, *({**good, key: [[1]]} for key in good)):
        frame = frames.Request("req", "1", name, msgspec.Raw(frames.encoded(params)))
        try:
            frames.params_of(frame, decoder(ALL[name]))
            decoded = True
        except frames.Fault:
            decoded = False
        assert accepts(name, params) is decoded, params


async def test_anybody_may_read_it(daemon: Daemon) -> None:
    reply = await daemon.anybody.get("/api/gateway.json")
    assert reply.json()["methods"]["chat.send"]["scope"] == "operator.write"
    assert reply.headers["content-type"] == "application/schema+json"
    assert (await daemon.anybody.post("/api/gateway.json")).status_code == 405
