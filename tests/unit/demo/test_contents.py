"""Languages, licences, dependencies and secrets: tables of what they find in which text."""

import json
from pathlib import Path
from typing import Any

import pytest

from homarus.demo.jobs import dependencies, languages, licences, secrets
from homarus.demo.jobs._languages import BY_SUFFIX
from tests.unit.demo.conftest import write


@pytest.mark.parametrize(
    ("suffix", "text", "expected"),
    [
        (".py", "", (0, 0, 0)),
        (".py", "x = 1\n# c\n\n   \n  # d\ny = '#'  # e\n", (2, 2, 2)),
        (".py", '"""Doc\nstring."""\n', (2, 0, 0)),
        (".c", "/* one\n two\n\n */\nint x; /* y */\n// z\n", (1, 4, 1)),
        (".c", "/* a */ int x;\n/* b */\n", (1, 1, 0)),
        (".c", "/* open\nint x;\n", (0, 2, 0)),
        (".html", "<!-- a\nb -->\n<p>\n", (1, 2, 0)),
        (".sql", "-- a\nselect 1; -- b\n", (1, 1, 0)),
        (".lua", "--[[ a\nb ]]\n-- c\nx()\n", (1, 3, 0)),
        (".json", "{\n# not a comment\n}\n", (3, 0, 0)),
    ],
)
def test_lines_by_kind(suffix: str, text: str, expected: tuple[int, int, int]) -> None:
    assert languages.lines_by_kind(text, BY_SUFFIX[suffix]) == expected


def test_languages_by_suffix_name_and_first_line(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "x\n")
    write(tmp_path, "script", "#!/usr/bin/env python3.11\nx\n")
    write(tmp_path, "run", "#!/bin/sh -eu\nx\n")
    write(tmp_path, "Makefile", "# c\nall:\n")
    write(tmp_path, "plain", "no language\n")
    write(tmp_path, "b.xyz", "x\n")
    result = languages.work(tmp_path)
    rows = {row["language"]: (row["files"], row["code"], row["comment"]) for row in result.rows}
    assert rows == {"Python": (2, 2, 1), "Shell": (1, 1, 1), "Make": (1, 1, 1)}
    assert result.skipped["no known language"] == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# SPDX-License-Identifier: Apache-2.0\n", "Apache-2.0"),
        ("/* SPDX-License-Identifier: GPL-2.0-only OR MIT */", "GPL-2.0-only OR MIT"),
        ("# Licensed under the Apache License, Version 2.0 (the", "Apache-2.0"),
        ("// under the terms of the GNU General\n// Public License", "GPL"),
        (" * GNU Lesser General Public License", "LGPL"),
        ("# GNU Affero General Public License", "AGPL"),
        ("Permission is hereby granted, free of charge, to", "MIT"),
        ("Redistribution and use in source and binary forms", "BSD"),
        ("# Copyright 2026 Somebody\n", None),
        ("# a licence to kill\n", None),
    ],
)
def test_licence_of(text: str, expected: str | None) -> None:
    assert licences.licence_of(text) == expected


def test_licences(tmp_path: Path) -> None:
    write(tmp_path, "LICENSE", "Mozilla Public License Version 2.0\n")
    write(tmp_path, "a/COPYING.txt", "unknown\n")
    write(tmp_path, "with.py", "#!/bin/x\n# SPDX-License-Identifier: MIT\nx = 1\n")
    write(tmp_path, "without.c", "int x; // (c) 2026\n")
    write(tmp_path, "late.py", "x = 1\n" * 40 + "# SPDX-License-Identifier: MIT\n")
    write(tmp_path, "empty.py")
    write(tmp_path, "data.json", "{}\n")
    result = licences.work(tmp_path)
    assert [(row["path"], row["licence"], row["copyright"]) for row in result.rows] == [
        ("late.py", None, False),
        ("without.c", None, True),
        ("with.py", "MIT", False),
    ]
    assert result.more["licence_files"] == [
        {"path": "LICENSE", "licence": "MPL-2.0"},
        {"path": "a/COPYING.txt", "licence": None},
    ]
    assert result.summary == "2 of 3 source files have no licence header; the others: MIT (1)"


