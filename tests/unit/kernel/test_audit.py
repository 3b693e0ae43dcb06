"""The ledger's promise: whoever changes, removes or moves a sealed receipt is found out.

Real ledgers of a real store; the attacker has the database file, and the daemon is stopped.
"""

from pathlib import Path

import apsw
import msgspec
import pytest

from homarus.base.action import Allow, Effect
from homarus.base.ids import receipt_id
from homarus.kernel import anchors, audit, receipts
from homarus.kernel.receipts import columns, leaf, select_sql
from homarus.kernel.verify import CODES, Report, Verifier
from homarus.testing.ground import ManualClock, ground

ROWS = 12
_encode = msgspec.json.Encoder().encode


def note(tx, n):
    tx.emit("note", tx.new_id(), {"n": n})


async def ledger(home: Path, rows: int = ROWS) -> str:
    """One receipt a seal, in their order; the company's id."""
    async with ground(home, ManualClock()) as g:
        for n in range(rows):
            g.clock.advance(1_000)
            await g.write("task.expire", note, n)
        return g.company


def export(rx, company: str) -> list[bytes]:
    lines, after = [], 0
    while after is not None:
        page = audit.page(rx, company, 1, after, 5)
        if after == 0:
            lines.append(_encode(page.header))
        lines += [_encode(line) for line in page.lines]
        after = page.next
    return lines


async def exported(home: Path) -> list[bytes]:
    async with ground(home) as g:
        return await g.read(export, g.company)


def check(lines: list[bytes], **how) -> Report:
    verifier = Verifier(**how)
    for line in lines:
        verifier.feed_bytes(line)
    return verifier.finish()


def tamper(home: Path, *statements: str) -> None:
    conn = apsw.Connection(str(home / "local-ssot" / "ssot.db"))
    for sql in statements:
        conn.execute(sql).fetchall()
    conn.close()


async def test_untouched_ledger_verifies(tmp_path):
    await ledger(tmp_path)
    report = check(await exported(tmp_path))
    assert report.ok, report.findings
    assert (report.receipts, report.seals, report.last_seal) == (ROWS, ROWS, ROWS)


async def test_pages_follow_each_other_without_gap(tmp_path):
    company = await ledger(tmp_path)
    async with ground(tmp_path) as g:
        first = await g.read(audit.page, company, 1, 0, 5)
        second = await g.read(audit.page, company, 1, first.next, 500)
    assert first.next == 5
    assert second.next is None
    assert second.header.previous == first.lines[-1].hash
    assert isinstance(second.lines[-1], audit.End)
    assert check([_encode(second.header), *(_encode(x) for x in second.lines)]).ok


CASES = [
    ("delete a row", ["delete from receipt where seq=4"], "audit.row_missing", 4),
    ("edit content", ["update receipt set actor='agent:x' where seq=6"], "audit.row_changed", 6),
    ("edit a time", ["update receipt set at_ms=at_ms+1 where seq=6"], "audit.row_changed", 6),
    ("edit the leaf", ["update receipt set leaf=zeroblob(32) where seq=6"], "audit.row_changed", 6),
    ("change a type", ["update receipt set actor=7.5 where seq=6"], "audit.row_changed", 6),
    (
        "swap two rows",
        [
            "update receipt set seq=1000 where seq=3",
            "update receipt set seq=3 where seq=7",
            "update receipt set seq=7 where seq=1000",
        ],
        "audit.order",
        3,
    ),
    ("delete a seal", ["delete from seal where no=5"], "audit.seal_missing", None),
    ("edit a seal", ["update seal set root=zeroblob(32) where no=5"], "audit.seal_broken", None),
    (
        "edit a signature",
        ["update seal set signature=zeroblob(64) where no=5"],
        "audit.signature",
        None,
    ),
    ("delete the key", ["delete from company_key"], "audit.key", None),
    (
        "append a row of one's own",
        [
            "create temp table t as select * from receipt where seq=12",
            "update t set seq=13",
            "insert into receipt select * from t",
        ],
        "audit.unsealed",
        13,
    ),
    (
        "cut the tail and leave the head",
        ["delete from receipt where seq>9", "delete from seal where no>9"],
        "audit.tail_cut",
        None,
    ),
]


@pytest.mark.parametrize(("what", "statements", "code", "seq"), CASES, ids=[c[0] for c in CASES])
async def test_each_change_is_named(tmp_path, what, statements, code, seq):
    await ledger(tmp_path)
    tamper(tmp_path, *statements)
    first = check(await exported(tmp_path)).findings[0]
    assert first.code == code
    assert first.code in CODES
    assert first.seq == seq
    if seq is not None and code not in ("audit.row_missing",):
        assert first.receipt is not None


async def test_content_changed_with_its_digest(tmp_path):
    company = await ledger(tmp_path)
    conn = apsw.Connection(str(tmp_path / "local-ssot" / "ssot.db"))
    row = columns(conn.execute(select_sql("company_no=1 and seq=8")).fetchall()[0])
    fields = (*row[:3], "agent:someone-else", *row[4:-1])
    conn.execute(
        "update receipt set actor=?, leaf=? where company_no=1 and seq=8",
        (fields[3], leaf(company, fields)),
    )
    conn.close()
    first = check(await exported(tmp_path)).findings[0]
    assert (first.code, first.seq, first.seal) == ("audit.row_changed", 8, 8)
    assert first.receipt == receipt_id(row[1], 1, 8)


