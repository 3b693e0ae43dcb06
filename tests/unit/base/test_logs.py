"""Logs: JSON in a private file, plain words on stderr, no secret and no local value in them."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog

from homarus.base.logs import QUIET, configure, set_level

SECRET = "ec_" + "0123456789abcdef" * 3


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "homarus.log").read_text().splitlines()]


def test_a_line_is_json_without_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close = configure(tmp_path)
    structlog.get_logger("unit").warning("used", token=SECRET, text=f"got {SECRET}", n=1)
    logging.getLogger("library").warning("header Bearer %s", "abcdef")
    structlog.get_logger("unit").debug("too quiet")
    close()
    first, second = lines(tmp_path)
    assert (first["logger"], first["level"], first["event"]) == ("unit", "warning", "used")
    assert first["n"] == 1
    assert first["at"].endswith("Z")
    assert second["logger"] == "library"
    assert "abcdef" not in second["event"]
    assert SECRET not in (tmp_path / "homarus.log").read_text()
    printed = capsys.readouterr().err
    assert "warning unit used" in printed
    assert SECRET not in printed


@pytest.mark.parametrize(
    ("name", "level", "heard"),
    [
        *((f"{first}.connection", "debug", ["warning", "error"]) for first in sorted(QUIET)),
        ("library", "debug", ["info", "warning", "error"]),
        ("library", "warning", ["warning", "error"]),
        ("homarus.unit", "debug", ["debug", "info", "warning", "error"]),
    ],
)
def test_no_library_is_heard_below_info_and_none_that_speaks_a_protocol_below_warning(
    tmp_path: Path, name: str, level: str, heard: list[str]
) -> None:
    close = configure(tmp_path, level, stderr=False)
    library = logging.getLogger(name)
    by_themselves = [logging.NOTSET] if name.startswith("homarus") else [logging.NOTSET, 1]
    try:
        for own in by_themselves:
            library.setLevel(own)
            set_level(level)
            for how in ("debug", "info", "warning", "error"):
                getattr(library, how)("said %s", how)
    finally:
        library.setLevel(logging.NOTSET)
        close()
    told = [line["level"] for line in lines(tmp_path)]
    if level == "warning":
        assert "debug" not in told and told[: len(heard)] == heard
    else:
        assert told == heard * len(by_themselves)


def test_our_own_loggers_are_told_apart_from_those_of_the_same_name(tmp_path: Path) -> None:
    close = configure(tmp_path, "debug", stderr=False)
    structlog.get_logger("mcp").debug("ours")
    structlog.get_logger("homarus.outbox").debug("by its module")
    logging.getLogger("mcp").debug("the library's")
    close()
    assert [(line["logger"], line["event"]) for line in lines(tmp_path)] == [
        ("mcp", "ours"), ("outbox", "by its module"),
    ]  # fmt: skip


def test_a_trace_has_frames_but_no_local_variables(tmp_path: Path) -> None:
    close = configure(tmp_path, stderr=False)
    hidden = "value-of-a-local"
    try:
        raise ValueError("password=hunter2")
    except ValueError as error:
        structlog.get_logger("unit").error("failed", exc_info=error)
        logging.getLogger("library").exception("failed too")
    close()
    text = (tmp_path / "homarus.log").read_text()
    assert hidden not in text
    assert "hunter2" not in text
    assert all("test_logs.py" in line["trace"] for line in lines(tmp_path))


def test_the_file_is_private_and_the_old_handlers_come_back(tmp_path: Path) -> None:
    before = logging.getLogger().handlers[:]
    close = configure(tmp_path)
    assert (tmp_path / "homarus.log").stat().st_mode & 0o777 == 0o600
    close()
    assert logging.getLogger().handlers == before


def test_what_json_cannot_hold_is_shown_by_its_representation(tmp_path: Path) -> None:
    close = configure(tmp_path, stderr=False)
    structlog.get_logger("unit").info("odd", value=object, path=tmp_path)
    close()
    assert "object" in lines(tmp_path)[0]["value"]
