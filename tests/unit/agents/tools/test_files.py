"""read, write, edit, list, search: what they do in a workspace, and that none leads out of it."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.tools import looking, space
from homarus.agents.tools.files import MAX_IMAGE_BYTES, Files
from homarus.agents.tools.kit import Kit
from homarus.agents.tools.space import Space
from homarus.base.errors import HomarusError
from homarus.kernel import receipts
from homarus.testing.bench import Bench, code_of, open_bench, text_of
from homarus.testing.shop import Shop

SECRET = "the daemon's own secret"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
async def bench(shop: Shop) -> Bench:
    return await open_bench(shop, "ada", Kit(Files(shop.ground.home).tools()))


@pytest.fixture
def outside(bench: Bench) -> Path:
    """Something of the daemon's, and ways in the workspace that would lead there."""
    kept = bench.shop.ground.home / "run" / "outside"
    kept.mkdir(parents=True)
    (kept / "secret.txt").write_text(SECRET)
    here = bench.workspace
    (here / "plain.txt").write_text("plain")
    (here / "out").symlink_to(kept)
    (here / "leak.txt").symlink_to(kept / "secret.txt")
    (here / "inner.txt").symlink_to("plain.txt")
    (here / "loop").symlink_to("loop")
    os.mkfifo(here / "pipe")
    return kept


async def test_write_then_read_then_edit(bench: Bench) -> None:
    written = await bench.call("write", path="notes/a.md", content="one\ntwo\n")
    assert not written.is_error
    assert (bench.workspace / "notes" / "a.md").read_text() == "one\ntwo\n"
    read = await bench.call("read", path="notes/a.md")
    assert "one\ntwo\n" in text_of(read)
    assert read.details is not None and read.details["source"] == "workspace:notes/a.md"
    assert not (await bench.call("edit", path="notes/a.md", old="two", new="2")).is_error
    assert (bench.workspace / "notes" / "a.md").read_text() == "one\n2\n"
    assert [p.name for p in (bench.workspace / "notes").iterdir()] == ["a.md"], "no draft is left"


async def test_a_write_leaves_receipts_and_a_read_none(bench: Bench) -> None:
    await bench.call("write", path="a.md", content="x")
    await bench.call("read", path="a.md")
    g = bench.shop.ground
    rows = await g.read(receipts.about, g.company, g.company_no, "task", bench.started.task.id)
    named = [(r.capability, r.target, r.verdict) for r in rows if r.capability.startswith("fs.")]
    assert named == [("fs.write", "workspace:a.md", "allow")]


WAYS_OUT = [
    ("../../run/outside/secret.txt", "workspace.path"),
    ("notes/../../x", "workspace.path"),
    ("/etc/passwd", "workspace.path"),
    ("~/secret", "workspace.path"),
    ("a\\b", "workspace.path"),
    ("a\x00b", "workspace.path"),
    ("a\x1bb", "workspace.path"),
    ("\ud800", "workspace.path"),
    ("x" * 256, "workspace.path"),
    ("/".join("d" * 40), "workspace.path"),
    (space.DRAFT + "1", "workspace.path"),
    ("leak.txt", "workspace.kind"),
    ("inner.txt", "workspace.kind"),
    ("loop", "workspace.kind"),
    ("out/secret.txt", "workspace.kind"),
    ("plain.txt/x", "workspace.kind"),
    ("pipe", "workspace.kind"),
]


@pytest.mark.parametrize("path, code", WAYS_OUT)
async def test_no_path_leads_out(bench: Bench, outside: Path, path: str, code: str) -> None:
    for tool, more in (
        ("read", {}),
        ("write", {"content": "mine"}),
        ("edit", {"old": "plain", "new": "mine"}),
    ):
        result = await bench.call(tool, path=path, **more)
        assert code_of(result) in (code, "tool.arguments"), tool
        assert SECRET not in text_of(result)
    assert (outside / "secret.txt").read_text() == SECRET
    assert os.listdir(outside) == ["secret.txt"]  # noqa: PTH208


async def test_lists_and_searches_follow_no_link(bench: Bench, outside: Path) -> None:
    listed = text_of(await bench.call("list", depth=5))
    assert listed.split("\n") == [
        "inner.txt  (link)", "leak.txt  (link)", "loop  (link)", "out  (link)", "pipe  (special)",
        "plain.txt  5 bytes",
    ]  # fmt: skip
    assert "secret" not in text_of(await bench.call("search", text="daemon"))
    assert code_of(await bench.call("search", text="daemon", path="out")) == "workspace.kind"
    assert code_of(await bench.call("list", path="out")) == "workspace.kind"


