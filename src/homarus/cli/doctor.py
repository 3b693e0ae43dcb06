"""homarus doctor: what this machine and this home can do, and what to do about what they cannot.

Each check is a function that returns a `Check`; a check that meets the unexpected fails as itself,
so that the others still speak.
"""

import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import click

from homarus.base.errors import HomarusError
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit

MIB: Final = 1024 * 1024
DISK_WARN_BYTES: Final = 1024 * MIB
DISK_FAIL_BYTES: Final = 100 * MIB
CLOCK_WARN_MS: Final = 2_000
SQLITE_LEAST: Final = (3, 51, 3)
"""Before it the WAL-reset bug may corrupt a file (dependencies, core: apsw)."""
MAX_COMPANIES: Final = 10_000
PYTHON_LEAST: Final = (3, 11)


@dataclass(frozen=True, slots=True)
class Check:
    """`verdict`: ok, warn (works, with less) or fail."""

    name: str
    verdict: str
    detail: str
    remedy: str = ""


def ok(name: str, detail: str) -> Check:
    return Check(name, "ok", detail)


@click.command("doctor", cls=Command)
@click.pass_context
@pass_context
def command(ctx: Context, click_context: click.Context) -> None:
    """What this machine and this home can do. Fails when a check fails; warnings do not."""
    checks = [check for run in CHECKS for check in run(ctx)]
    ctx.out.document({"checks": [asdict(check) for check in checks]})
    width = max(len(check.name) for check in checks)
    for check in checks:
        ctx.out.line(f"{check.verdict:<4}  {check.name:<{width}}  {check.detail}")
        if check.remedy:
            ctx.out.line(f"{'':<{width + 8}}{check.remedy}")
    click_context.exit(Exit.FAILED if any(c.verdict == "fail" for c in checks) else Exit.OK)


def python(_: Context) -> list[Check]:
    found = platform.python_version()
    if sys.version_info >= PYTHON_LEAST:
        return [ok("python", f"{found} at {sys.executable}")]
    return [Check("python", "fail", found, "Use Python 3.11 or newer.")]


def sqlite(_: Context) -> list[Check]:
    import apsw

    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")) >= SQLITE_LEAST:
        return [ok("sqlite", f"{found} (bundled with apsw)")]
    return [Check("sqlite", "fail", found, "Upgrade apsw: an older SQLite may corrupt the store.")]


def home(ctx: Context) -> list[Check]:
    name = "home"
    if not ctx.home.exists():
        return [Check(name, "warn", f"{ctx.home} does not exist", "`homarus up` makes it.")]
    if not os.access(ctx.home, os.W_OK | os.X_OK):
        return [Check(name, "fail", f"{ctx.home} cannot be written", "Give it to this user.")]
    token = ctx.home / "run" / "owner.token"
    if token.exists() and stat.S_IMODE(token.stat().st_mode) & 0o077:
        remedy = f"chmod 600 {token}; then replace it, others may have read it."
        return [Check(name, "fail", f"{token} can be read by other users", remedy)]
    return [ok(name, str(ctx.home))]


def config(ctx: Context) -> list[Check]:
    """The file as it is now, and whether the running daemon took it."""
    from homarus.config import active
    from homarus.config.active import refused_line
    from homarus.config.problem import Rejected
    from homarus.config.read import read
    from homarus.config.settings import source

    name = "config"
    place = source(ctx.given_home)
    try:
        loaded = read(place)
    except Rejected as rejected:
        remedy = "A running daemon goes on as it was; it would not start again."
        return [Check(name, "fail", problem.line(), remedy) for problem in rejected.problems]
    running = active.read(place.home)
    if running is not None and running.problems:
        remedy = f"The running daemon ({running.pid}) refused the file, and goes on as it was."
        return [Check(name, "fail", refused_line(each), remedy) for each in running.problems]
    if running is not None and running.waiting:
        detail = f"{', '.join(running.waiting)} wait for a restart"
        return [Check(name, "warn", detail, f"kill -USR2 {running.pid}")]
    return [ok(name, str(place.path) if loaded.digest else "no homarus.json: all defaults")]


