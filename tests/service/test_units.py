"""Service files: what systemd and launchd read is what was meant."""

import os
import plistlib
import subprocess
from pathlib import Path

import pytest

from homarus.base.errors import Invalid
from homarus.service.units import (
    LAUNCHD_KEYS,
    Description,
    is_untouched,
    label,
    launchd_plist,
    quoted,
    stop_s,
    systemd_unit,
)
from homarus.testing.supervisor import parse
from tests.support.requires import requires

VERIFY_S = 60
PROGRAM = ("/usr/bin/python3", "-P", "-m", "homarus.cli.main", "--home", "/h", "up")
ODD = ("two words", "$HOME", "${HOME}", "%h", ";", "a\"b'c", "back\\slash", "ünï", "#", "~")


def described(**more: object) -> Description:
    given = {"program": PROGRAM, "home": Path("/h")} | more
    return Description(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("--home", "--home"),
        ("/home/a b", '"/home/a b"'),
        ("100%", '"100%%"'),
        ("$HOME", '"$HOME"'),
        ('say "x"', '"say \\"x\\""'),
        ("a\\b", '"a\\\\b"'),
        (";", '";"'),
    ],
)
def test_a_word(word: str, written: str) -> None:
    assert quoted(word) == written


def test_odd_words_come_back_as_they_were() -> None:
    unit = parse(
        systemd_unit(
            described(
                program=(*PROGRAM, *ODD), home=Path("/h %h $x"),
                environment={"PATH": "/a b:/c", "ODD": "".join(ODD)},
            )
        ),
        environ={},
    )  # fmt: skip
    assert unit.argv == (*PROGRAM, *ODD)
    assert unit.environment == {"PATH": "/a b:/c", "ODD": "".join(ODD)}
    assert unit.environment_file == Path("/h %h $x/service.env")


@pytest.mark.parametrize(
    "wrong",
    [
        {"program": ("python3", "x")},
        {"program": ('/opt/"x"/python', "x")},
        {"program": ("/opt/o'brien/python", "x")},
        {"program": (*PROGRAM, "a\nExecStartPre=/bin/evil")},
        {"program": (*PROGRAM, "")},
        {"home": Path("/h\r")},
        {"home": Path("relative")},
        {"home": Path("/h/\udcff")},
        {"home": Path("/h\\")},
        {"environment": {"A": "1\n[Install]"}},
        {"user": "root\nExecStart=x"},
        {"name": "../homarus"},
        {"name": "homarus-"},
        {"name": "homarus-A"},
    ],
    ids=str,
)
def test_what_cannot_be_written(wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid) as caught:
        described(**wrong)
    assert caught.value.code == "service.value"


@pytest.mark.parametrize("scope", ["user", "system"])
def test_systemd_accepts_the_unit(tmp_path: Path, scope: str) -> None:
    """It looks the program up, so its path is read as it was meant."""
    verify = [requires("systemd-analyze"), "verify", f"--{scope}", "--man=no"]
    folder = tmp_path / "a b %h $x"
    folder.mkdir()
    program = folder / "python"
    program.symlink_to("/bin/true")
    user = None if scope == "user" else "root"
    text = systemd_unit(
        described(program=(str(program), *PROGRAM[1:], *ODD), home=folder, user=user)
    )
    assert _verified(tmp_path, verify, text) == (0, "")
    code, words = _verified(tmp_path, verify, text.replace("/python", "/absent"))
    assert code != 0
    assert "not executable" in words
    _, words = _verified(tmp_path, verify, text.replace("WatchdogSec", "WatchdogSecs"))
    assert "'WatchdogSecs'" in words


def _verified(folder: Path, verify: list[str], text: str) -> tuple[int, str]:
    path = folder / "homarus.service"
    path.write_text(text)
    done = subprocess.run(
        [*verify, str(path)],
        capture_output=True, text=True, timeout=VERIFY_S,
        env=os.environ | {"XDG_RUNTIME_DIR": str(folder)},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_system_unit_has_a_user_and_waits_for_the_network() -> None:
    text = systemd_unit(described(user="homarus"))
    assert "\nUser=homarus\n" in text
    assert "\nAfter=network-online.target\n" in text
    assert "\nWantedBy=multi-user.target\n" in text
    own = systemd_unit(described())
    assert "User=" not in own
    assert "network" not in own
    assert "\nWantedBy=default.target\n" in own


KEYS_OF_LAUNCHD = {
    # launchd.plist(5)
    "Label": str, "ProgramArguments": list, "EnvironmentVariables": dict, "RunAtLoad": bool,
    "KeepAlive": bool, "ThrottleInterval": int, "ExitTimeOut": int, "ProcessType": str,
    "Umask": int, "StandardInPath": str, "StandardOutPath": str, "StandardErrorPath": str,
}  # fmt: skip


def test_the_property_list_has_launchds_keys_and_types() -> None:
    program = (*PROGRAM, *ODD, "<&>")
    made = plistlib.loads(
        launchd_plist(described(program=program, environment={"PATH": "/a&b"}, name="homarus-x"))
    )
    assert {key: type(value) for key, value in made.items()} == KEYS_OF_LAUNCHD
    assert dict(LAUNCHD_KEYS) == KEYS_OF_LAUNCHD
    assert made["ProgramArguments"] == list(program)
    assert made["EnvironmentVariables"] == {"PATH": "/a&b"}
    assert made["Label"] == "ai.homarus.x" == label("homarus-x")
    assert made["Umask"] == 0o077
    assert made["ProcessType"] in {"Background", "Standard", "Adaptive", "Interactive"}


@pytest.mark.parametrize("kind", ["systemd", "launchd"])
def test_an_edit_by_hand_is_noticed(kind: str) -> None:
    description = described(drain_s=50.0)
    made = systemd_unit(description).encode() if kind == "systemd" else launchd_plist(description)
    assert is_untouched(made)
    assert stop_s(made) == 80
    for edited in (made + b"\n", made.replace(b"80", b"81"), b"\n" + made[1:], b"", b"[Unit]\n"):
        assert not is_untouched(edited)
