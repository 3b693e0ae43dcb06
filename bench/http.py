"""Claim + complete over HTTP: 64 agents of one company, each with its own token and connection."""

from statistics import median

import psutil

from bench import load, office
from bench.aims import Outcome
from bench.daemon import Daemon, daemon, profile_from_now
from bench.office import Office
from bench.profiles import top_functions
from bench.scratch import copied, scratch

AGENTS = 64
ROUNDS, QUICK_ROUNDS = 5, 2
EACH, QUICK_EACH = 40, 12
WARM_UP = 2
TIMEOUT_S = 90.0
TOP = 15


def measure(quick: bool) -> Outcome:
    each = QUICK_EACH if quick else EACH
    rates, daemon_us, load_us = [], [], []
    failures = 0
    with scratch() as folder:
        seed = office.found(folder / "seed", AGENTS, AGENTS * (each + WARM_UP))
        for n in range(QUICK_ROUNDS if quick else ROUNDS):
            with daemon(copied(seed.home, folder / f"home-{n}")) as running:
                report, cpu_s = drive(running, seed, each)
            rates.append(report.done / report.wall_s)
            daemon_us.append(1e6 * cpu_s / report.done)
            load_us.append(1e6 * report.cpu_s / report.done)
            failures += report.empty + report.refused
    return Outcome(
        figures={"rate": median(rates)},
        notes=[
            f"median of {len(rates)} daemons, best {max(rates):,.0f}/s; CPU a lifecycle: daemon "
            f"{median(daemon_us):.0f} us, load generator {median(load_us):.0f} us",
        ],
        failures=failures,
        profile=lambda: profile(each),
    )


def drive(running: Daemon, seed: Office, each: int) -> tuple[load.Report, float]:
    """A warm-up, then the load; its report and the daemon's CPU seconds for it."""
    load.run(load.Plan(running.url, seed.workers, WARM_UP, keys="w"), TIMEOUT_S)
    process = psutil.Process(running.pid)
    before = process.cpu_times()
    report = load.run(load.Plan(running.url, seed.workers, each), TIMEOUT_S)
    after = process.cpu_times()
    return report, after.user + after.system - before.user - before.system


def profile(each: int) -> list[str]:
    with scratch() as folder:
        seed = office.found(folder / "seed", AGENTS, AGENTS * (each + WARM_UP))
        found = folder / "profile"
        with daemon(seed.home, profile=found) as running:
            profile_from_now(running)
            drive(running, seed, each)
        lines = ["functions of the daemon's event loop, by own time (cProfile):"]
        return lines + top_functions(str(found), TOP)
