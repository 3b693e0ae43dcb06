"""homarus audit: the ledger, checked in this process and not by the daemon that wrote it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit
from homarus.cli.resource import limit_option, show_list
from homarus.cli.why import RECEIPTS
from homarus.client.paths import path_part

if TYPE_CHECKING:
    from homarus.kernel.anchors import Anchor
    from homarus.kernel.verify import Report

command = Group("audit", help="The ledger: show, export, verify.")

ANCHORS: Final = Path("run/anchors.jsonl")
MAX_PAGES: Final = 10_000_000


@command.command()
@click.argument("receipt", required=False)
@limit_option
@pass_context
def show(ctx: Context, receipt: str | None, limit: int) -> None:
    """The newest receipts, or one of them."""
    if receipt is None:
        show_list(ctx, "/receipts", "receipts", RECEIPTS, limit=limit, empty="No receipt yet.")
        return
    reply = ctx.api.get(f"/receipts/{path_part(receipt)}")
    ctx.out.document(reply)
    ctx.out.fields((reply.get("receipt") or {}).items())


@command.command()
@click.option("--to", "to", type=click.Path(path_type=Path), help="A file; stdout if left out.")
@pass_context
def export(ctx: Context, to: Path | None) -> None:
    """Write the company's ledger as JSON lines, which `audit verify FILE` checks offline."""
    if to is None:
        stdout = sys.stdout.buffer
        for line in exported(ctx):
            stdout.write(line + b"\n")
        return
    draft = to.with_name(to.name + ".part")
    count = 0
    try:
        with draft.open("wb") as file:
            for line in exported(ctx):
                file.write(line + b"\n")
                count += 1
        draft.replace(to)
    finally:
        draft.unlink(missing_ok=True)
    ctx.out.document({"path": str(to), "lines": count})
    ctx.out.line(f"{to}: {count} lines")


@command.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--anchors", "anchors_file", type=click.Path(exists=True, path_type=Path),
              help="Anchors to check against; the home's own if left out.")  # fmt: skip
@click.option("--key", "pinned", help="The company's public key as you know it, in hexadecimal.")
@click.pass_context
@pass_context
def verify(
    ctx: Context,
    click_context: click.Context,
    file: Path | None,
    anchors_file: Path | None,
    pinned: str | None,
) -> None:
    """Check the ledger: every digest, every seal, every anchor. FILE: an export, offline."""
    report = check(ctx, file, anchors_file, _key(pinned))
    findings = [_plain(finding) for finding in report.findings]
    ctx.out.document({**_plain(report), "findings": findings, "ok": report.ok})
    counts = f"{report.receipts} receipts, {report.seals} seals, {report.anchors} anchors"
    ctx.out.line(f"{'verified' if report.ok else 'NOT VERIFIED'}: {counts}")
    for finding in report.findings:
        place = f" (receipt {finding.receipt})" if finding.receipt else ""
        ctx.out.line(f"{finding.code}: {finding.message}{place}")
    if not report.ok:
        click_context.exit(Exit.NOT_VERIFIED)


def check(
    ctx: Context, file: Path | None, anchors_file: Path | None, pinned: bytes | None
) -> "Report":
    """Anchors are read first: one newer than the export would look like a cut tail."""
    from homarus.kernel.verify import Verifier

    verifier = Verifier(
        pinned=pinned, anchors=_anchors(ctx, anchors_file, offline=file is not None)
    )
    if file is None:
        for line in exported(ctx):
            verifier.feed_bytes(line)
    else:
        with file.open("rb") as stream:
            for line in stream:
                verifier.feed_bytes(line)
    return verifier.finish()


def exported(ctx: Context) -> Iterator[bytes]:
    """The lines of the company's ledger, `homarus-audit/1`: the first header, then all the rest."""
    after: int | None = 0
    for _ in range(MAX_PAGES):
        page = ctx.api.get("/audit/export", afterSeal=after)
        if after == 0:
            yield _line(page["header"])
        yield from map(_line, page["lines"])
        after = page.get("nextAfterSeal")
        if after is None:
            return


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _anchors(ctx: Context, given: Path | None, *, offline: bool) -> "list[Anchor]":
    from homarus.kernel import anchors

    if given is not None:
        return anchors.read(given)
    if offline or ctx.is_own_daemon():
        return anchors.read(ctx.home / ANCHORS)
    rows = ctx.api.get("/audit/anchors")["anchors"]
    return anchors.parse(_line(row) for row in rows)


def _key(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise click.BadParameter("not hexadecimal", param_hint="--key") from error


def _plain(value: Any) -> dict[str, Any]:
    import msgspec

    plain = msgspec.to_builtins(value)
    return plain if isinstance(plain, dict) else {}
