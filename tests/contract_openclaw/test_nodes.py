"""`openclaw node run`, unmodified, as a node of a daemon of ours (gateway contract, 11)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from homarus.flows import first_start
from homarus.testing.daemon import beside
from tests.contract_openclaw.openclaw import OpenClaw, program

LOOKS = 30
"""Each takes seconds: how often its request is looked for."""


class Bench(NamedTuple):
    """`operator`: the command line of whoever owns the gateway; `node`: id of the node."""

    operator: OpenClaw
    node: str
    asked: dict[str, Any]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A node named bench that was approved."""
    found = program()
    home = tmp_path_factory.mktemp("openclaw-node")
    with beside(home / "homarus") as daemon:
        token = (home / "homarus" / "run" / first_start.GATEWAY.file).read_text().strip()
        operator = OpenClaw(found, home / "operator")
        operator.point_at(daemon.url, token)
        port = str(urlsplit(daemon.url).port)
        run = ("node", "run", "--host", "127.0.0.1", "--port", port, "--display-name", "bench")
        with OpenClaw(found, home / "host").beside(token, *run):
            asked = _asked(operator)
            done = operator.run("nodes", "approve", asked["requestId"])
            assert done.code == 0, done.out
            yield Bench(operator, asked["nodeId"], asked)


def _asked(operator: OpenClaw) -> dict[str, Any]:
    for _ in range(LOOKS):
        done = operator.run("nodes", "pending", "--json")
        rows = json.loads(done.out[done.out.index("[") :])
        if rows:
            return dict(rows[0])
    raise AssertionError("the node did not ask")


def test_it_offers_no_more_than_what_can_be_approved(bench: Bench) -> None:
    assert bench.asked["caps"] == ["system"]
    assert bench.asked["commands"] == ["system.run", "system.run.prepare", "system.which"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nodes list", "Paired: 1"),
        ("nodes status --json", '"connected": true'),
        ("nodes describe --node bench", "node-host/node"),
        ("gateway call node.list", '"hostStats"'),
        (
            'nodes invoke --node bench --command system.which --params {"bins":["ls"]}',
            '"ls": "/',
        ),
        ("nodes rename --node bench --name bench", "rename ok"),
    ],
)
def test_commands(bench: Bench, command: str, words: str) -> None:
    done = bench.operator.run(*command.split())
    assert (done.code, words in done.out) == (0, True), done.out


def test_what_was_not_approved(bench: Bench) -> None:
    command = ("nodes", "invoke", "--node", "bench", "--command", "fs.listDir")
    done = bench.operator.run(*command)
    assert (done.code, "not allowed" in done.out) == (1, True), done.out


def test_a_command_runs_there(bench: Bench) -> None:
    """As far as that machine's own rules let it, which are not ours."""
    call = {"nodeId": bench.node, "command": "system.run", "idempotencyKey": "a",
            "params": {"command": ["/bin/echo", "hello"], "runId": "r"}}  # fmt: skip
    done = bench.operator.run("gateway", "call", "node.invoke", "--params", json.dumps(call))
    assert (done.code, '"stdout": "hello\\n"' in done.out) == (0, True), done.out


def test_it_comes_in_by_a_set_up_code(tmp_path: Path) -> None:
    """Minted by its own command line, read by its own node."""
    found = program()
    with beside(tmp_path / "homarus") as daemon:
        token = (tmp_path / "homarus" / "run" / first_start.GATEWAY.file).read_text().strip()
        operator = OpenClaw(found, tmp_path / "operator")
        operator.point_at(daemon.url, token)
        made = _called(operator, "device.pair.setupCode", bootstrapProfile="node")
        run = ("node", "run", "--pair", made["setupCode"], "--display-name", "bench")
        with OpenClaw(found, tmp_path / "host").beside("", *run):
            done = _completion(operator, made["setupId"])
        assert (done["deviceName"], done["access"]) == ("bench", "node")


def _called(operator: OpenClaw, method: str, **params: Any) -> dict[str, Any]:
    done = operator.run("gateway", "call", method, "--params", json.dumps(params), "--json")
    assert done.code == 0, done.out
    return dict(done.data)


def _completion(operator: OpenClaw, setup: str) -> dict[str, Any]:
    for _ in range(LOOKS):
        known = _called(operator, "device.pair.setupStatus", setupId=setup)
        if "completion" in known:
            return dict(known["completion"])
    raise AssertionError("the node did not come in")