def disk(ctx: Context) -> list[Check]:
    place = next(at for at in (ctx.home, *ctx.home.absolute().parents) if at.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free // MIB} MiB free at {place}"
    if free < DISK_FAIL_BYTES:
        return [Check("disk", "fail", detail, "Free some space: writes will be refused.")]
    if free < DISK_WARN_BYTES:
        return [Check("disk", "warn", detail, "Free some space soon.")]
    return [ok("disk", detail)]


def daemon(ctx: Context) -> list[Check]:
    """Reachable, its store, its clock: one answer says all three."""
    try:
        version = ctx.api.get("/api/version").get("version", "unknown")
        began_ms = time.time() * 1000
        meeting = ctx.api.get("/runtime/health")
        ended_ms = time.time() * 1000
    except HomarusError as error:
        return [Check("daemon", "fail", error.message, error.remedy)]
    now_ms = datetime.fromisoformat(meeting["serverTime"]).timestamp() * 1000
    return [
        ok("daemon", f"{ctx.api.url}, version {version}"),
        _store(ctx),
        _clock(now_ms - (began_ms + ended_ms) / 2, (ended_ms - began_ms) / 2),
    ]


def _store(ctx: Context) -> Check:
    try:
        ctx.api.get("/api/health")
    except HomarusError as error:
        remedy = "See logs/homarus.log; restore a backup if the file is damaged."
        return Check("store", "fail", error.message, remedy)
    return ok("store", "healthy")


def _clock(drift_ms: float, uncertain_ms: float) -> Check:
    detail = f"the daemon's clock is {drift_ms:+.0f} ms (±{uncertain_ms:.0f}) from this one"
    if abs(drift_ms) - uncertain_ms <= CLOCK_WARN_MS:
        return ok("clock", detail)
    remedy = "The system's clock was stepped while the daemon ran; restart it when that is over."
    return Check("clock", "warn", detail, remedy)


def sandbox(_: Context) -> list[Check]:
    from homarus.backends.layers import probe

    layers = probe()
    checks = [
        Check(f"sandbox: {at.name}", "ok" if at.active else "warn", at.detail, at.remedy)
        for at in layers.layers
    ]
    summary = f"sandbox: {layers.sandbox}"
    if layers.sandbox == "none":
        remedy = (
            "Only capabilities marked trusted run. Install bubblewrap (apt install bubblewrap)."
        )
        return [Check("sandbox", "warn", summary, remedy), *checks]
    return [ok("sandbox", summary), *checks]


def history(ctx: Context) -> list[Check]:
    """Whether changes of governed documents get a history (`company/<slug>/.git`)."""
    from homarus.mainspace import git

    found = git.program()
    if found is None:
        remedy = "Install git (apt install git); documents are kept and guarded without it."
        return [Check("history", "warn", "no git: the main space has no history", remedy)]
    broken = [
        str(at)
        for at in sorted((ctx.home / "company").glob("*/.git"))[:MAX_COMPANIES]
        if at.is_symlink() or not at.is_dir()
    ]
    if broken:
        return [Check("history", "warn", f"{broken[0]} is no repository", "Move it away.")]
    return [ok("history", f"main spaces are kept in git ({found})")]


def executors(ctx: Context) -> list[Check]:
    """Whether what does the agents' work is there: a model, a program, a gateway."""
    from homarus.cli import executing

    try:
        found = executing.look(ctx)
    except HomarusError:
        return []  # the daemon's own check has said why
    return [Check(name, verdict, detail, remedy) for name, verdict, detail, remedy in found]


CHECKS: Final[tuple[Callable[[Context], list[Check]], ...]] = (
    python,
    sqlite,
    home,
    config,
    disk,
    daemon,
    sandbox,
    history,
    executors,
)