async def test_tail_cut_past_an_anchor_names_the_anchor(tmp_path):
    await ledger(tmp_path)
    path = tmp_path / "run" / anchors.FILE_NAME
    async with ground(tmp_path) as g:
        anchors.append(path, await g.read(anchors.heads_to_anchor))
    tamper(
        tmp_path,
        "delete from receipt where seq>9",
        "delete from seal where no>9",
        "update company_head set receipt_seq=9, seal_no=9, sealed_seq=9, "
        "seal_hash=(select hash from seal where no=9 and company_no=1) where company_no=1",
    )
    lines = await exported(tmp_path)
    assert check(lines).ok, "without an anchor a clean cut cannot be seen"
    first = check(lines, anchors=anchors.read(path)).findings[0]
    assert (first.code, first.seal) == ("audit.tail_cut", ROWS)


async def test_ledger_continued_after_a_cut_has_another_hash_at_the_anchor(tmp_path):
    await ledger(tmp_path)
    path = tmp_path / "run" / anchors.FILE_NAME
    async with ground(tmp_path) as g:
        anchors.append(path, await g.read(anchors.heads_to_anchor))
    tamper(
        tmp_path,
        "delete from receipt where seq>9",
        "delete from seal where no>9",
        "update company_head set receipt_seq=9, seal_no=9, sealed_seq=9, "
        "seal_hash=(select hash from seal where no=9 and company_no=1) where company_no=1",
    )
    async with ground(tmp_path) as g:
        for n in range(5):
            await g.write("task.expire", note, n)
    first = check(await exported(tmp_path), anchors=anchors.read(path)).findings[0]
    assert (first.code, first.seal) == ("audit.anchor_mismatch", ROWS)


async def test_ledger_signed_anew_with_another_key_fails_against_the_pinned_one(tmp_path):
    await ledger(tmp_path / "a")
    await ledger(tmp_path / "b")
    lines = await exported(tmp_path / "a")
    other = msgspec.json.decode((await exported(tmp_path / "b"))[0])["public_key"]
    first = check(lines, pinned=bytes.fromhex(other)).findings[0]
    assert first.code == "audit.key"


FILES = [
    ("empty", lambda lines: [], "audit.incomplete"),
    ("cut short", lambda lines: lines[:-3], "audit.incomplete"),
    ("no header", lambda lines: lines[1:], "audit.format"),
    ("garbage", lambda lines: [lines[0], b"\xff{", *lines[1:]], "audit.format"),
    ("two headers", lambda lines: [lines[0], *lines], "audit.format"),
    ("lines swapped", lambda x: [*x[:3], x[5], x[4], x[3], *x[6:]], "audit.row_missing"),
    ("another company's header", lambda x: [x[0].replace(b"01", b"02"), *x[1:]], None),
]


@pytest.mark.parametrize(("what", "change", "code"), FILES, ids=[f[0] for f in FILES])
async def test_bad_files_are_findings_not_errors(tmp_path, what, change, code):
    await ledger(tmp_path)
    report = check(change(await exported(tmp_path)))
    assert not report.ok
    assert code is None or report.findings[0].code == code


async def test_rows_of_one_batch_moved_within_their_seal(tmp_path):
    async with ground(tmp_path) as g:
        waiting = [g.write("task.expire", note, n) for n in range(20)]
        for one in waiting:
            await one
        lines = await g.read(export, g.company)
    places = [i for i, line in enumerate(lines) if b'"receipt"' in line[:20]]
    a, b = places[-3], places[-2]
    lines[a], lines[b] = lines[b], lines[a]
    assert check(lines).findings[0].code in ("audit.order", "audit.row_missing")


async def test_ten_thousand_receipts_verify(tmp_path):
    def many(tx, count):
        for _ in range(count):
            receipts.write(
                tx, tx.action, tx.actor, Allow(tx.actor), task=None, trace=None,
                effect=Effect.LOCAL_WRITE,
            )  # fmt: skip
        tx.emit("many", tx.new_id())

    async with ground(tmp_path) as g:
        for _ in range(100):
            await g.write("task.expire", many, 99)
        lines = await g.read(export, g.company)
    report = check(lines)
    assert report.ok, report.findings
    assert report.receipts == 10_000


# -- anchors -------------------------------------------------------------------------------


async def test_an_anchor_is_written_once_for_each_new_seal(tmp_path):
    path = tmp_path / "run" / anchors.FILE_NAME
    async with ground(tmp_path) as g:
        await g.write("task.expire", note, 1)
        rows = await g.read(anchors.heads_to_anchor)
        assert anchors.append(path, rows) == len(rows) > 0
        assert anchors.append(path, rows) == 0
        await g.write("task.expire", note, 2)
        assert anchors.append(path, await g.read(anchors.heads_to_anchor)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [a.no for a in anchors.read(path) if a.company == g.company] == [1, 2]


def test_a_torn_anchor_line_is_passed_over_and_the_next_one_stands(tmp_path):
    path = tmp_path / "anchors.jsonl"
    one = anchors.Anchor("c", 1, "aa", "2026-01-02T03:00:00.000Z")
    anchors.append(path, [one])
    with path.open("ab") as file:
        file.write(b'{"company":"c","no":2,"ha')
    assert anchors.read(path) == [one]
    two = anchors.Anchor("c", 2, "bb", "2026-01-02T03:10:00.000Z")
    anchors.append(path, [two])
    assert anchors.read(path) == [one, two]


def test_a_foreign_line_among_the_anchors_is_refused():
    with pytest.raises(Exception, match=r"audit\.anchors"):
        anchors.parse([b'{"something":"else"}'])


def test_the_reference_names_every_code():
    page = Path(__file__).parents[3] / "docs" / "reference" / "audit-format.md"
    text = page.read_text("utf-8")
    assert [code for code in CODES if f"`{code}`" not in text] == []
