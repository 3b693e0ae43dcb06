"""Starting: the daemon to its ready line, what it keeps in memory idle, the command line alone."""

import subprocess
import sys
import time
from statistics import median

import psutil

from bench.aims import Outcome
from bench.daemon import COMMAND, daemon, environment
from bench.scratch import scratch

STARTS, QUICK_STARTS = 7, 3
VERSIONS, QUICK_VERSIONS = 21, 7
SETTLE_S = 2.5
MB = 1_000_000
TOP = 15


def measure(quick: bool) -> Outcome:
    ready, rss, pss = [], [], []
    with scratch() as folder:
        with daemon(folder / "home") as first:
            first_s = first.took_s
        for _ in range(QUICK_STARTS if quick else STARTS):
            with daemon(folder / "home") as running:
                ready.append(running.took_s)
                time.sleep(SETTLE_S)
                memory = psutil.Process(running.pid).memory_full_info()
                rss.append(memory.rss / MB)
                pss.append(memory.pss / MB)
    bare, version = [], []
    for _ in range(QUICK_VERSIONS if quick else VERSIONS):
        bare.append(_seconds([sys.executable, "-c", "pass"]))
        version.append(_seconds([*COMMAND, "--version"]))
    over = median(v - b for v, b in zip(version, bare, strict=True))
    return Outcome(
        figures={"ready": median(ready), "idle": median(rss), "version": 1000 * over},
        notes=[
            f"first start of a new home {first_s:.2f} s; best restart {min(ready):.2f} s",
            f"idle: resident {median(rss):.1f} MB, proportional share {median(pss):.1f} MB",
            f"bare Python {1000 * median(bare):.0f} ms, best of both: "
            f"{1000 * (min(version) - min(bare)):.0f} ms between them",
        ],
        profile=imports,
    )


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment())
    return time.perf_counter() - began


def imports() -> list[str]:
    """The modules whose own import takes longest, of the command line and of the daemon."""
    lines: list[str] = []
    parts: tuple[tuple[str, str], ...] = (
        ("homarus --version", "import homarus.cli.main"),
        (
            "homarus up",
            "from homarus.cli import daemon; daemon.import_structlog_lean(); "
            "import homarus.service.serve",
        ),
    )
    for name, script in parts:
        ended = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        )
        rows = [line.split("|") for line in ended.stderr.splitlines() if line.count("|") == 2]
        own = sorted(((int(a[12:]), m.strip()) for a, _, m in rows[1:]), reverse=True)
        lines.append(f"{name}: {sum(us for us, _ in own) / 1000:.0f} ms of imports, the longest:")
        lines += [f"{us / 1000:6.1f} ms  {module}" for us, module in own[:TOP]]
    return lines
