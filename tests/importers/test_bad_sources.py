"""Sources that are damaged, odd or huge: each is a clear line of the report, the rest is taken."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from homarus.importers.openclaw import configuration, lines, sessions, source
from homarus.importers.openclaw.files import Unusable
from tests.importers import claw
from tests.importers.claw import AT_MS, Claw, answer, call, chain, result, user
from tests.importers.conftest import Office

MAIN = "agent:main:main"
SESSION = "01970000-0000-7000-8000-000000000000"


def outline(made: Claw, *body: Any, **how: Any) -> lines.Outline:
    path = made.transcript("main", claw.MAIN, list(body), **how)
    return lines.outline(made.root, path)


def taken(made: Claw, *body: Any, own: bool = True, **how: Any) -> list[lines.Line]:
    path = made.transcript("main", claw.MAIN, list(body), **how)
    seen = lines.outline(made.root, path)
    return list(lines.lines(made.root, path, seen, SESSION, secrets=frozenset(), own=own))


@pytest.fixture
def made(tmp_path: Path) -> Claw:
    return Claw(tmp_path / "claw")


# -- the directory ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, code",
    [("nothing-there", "import.no_directory"), ("file", "import.no_directory"),
     ("empty", "import.nothing")],
)  # fmt: skip
def test_no_state_directory(office: Office, tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    ran = office("import", "openclaw", str(tmp_path / name))
    assert (ran.code, ran.error) == (2, code)


@pytest.mark.parametrize(
    "text, why",
    [
        (None, "there is none"),
        ("{agents: ", "the file ends"),
        ("[]", "the file holds a list"),
        ("\ufeff{", "the file ends"),
        (b"\xff\xfe{", "UTF-16"),
        ("{a:" * 100, "nested deeper"),
        ('{"$include": "../other.json"}', "lies outside"),
    ],
)
def test_without_a_usable_configuration_agents_are_taken_by_their_folders(
    made: Claw, text: str | bytes | None, why: str
) -> None:
    if text is not None:
        made.write("openclaw.json", text)
    made.index("main", agent__main__main={"sessionId": claw.MAIN})
    made.transcript("main", claw.MAIN, claw.talk())
    found = source.read(made.root)
    assert [agent.name for agent in found.agents] == ["main"]
    assert [row.key for row in found.sessions] == [MAIN]
    (finding,) = found.findings
    assert finding.what.startswith("openclaw.json") and why in finding.why


@pytest.mark.parametrize(
    "agents, names",
    [
        ({"list": [{"id": "ada"}, {"id": "bob"}]}, ["ada", "bob"]),
        ({"entries": {"ada": {}, "bob": None}}, ["ada", "bob"]),
        ({"list": [{"id": "ada"}], "entries": {"bob": {}}}, ["ada", "bob"]),
        ({"list": [{"id": "ada"}, {"id": "ada"}, {"name": "?"}, 7, {"id": 5}]}, ["ada"]),
        ({"list": "none", "entries": []}, ["main"]),
        ({"list": [{"id": "Ada Lovelace"}]}, ["ada-lovelace"]),
        ({"list": [{"id": "a b"}, {"id": "a-b"}]}, ["a-b"]),
    ],
)
def test_agents_of_both_generations(made: Claw, agents: Any, names: list[str]) -> None:
    made.write("openclaw.json", json.dumps({"agents": agents}))
    assert [agent.name for agent in configuration.read(made.root).agents] == names


def test_the_newer_generations_database_is_named(made: Claw) -> None:
    made.config({"id": "main"})
    made.write("agents/main/agent/openclaw-agent.sqlite", b"SQLite format 3\0")
    (finding,) = source.read(made.root).findings
    assert (finding.what, "lie in a database" in finding.why) == (
        "agents/main/agent/openclaw-agent.sqlite", True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "key, row, why",
    [
        (MAIN, "text", "is no object"),
        (MAIN, {}, "no usable sessionId"),
        (MAIN, {"sessionId": "../../x"}, "no usable sessionId"),
        (MAIN, {"sessionId": "a", "sessionFile": "/x/.."}, "no usable sessionFile"),
        ("agent:other:main", {"sessionId": "a"}, "another agent's session"),
        ("agent:main:a b", {"sessionId": "a"}, "no session key"),
        ("agent:main:" + "x" * 400, {"sessionId": "a"}, "no session key"),
        ("zz", {"sessionId": "good"}, "is also that of agent:main:fine"),
        ("FINE", {"sessionId": "b"}, None),
    ],
)
def test_entries_of_the_index(made: Claw, key: str, row: Any, why: str | None) -> None:
    rows = {"agent:main:fine": {"sessionId": "good"}} | {key: row}
    made.write("agents/main/sessions/sessions.json", json.dumps(rows))
    found, findings = sessions.read(made.root, "main", "main")
    assert len(found) == 1, "the other one is taken"
    assert (why or "another one has the key") in findings[0].why


@pytest.mark.parametrize(
    "file, name",
    [("/home/mia/.openclaw/agents/main/sessions/s-topic-7.jsonl", "s-topic-7.jsonl"),
     ("C:\\claw\\s.jsonl", "s.jsonl"), (None, "s.jsonl"), (7, "s.jsonl")],
)  # fmt: skip
def test_only_the_name_of_the_file_counts(made: Claw, file: Any, name: str) -> None:
    row = {"sessionId": "s", "sessionFile": file}
    made.write("agents/main/sessions/sessions.json", json.dumps({MAIN: row}))
    (found,), _ = sessions.read(made.root, "main", "main")
    assert found.file == f"agents/main/sessions/{name}"


def test_credentials_of_a_broken_configuration_are_known_all_the_same(made: Claw) -> None:
    made.write("openclaw.json", f"{{models: {{anthropic: {{apiKey: '{claw.KEY}',}}")
    assert configuration.read(made.root).secrets == {claw.KEY}


@pytest.mark.parametrize("text", ["", "{", "[]", "{" * 5_000])
def test_a_broken_index(made: Claw, text: str) -> None:
    made.write("agents/main/sessions/sessions.json", text)
    made.transcript("main", claw.MAIN, [])
    found, findings = sessions.read(made.root, "main", "main")
    assert (found, len(findings)) == ([], 2)


# -- transcripts -----------------------------------------------------------------------------


def test_a_torn_last_line_is_kept_as_a_note(made: Claw) -> None:
    found = taken(made, *chain(user("hi")), '{"type":"message","id":"2","mess', end="")
    assert [line.kind for line in found] == ["message", "custom"]
    assert found[1].body["data"] == {
        "why": "torn", "bytes": 32, "line": {"text": '{"type":"message","id":"2","mess'},
    }  # fmt: skip
    assert outline(made, *chain(user("hi")), "{", end="").notes == {"torn": 1}


@pytest.mark.parametrize(
    "line, kind",
    [
        ({"type": "label", "name": "x"}, "label"),
        ({"type": "custom_message", "content": "x", "customType": "y"}, "custom_message"),
        ({"type": "Strange Kind", "x": 1}, "custom"),
        ({"no": "type"}, "custom"),
        ({"type": "message"}, "custom"),
        ({"type": "message", "message": {"role": "user"}}, "custom"),
        ({"type": "message", "message": {"role": "user", "content": [{"type": "?"}]}}, "custom"),
        ({"type": "message", "message": {"role": "bashExecution", "output": "x"}}, "custom"),
        ({"type": "message", "message": {"role": "assistant", "content": "x"}}, "message"),
        ({"type": "compaction"}, "custom"),
        ("not json", "custom"),
        ("17", "custom"),
        ('{"type": "message", "message": ' + "[" * 500 + "]" * 500 + "}", "custom"),
        ('{"type": "custom", "data": NaN}', "custom"),
    ],
)
def test_no_line_is_dropped(made: Claw, line: Any, kind: str) -> None:
    found = taken(made, *chain(user("before")), line, user("after"))
    assert [row.kind for row in found] == ["message", kind, "message"]
    if kind == "custom":
        assert found[1].body["customType"] == "import-note"


@pytest.mark.parametrize(
    "part, kept",
    [({"type": "image", "data": "A" * 400_000, "mimeType": "image/png"}, "left out"),
     ({"type": "text", "text": "x" * 400_000}, None)],
)  # fmt: skip
def test_long_lines_lose_what_is_too_long(made: Claw, part: Any, kept: str | None) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "look"}, part]}
    (line,) = taken(made, *chain({"type": "message", "message": message}))
    if kept is None:
        assert (line.kind, line.body["data"]["why"]) == ("custom", "too long")
    else:
        assert line.body["message"]["content"][0] == {"type": "text", "text": "look"}
        assert kept in line.body["message"]["content"][1]["text"]


def test_a_line_longer_than_memory_should_hold(made: Claw) -> None:
    path = made.transcript("main", claw.MAIN, chain(user("before")))
    with path.open("r+b") as file:
        file.seek(3 * lines.MAX_LINE)  # a hole: it takes no space
        file.write(b"\n" + json.dumps(user("after")).encode() + b"\n")
    seen = lines.outline(made.root, path)
    assert (seen.lines, seen.notes) == (3, {"too long": 1})


@pytest.mark.parametrize("version, usable", [(1, True), (4, True), (5, False), ("x", False)])
def test_versions(made: Claw, version: Any, usable: bool) -> None:
    made.version = version
    if usable:
        assert outline(made, *chain(user("hi"))).lines == 1
    else:
        with pytest.raises(Unusable, match="is unknown"):
            outline(made, *chain(user("hi")))


def test_other_branches_are_kept_and_hidden(made: Claw) -> None:
    """1 - 2 - 3, and from 1 on again: 4 - 5."""
    body = [
        {"id": "1", "parentId": None} | user("one"),
        {"id": "2", "parentId": "1"} | answer("two"),
        {"id": "3", "parentId": "2"} | user("three"),
        {"id": "4", "parentId": "1"} | answer("four"),
        {"id": "5", "parentId": "4"} | user("five"),
    ]
    found = taken(made, *body)
    assert [line.hidden for line in found] == [False, True, True, False, False]
    assert [line.body.get("importedParentId") for line in found] == [None, None, None, "1", None]


def test_parents_that_lead_round_in_circles(made: Claw) -> None:
    body = [{"id": "1", "parentId": "2"} | user("one"), {"id": "2", "parentId": "1"} | user("two")]
    assert [line.hidden for line in taken(made, *body)] == [False, False]


def test_a_summary_keeps_where_the_context_begins(made: Claw) -> None:
    body = chain(user("old"), user("kept"), answer("yes"),
                 {"type": "compaction", "summary": "S", "firstKeptEntryId": "00000002"},
                 user("new"))  # fmt: skip
    seen = outline(made, *body)
    assert (seen.first_kept, seen.compactions) == (2, 1)


def test_thoughts_lose_their_signature(made: Claw) -> None:
    thought = {"type": "thinking", "thinking": "hm", "thinkingSignature": "secret"}
    (line,) = taken(made, *chain(answer("x", thought)))
    assert line.body["message"]["content"][1] == {"type": "thinking", "thinking": "hm"}


def test_times_are_those_of_over_there(made: Claw) -> None:
    rows = [user("a"), user("b") | {"timestamp": "nonsense"},
            user("c") | {"timestamp": "2026-03-01T10:00:01+00:00"}]  # fmt: skip
    assert [line.at for line in taken(made, *rows)] == [AT_MS, AT_MS, AT_MS + 1_000]


def test_a_hundred_thousand_lines_are_streamed(made: Claw) -> None:
    path = made.root / "agents" / "main" / "sessions" / "long.jsonl"
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        for n in range(100_000):
            row = {"id": f"{n:08x}", "parentId": f"{n - 1:08x}" if n else None} | user(f"{n}")
            file.write(json.dumps(row) + "\n")
    seen = lines.outline(made.root, path)
    assert (seen.lines, seen.first_kept, len(seen.hidden)) == (100_000, 99_001, 0)


def test_a_transcript_that_is_not_there_or_not_readable(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    folder = made.root / "agents" / "main" / "sessions"
    (folder / f"{claw.MAIN}.jsonl").unlink()
    report = office.take(made.root)
    assert [row["key"] for row in report["made"]["sessions"]] == ["agent:main:telegram:group:7"]
    assert "its transcript is missing" in str(report["notTaken"])
    (folder / f"{claw.MAIN}.jsonl").symlink_to("/etc/hostname")
    assert "leads out of the directory" in str(office.look(made.root)["notTaken"])
    (folder / f"{claw.MAIN}.jsonl").unlink()
    os.mkfifo(folder / f"{claw.MAIN}.jsonl")
    assert "it is no plain file" in str(office.look(made.root)["notTaken"])


def test_a_damaged_transcript_goes_on_all_the_same(office: Office, tmp_path: Path) -> None:
    made = claw.furnished(tmp_path / "claw")
    made.transcript("main", claw.MAIN, [
        *chain(user("start"), answer("calls", call("t9", "x")), result("t1", "y", "lost call")),
        "garbage", {"type": "message", "message": {"role": "assistant", "content": None}},
        {"type": "mystery", "x": "\x00"}, user("end"), '{"torn',
    ], end="")  # fmt: skip
    office.take(made.root)
    office("agent", "update", "main", "--model", "scripted")
    ran = office("chat", "main", "-m", "And?")
    assert (ran.code, "Petrel." in ran.out) == (0, True), ran.err
    kinds = [row["kind"] for row in office.history(MAIN)]
    assert kinds == ["message"] * 3 + ["custom"] * 2 + ["mystery", "message", "custom"] + [
        "message"] * 2  # fmt: skip
