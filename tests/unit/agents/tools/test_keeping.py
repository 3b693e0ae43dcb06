"""artifact_create: what is kept, of which task, and what is not. In a conversation it is real
work."""

import hashlib
from typing import Any

import pytest

from homarus.agents.tools.keeping import Keeping
from homarus.agents.tools.kit import Kit
from homarus.records import artifacts
from homarus.records.blobs import Blobs
from homarus.store.port import Rx
from homarus.testing.bench import Bench, code_of, open_bench
from homarus.testing.shop import Shop


@pytest.fixture
async def bench(shop: Shop) -> Bench:
    blobs = Blobs(shop.ground.home / "blobs")
    blobs.start()
    made = await open_bench(shop, "ada", Kit(Keeping(shop.ground.home, blobs).tools()))
    (made.workspace / "data.bin").write_bytes(b"\x00\x01")
    return made


def _row(rx: Rx, company: str, artifact: str) -> artifacts.Artifact:
    return artifacts.need(rx, company, artifact)


@pytest.mark.parametrize(
    "given, content, name",
    [
        ({"filename": "a.md", "text": "# A", "kind": "report"}, b"# A", "a.md"),
        ({"filename": "b.bin", "path": "data.bin"}, b"\x00\x01", "b.bin"),
        ({"filename": "../../etc/passwd", "text": "x"}, b"x", ".._.._etc_passwd"),
    ],
)
async def test_a_text_or_a_file_of_the_workspace_is_kept(
    bench: Bench, given: dict[str, Any], content: bytes, name: str
) -> None:
    g = bench.shop.ground
    kept = await bench.call("artifact_create", **given)
    assert not kept.is_error and kept.details is not None and bench.work is not None
    row = await g.read(_row, g.company, kept.details["artifact"])
    assert (row.task, row.filename, row.size_bytes) == (bench.work, name, len(content))
    assert row.sha256 == hashlib.sha256(content).hexdigest()
    assert Blobs(g.home / "blobs").path(row.sha256).read_bytes() == content


@pytest.mark.parametrize(
    "given, code",
    [
        ({"filename": "a"}, "tool.arguments"),
        ({"filename": "a", "text": "x", "path": "data.bin"}, "tool.arguments"),
        ({"filename": "a", "path": "absent"}, "workspace.missing"),
        ({"filename": "a", "path": "../../run/master.key"}, "workspace.path"),
        ({"filename": "", "text": "x"}, "tool.arguments"),
    ],
)
async def test_what_is_not_kept(bench: Bench, given: dict[str, Any], code: str) -> None:
    assert code_of(await bench.call("artifact_create", **given)) == code