PYPROJECT = """
[project]
dependencies = ["httpx[http2]>=1,<2 ; python_version > '3'", "tzdata", "b (>=2)"]
[project.optional-dependencies]
pg = ["psycopg>=3"]
[build-system]
requires = ["hatchling"]
[dependency-groups]
test = ["pytest>=9", {include-group = "lint"}]
[tool.poetry.dependencies]
flask = "^2"
local = {path = "../x"}
"""
CARGO = """
[dependencies]
serde = "1"
tokio = { version = "1.2", features = ["full"] }
[dev-dependencies]
quick = "2"
[target.'cfg(unix)'.dependencies]
nix = "0.2"
[workspace.dependencies]
shared = "3"
"""
GO = """module x
go 1.22
require example.org/one v1.2.3
require (
	example.org/two v0.1.0 // indirect
	// a comment
	example.org/three/v2 v2.0.0
)
replace example.org/one => ../one
"""


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (
            dependencies.pyproject,
            PYPROJECT,
            {
                ("httpx", ">=1,<2", "run"),
                ("tzdata", "", "run"),
                ("b", ">=2", "run"),
                ("psycopg", ">=3", "extra pg"),
                ("hatchling", "", "build"),
                ("pytest", ">=9", "group test"),
                ("flask", "^2", "run"),
                ("local", "", "run"),
            },
        ),
        (
            dependencies.requirements,
            "# c\n-r other.txt\n--index-url x\na==1 --hash=sha256:00 \\\n  --hash=sha256:11\n"
            "b>=2  # why\n\nc[x]~=3 ; sys_platform == 'win32'\n",
            {("a", "==1", "run"), ("b", ">=2", "run"), ("c", "~=3", "run")},
        ),
        (
            dependencies.package_json,
            '{"dependencies": {"a": "^1"}, "devDependencies": {"@b/c": "*"},'
            ' "peerDependencies": 5}',
            {("a", "^1", "run"), ("@b/c", "*", "development")},
        ),
        (
            dependencies.cargo,
            CARGO,
            {
                ("serde", "1", "run"),
                ("tokio", "1.2", "run"),
                ("quick", "2", "development"),
                ("nix", "0.2", "run"),
                ("shared", "3", "workspace"),
            },
        ),
        (
            dependencies.go_mod,
            GO,
            {
                ("example.org/one", "v1.2.3", "run"),
                ("example.org/two", "v0.1.0", "indirect"),
                ("example.org/three/v2", "v2.0.0", "run"),
            },
        ),
        (dependencies.package_json, "[]", set()),
        (dependencies.package_json, '"text"', set()),
        (dependencies.pyproject, "project = 5\ntool = []\n", set()),
    ],
)
def test_manifests(read: Any, text: str, expected: set[tuple[str, str, str]]) -> None:
    assert set(read(text)) == expected


def test_dependencies(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", PYPROJECT)
    write(tmp_path, "requirements/dev.txt", "tzdata\n")
    write(tmp_path, "web/package.json", json.dumps({"dependencies": {"a": "1"}}))
    write(tmp_path, "broken/package.json", "{")
    write(tmp_path, "deep/package.json", "[" * 100_000)
    write(tmp_path, "broken/pyproject.toml", "= 1")
    write(tmp_path, "notes.txt", "not-a-requirement\n")
    result = dependencies.work(tmp_path)
    assert result.totals == {"declared": 10, "distinct": 9, "manifests": 6}
    assert {problem["path"] for problem in result.more["problems"]} == {
        "broken/package.json",
        "broken/pyproject.toml",
        "deep/package.json",
    }
    assert result.summary == (
        "9 dependencies in 6 manifests: 1 Node, 8 Python; 3 manifests could not be read"
    )


RANDOM = "q7Xw9ZpL2vRt5KmN8bYc"
"""Made by hand for this test; opens nothing."""
# Put together here, so that no scanner takes this file for a leak.
AWS, GITHUB = "AKIA" + "QWERTYUIOPASDFGH", "ghp_" + RANDOM * 2
PEM = "-----BEGIN " + "RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"key: {AWS}", [("AWS access key", AWS)]),
        (f"x={GITHUB} y", [("GitHub token", GITHUB)]),
        (f'token = "{GITHUB}"', [("GitHub token", GITHUB)]),
        (PEM, [("private key", PEM)]),
        (f"db: postgres://me:{RANDOM}@host/x", [("password in a URL", RANDOM)]),
        (f'API_KEY = "{RANDOM}"', [("named value of high entropy", RANDOM)]),
        (f"client_secret: '{RANDOM}',", [("named value of high entropy", RANDOM)]),
        (f'"dbPassword": "{RANDOM}"', [("named value of high entropy", RANDOM)]),
        (f"export DB_PASSWORD={RANDOM}", [("named value of high entropy", RANDOM)]),
        (f"SECRET={RANDOM}", [("named value of high entropy", RANDOM)]),
        # what merely looks like it
        (f'checksum = "{RANDOM}"', []),
        ('password = "aaaaaaaaaaaaaaaaaaaa"', []),
        ('password = "your-password-here"', []),
        ('token = "${GITHUB_TOKEN_VALUE_1}"', []),
        ("token = settings.tokens.find_the_1st_one()", []),
        ("self.token = other.token_of_the_agent_2", []),
        (f'example_token = "EXAMPLE{RANDOM}"', []),
        ("postgres://me:changeme@host/x", []),
        ('password = "short1"', []),
        ("AKIA too short", []),
    ],
)
def test_suspicious(line: str, expected: list[tuple[str, str]]) -> None:
    assert secrets.suspicious(line) == expected


def test_secrets_never_write_a_value_out(tmp_path: Path) -> None:
    planted = [AWS, GITHUB, RANDOM]
    text = "".join(f'{"x" * 10}\nmy_token = "{value}"\n' for value in planted)
    write(tmp_path, "conf/.env", text)
    result = secrets.work(tmp_path)
    assert [(row["path"], row["line"]) for row in result.rows] == [
        ("conf/.env", 2),
        ("conf/.env", 4),
        ("conf/.env", 6),
    ]
    written = json.dumps(result.as_json("secrets", tmp_path))
    assert not any(value in written or value[:8] in written for value in planted)
    assert result.rows[0]["value"] == "AKIA… (20 characters)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hunter2!", "… (8 characters)"),
        ("x" * 15, "… (15 characters)"),
        (AWS, "AKIA… (20 characters)"),
    ],
)
def test_masked(value: str, expected: str) -> None:
    assert secrets.masked(value) == expected


@pytest.mark.parametrize(("value", "bits"), [("aaaa", 0.0), ("abab", 1.0), ("abcd", 2.0)])
def test_entropy(value: str, bits: float) -> None:
    assert secrets.entropy_bits(value) == pytest.approx(bits)
