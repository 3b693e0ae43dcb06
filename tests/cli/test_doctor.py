"""Single checks of `homarus doctor`."""

from pathlib import Path

import pytest

from homarus.cli import doctor
from homarus.cli.context import Context
from tests.support.commands import Terminal
from tests.support.scripted_http import Answer, scripted

LIVES = Answer(200, {"version": "0", "serverTime": "2020-01-01T00:00:00.000Z"})
SICK = Answer(503, {"error": "no", "code": "http.503"})


@pytest.mark.parametrize(
    "drift_ms, uncertain_ms, verdict",
    [(0, 1, "ok"), (2_000, 0, "ok"), (2_001, 0, "warn"), (2_050, 60, "ok"), (-9_000, 5, "warn")],
)
def test_clock(drift_ms: float, uncertain_ms: float, verdict: str) -> None:
    assert doctor._clock(drift_ms, uncertain_ms).verdict == verdict


@pytest.mark.parametrize(
    "mode, verdict", [(0o600, "ok"), (0o640, "fail"), (0o604, "fail"), (0o400, "ok")]
)
def test_an_owner_token_that_others_read(tmp_path: Path, mode: int, verdict: str) -> None:
    Terminal(tmp_path).runs("http://127.0.0.1:1")
    (tmp_path / "run" / "owner.token").chmod(mode)
    context = Context()
    context.given_home = tmp_path
    (check,) = doctor.home(context)
    assert check.verdict == verdict


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    context = Context()
    context.given_home = tmp_path / "none"
    assert [check.verdict for check in doctor.home(context)] == ["warn"]
    assert [check.name for check in doctor.disk(context)] == ["disk"]


@pytest.mark.parametrize(
    "answers, verdicts",
    [
        ([LIVES, LIVES, LIVES], {"daemon": "ok", "store": "ok", "clock": "warn"}),
        ([LIVES, LIVES, SICK], {"daemon": "ok", "store": "fail", "clock": "warn"}),
        ([SICK], {"daemon": "fail"}),
    ],
)
def test_what_the_daemon_says(
    homarus: Terminal, answers: list[Answer], verdicts: dict[str, str]
) -> None:
    with scripted(*answers) as server:
        homarus.runs(server.url)
        ran = homarus("doctor", "--json")
    found = {check["name"]: check["verdict"] for check in ran.json["checks"]}
    assert {name: found.get(name) for name in verdicts} == verdicts
    assert ran.code == (1 if "fail" in verdicts.values() else 0)


def test_without_a_daemon_the_other_checks_speak(homarus: Terminal) -> None:
    ran = homarus("doctor")
    assert ran.code == 1
    assert "homarus up" in ran.out
    assert "sandbox" in ran.out
