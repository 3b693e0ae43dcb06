"""Several daemons on one host: each has its own home, and none touches another's:
locks, tokens, logs, services."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from homarus.demo.children import Daemon
from tests.support.commands import Ran, Running, Terminal, homarus

PRIVATE = ("run/owner.token", "run/gateway.token", "run/company.token", "run/master.key")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    place = tmp_path_factory.mktemp("two")
    made: list[Running] = []
    try:
        for name in ("first", "second"):
            home = place / name
            made.append(Running(home, Daemon(home, place / f"{name}.log")))
        yield made[0], made[1]
    finally:
        for one in made:
            one.daemon.stop()


def test_each_has_its_own_secrets_and_address(two: tuple[Running, Running]) -> None:
    first, second = two
    for name in PRIVATE:
        a, b = first.home / name, second.home / name
        assert a.read_bytes() != b.read_bytes(), name
        assert a.stat().st_mode & 0o077 == 0
    assert first.daemon.ready.url != second.daemon.ready.url
    identities = [one.json("gateway", "call", "gateway.identity.get") for one in two]
    assert identities[0]["deviceId"] != identities[1]["deviceId"]


def test_what_is_made_in_one_is_not_in_the_other(two: tuple[Running, Running]) -> None:
    first, second = two
    first.json("agent", "create", "pm")
    assert [row["name"] for row in first.json("agent", "list")["agents"]] == ["pm"]
    assert second.json("agent", "list")["agents"] == []


@pytest.mark.parametrize("command", [("status",), ("gateway", "status"), ("gateway", "probe")])
def test_ones_token_opens_nothing_of_the_other(
    two: tuple[Running, Running], command: tuple[str, ...]
) -> None:
    first, second = two
    ran = first("--url", second.daemon.ready.url, "--token", first.owner, *command)
    assert ran.code == 4 and first.owner not in ran.out + ran.err
    own = first("--url", second.daemon.ready.url, "gateway", "status")
    assert (own.code, own.error) == (2, "cli.no_token"), "a home's token goes to its daemon alone"


def test_each_has_its_own_log(two: tuple[Running, Running]) -> None:
    for one, other in (two, reversed(two)):
        text = (one.home / "logs" / "homarus.log").read_text()
        assert one.daemon.ready.url in text and other.daemon.ready.url not in text


def refused(ran: Ran) -> tuple[str, str]:
    assert ran.code != 0
    error = json.loads(ran.err.splitlines()[-1])  # warnings of a slow machine may stand before
    return error["code"], error["error"] + error["remedy"]


def test_a_busy_port_and_a_home_that_is_in_use(
    two: tuple[Running, Running], tmp_path: Path
) -> None:
    first, second = two
    port = second.daemon.ready.url.rpartition(":")[2]
    code, said = refused(homarus(tmp_path / "third", "up", "--port", port, "--json"))
    assert code == "serve.address" and port in said and "--port" in said
    code, said = refused(homarus(first.home, "up", "--port", port, "--json"))
    assert code == "store.locked" and str(first.daemon.pid) in said, "the home is named first"
    assert first("status").code == second("status").code == 0


@pytest.mark.parametrize("manager", ["systemd", "launchd"])
def test_a_service_belongs_to_one_home(tmp_path: Path, manager: str) -> None:
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"),
           "PATH": str(tmp_path), "LOGNAME": "ann"}  # fmt: skip

    def install(home: str, *more: str) -> Ran:
        return Terminal(tmp_path / home)("service", "install", "--manager", manager, *more, env=env)

    assert install("a").code == 0
    other = install("b")
    assert (other.code, other.error) == (5, "service.other_home")
    assert "--name" in other.err
    assert install("b", "--name", "homarus-b").code == 0
    assert install("a").code == 0, "the first one's is as it was"
    assert install("b", "--force").code == 0
    assert install("a").error == "service.other_home"