def test_a_link_that_is_put_there_meanwhile_is_not_followed(tmp_path: Path) -> None:
    """Folders are swapped for links while a thousand reads go on; none gets outside."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.txt").write_text(SECRET)
    root = tmp_path / "space"
    (root / "d").mkdir(parents=True)
    (root / "d" / "a.txt").write_text("mine")
    here = Space(root)
    for _ in range(1_000):
        (root / "d").rename(root / "kept")
        (root / "d").symlink_to(tmp_path / "outside")
        with pytest.raises(HomarusError):
            here.read("d/a.txt")
        (root / "d").unlink()
        (root / "kept").rename(root / "d")
        assert here.read("d/a.txt").data == b"mine"


@pytest.mark.parametrize(
    "size, code",
    [(space.MAX_READ_BYTES, None), (space.MAX_READ_BYTES + 1, "workspace.large")],
)
async def test_how_large_a_file_is_read(bench: Bench, size: int, code: str | None) -> None:
    (bench.workspace / "big").write_bytes(b"a" * size)
    result = await bench.call("read", path="big")
    assert code_of(result) == code
    assert len(text_of(result)) < 60_100


@pytest.mark.parametrize(
    "content, arguments, first, last",
    [
        ("a\nb\nc", {}, "lines 1 to 3 of 3", "c"),
        ("a\nb\nc", {"offset": 2, "limit": 1}, "lines 2 to 2 of 3", "[go on with offset 3]"),
        ("a\nb\nc", {"offset": 3}, "lines 3 to 3 of 3", "c"),
        ("", {}, "lines 1 to 1 of 1", ""),
        ("x\n" * 3_000, {}, "lines 1 to 2000 of 3001", "[go on with offset 2001]"),
        ("y" * 3_000, {}, "lines 1 to 1 of 1", "y" * 2_000 + " [… 3000 characters]"),
    ],
)
async def test_ranges(
    bench: Bench, content: str, arguments: dict[str, Any], first: str, last: str
) -> None:
    (bench.workspace / "a").write_text(content)
    lines = text_of(await bench.call("read", path="a", **arguments)).split("\n")
    assert first in lines[0] and lines[-1] == last


@pytest.mark.parametrize(
    "tool, arguments, code",
    [
        ("read", {"path": "no"}, "workspace.missing"),
        ("read", {"path": "a", "offset": 3}, "read.offset"),
        ("read", {"path": "a", "offset": 0}, "tool.arguments"),
        ("read", {"path": "a", "limit": 2_001}, "tool.arguments"),
        ("read", {}, "tool.arguments"),
        ("read", {"path": 7}, "tool.arguments"),
        ("read", {"path": "a", "else": 1}, "tool.arguments"),
        ("read", {"path": "bin"}, "workspace.text"),
        ("read", {"path": ""}, "tool.arguments"),
        ("read", {"path": "."}, "workspace.kind"),
        ("read", {"path": "d"}, "workspace.kind"),
        ("write", {"path": "d", "content": ""}, "workspace.kind"),
        ("write", {"path": "a", "content": "\ud800"}, "workspace.text"),
        ("write", {"path": "a", "content": "z", "expected_sha256": "0" * 64}, "workspace.changed"),
        ("write", {"path": "a", "content": "z", "expected_sha256": ""}, "workspace.changed"),
        ("edit", {"path": "a", "old": "q", "new": "z"}, "edit.missing"),
        ("edit", {"path": "a", "old": "x", "new": "z"}, "edit.ambiguous"),
        ("edit", {"path": "a", "old": "x", "new": "x"}, "edit.same"),
        ("edit", {"path": "a", "old": "", "new": "x"}, "tool.arguments"),
        ("list", {"path": "a"}, "workspace.kind"),
        ("list", {"depth": 6}, "tool.arguments"),
        ("search", {"text": "(", "regex": True}, "search.pattern"),
        ("search", {"text": "(a)\\1", "regex": True}, "search.pattern"),
        ("search", {"text": "a{1000}{1000}", "regex": True}, "search.pattern"),
        ("search", {"text": ""}, "tool.arguments"),
        ("nothing", {}, "tool.unknown"),
    ],
)
async def test_what_is_refused_and_leaves_all_as_it_was(
    bench: Bench, tool: str, arguments: dict[str, Any], code: str
) -> None:
    here = bench.workspace
    (here / "d").mkdir()
    (here / "a").write_text("x\nx")
    (here / "bin").write_bytes(b"\xff\x00")
    result = await bench.call(tool, **arguments)
    assert code_of(result) == code, text_of(result)
    assert (here / "a").read_text() == "x\nx"


@pytest.mark.parametrize(
    "data, media",
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89arest", "image/gif"),
        (b"RIFF0000WEBPrest", "image/webp"),
    ],
)
async def test_images_are_parts(bench: Bench, data: bytes, media: str) -> None:
    (bench.workspace / "i").write_bytes(data)
    result = await bench.call("read", path="i")
    assert [part["type"] for part in result.content] == ["text", "image"]
    assert result.content[1]["mimeType"] == media


@pytest.mark.parametrize("extra, code", [(0, None), (1, "read.image")])
async def test_how_large_an_image_may_be(bench: Bench, extra: int, code: str | None) -> None:
    (bench.workspace / "i").write_bytes(PNG.ljust(MAX_IMAGE_BYTES + extra, b"\0"))
    assert code_of(await bench.call("read", path="i")) == code


async def test_an_expected_hash_lets_one_of_two_writers_through(bench: Bench) -> None:
    await bench.call("write", path="a", content="1", expected_sha256="")
    read = await bench.call("read", path="a")
    assert read.details is not None
    seen = read.details["sha256"]
    first = await bench.call("write", path="a", content="2", expected_sha256=seen)
    second = await bench.call("write", path="a", content="3", expected_sha256=seen)
    again = await bench.call("write", path="a", content="2", expected_sha256=seen)
    assert [code_of(r) for r in (first, second, again)] == [None, "workspace.changed", None]


async def test_an_edit_of_every_place(bench: Bench) -> None:
    (bench.workspace / "a").write_text("x-x")
    await bench.call("edit", path="a", old="x", new="y", all=True)
    assert (bench.workspace / "a").read_text() == "y-y"


async def test_an_executable_stays_one(bench: Bench) -> None:
    script = bench.workspace / "run.sh"
    script.write_text("a")
    script.chmod(0o755)
    await bench.call("write", path="run.sh", content="b")
    assert script.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "arguments, found",
    [
        ({"text": "needle"}, ["n/b.txt:2"]),
        ({"text": "NEEDLE"}, []),
        ({"text": "NEEDLE", "any_case": True}, ["n/b.txt:2"]),
        ({"text": "n..dle", "regex": True}, ["n/b.txt:2"]),
        ({"text": "^hay", "regex": True}, ["a.md:1", "n/b.txt:1"]),
        ({"text": "^HAY", "regex": True, "any_case": True}, ["a.md:1", "n/b.txt:1"]),
        ({"text": "hay", "glob": "*.md"}, ["a.md:1"]),
        ({"text": "hay", "glob": "n/**"}, ["n/b.txt:1"]),
        ({"text": "hay", "path": "n"}, ["n/b.txt:1"]),
        ({"text": "hay", "path": "a.md"}, ["a.md:1"]),
        ({"text": "(a+)+$", "regex": True}, ["a.md:1", "n/b.txt:1", "n/b.txt:3"]),
    ],
)
async def test_searches(bench: Bench, arguments: dict[str, Any], found: list[str]) -> None:
    here = bench.workspace
    (here / "n").mkdir()
    (here / "a.md").write_text("haya")
    (here / "n" / "b.txt").write_text("haya\nneedle\naa")
    (here / "n" / "bin").write_bytes(b"\0needle hay")
    lines = text_of(await bench.call("search", **arguments)).split("\n")
    assert [":".join(line.split(":")[:2]) for line in lines if line[0] != "["] == found


async def test_a_pattern_made_to_backtrack_takes_no_longer(bench: Bench) -> None:
    (bench.workspace / "a").write_text(("a" * 50_000 + "!\n") * 10)
    began = time.monotonic()
    await bench.call("search", text="(a|aa)+(a|aa)+(a|aa)+$", regex=True)
    assert time.monotonic() - began < looking.MAX_S


async def test_a_search_ends_at_its_bounds(bench: Bench, tmp_path: Path) -> None:
    (bench.workspace / "a").write_text("x\n" * (looking.MAX_HITS + 1))
    assert text_of(await bench.call("search", text="x")).endswith("on hits was reached]")
    late = looking.search(Space(bench.workspace), "", lambda _: True, None, max_s=-1)
    assert late.ended == "time"


async def test_lists_end_at_their_bound(bench: Bench) -> None:
    for n in range(space.MAX_ENTRIES + 1):
        (bench.workspace / f"{n:05}").touch()
    lines = text_of(await bench.call("list")).split("\n")
    assert len(lines) == space.MAX_ENTRIES + 1
    assert lines[-1] == "[more than can be listed: name a folder]"


async def test_agents_do_not_see_each_other(bench: Bench) -> None:
    await bench.call("write", path="mine", content="1")
    await bench.finish()
    other = await open_bench(bench.shop, "bob", bench.tools)
    assert code_of(await other.call("read", path="mine")) == "workspace.missing"


@pytest.mark.parametrize("tool, code", [("write", "stop.agent"), ("read", None)])
async def test_stop(bench: Bench, tool: str, code: str | None) -> None:
    """A STOP keeps an agent from writing; it may still look."""
    (bench.workspace / "a").write_text("x")
    await bench.begin()
    call = await bench.ask_for(tool, {"path": "a"} | ({"content": "y"} if tool == "write" else {}))
    await bench.shop.stop("agent", "ada")
    assert code_of(await bench.do(call)) == code
    assert (bench.workspace / "a").read_text() == "x"
