"""The report: whatever the results hold, the page is plain Markdown and hides no gap."""

import json
from pathlib import Path

import pytest

from homarus.demo.jobs import report
from homarus.demo.jobs._job import ROWS_MAX
from homarus.demo.jobs.report import SECTIONS, load
from tests.unit.demo.conftest import write


def result(job: str, **more: object) -> str:
    content = {"job": job, "input": "/data", "summary": f"about {job}", "rows": []} | more
    return json.dumps(content)


def page(directory: Path) -> str:
    out = directory / "report.md"
    assert report.main(["--input", str(directory), "--out", str(out)]) == 0
    return out.read_text()


def test_all_results(tmp_path: Path) -> None:
    for section in SECTIONS:
        write(tmp_path, f"{section.job}.json", result(section.job))
    text = page(tmp_path)
    assert text.startswith("# Report on /data\n")
    assert "10 of 10 pieces of work gave a result." in text
    for section in SECTIONS:
        assert f"\n## {section.title}\n" in text
        assert "about " + section.job.replace("_", "\\_") in text


def test_missing_and_torn_results_are_named(tmp_path: Path) -> None:
    write(tmp_path, "inventory.json", result("inventory"))
    write(tmp_path, "largest.json", result("largest")[:-5])
    write(tmp_path, "words.json", "[" * 100_000)
    write(tmp_path, "todos.json", result("words"))
    write(tmp_path, "secrets.json", "[]")
    write(tmp_path, "languages.json", b"\xff\xfe")
    text = page(tmp_path)
    assert "1 of 10 pieces of work gave a result." in text
    assert "| Largest files | a result that cannot be read |" in text
    assert "| Words per document | a result that cannot be read |" in text
    assert "| Open ends | a result that cannot be read |" in text
    assert "| Suspicious secrets | a result that cannot be read |" in text
    assert "| Git activity | no result |" in text


def test_an_empty_directory(tmp_path: Path) -> None:
    assert "0 of 10 pieces of work gave a result." in page(tmp_path)


def test_tables_are_cut_and_say_so(tmp_path: Path) -> None:
    rows = [{"path": f"f{number:02}", "bytes": number * 1024} for number in range(12)]
    write(tmp_path, "largest.json", result("largest", rows=rows, rows_left_out=30))
    text = page(tmp_path)
    assert "| f09 | 9.0 KiB |" in text
    assert "f10" not in text
    assert "… and 32 more." in text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a|b", "a\\|b"),
        ("<script>", "\\<script\\>"),
        ("[x](http://y)", "\\[x\\](http://y)"),
        ("line\nbreak\r\u2028", "line\\\\nbreak\\\\r\\\\u2028"),
        ("`code` *b* _i_ # ~", "\\`code\\` \\*b\\* \\_i\\_ \\# \\~"),
        ("&lt;", "\\&lt;"),
        ("x" * 200, "x" * 119 + "…"),
    ],
)
def test_text_of_unknown_origin_is_no_markup(tmp_path: Path, hostile: str, shown: str) -> None:
    write(tmp_path, "largest.json", result("largest", rows=[{"path": hostile, "bytes": 1}]))
    assert f"| {shown} | 1 byte |\n" in page(tmp_path)


@pytest.mark.parametrize(
    "odd",
    [
        {"rows": 5},
        {"rows": [5, None, {}]},
        {"rows": [{"path": {"a": 1}, "bytes": "x"}]},
        {"summary": None},
        {"skipped": []},
        {"input": 5},
        {"rows_left_out": "many"},
    ],
)
def test_odd_results_do_not_stop_it(tmp_path: Path, odd: dict[str, object]) -> None:
    write(tmp_path, "largest.json", result("largest", **odd))
    assert "## Largest files" in page(tmp_path)


def test_what_was_not_looked_at_is_said(tmp_path: Path) -> None:
    write(tmp_path, "words.json", result("words", skipped={"links": 3, "binary": 1}))
    assert "Not looked at: binary: 1, links: 3." in page(tmp_path)


def test_load_names_every_job(tmp_path: Path) -> None:
    assert set(load(tmp_path).values()) == {"no result"}
    assert len(load(tmp_path)) == len(SECTIONS) <= ROWS_MAX
