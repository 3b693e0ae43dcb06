"""Logs: JSON in a private file, plain words on stderr, no secret and no local value in them."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog

from homarus.base.logs import configure

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
