"""Claims over HTTP by 16 agents that keep a pace, as agents that work do."""

from statistics import median, quantiles

from bench import load, office
from bench.aims import Outcome
from bench.daemon import daemon, profile_from_now
from bench.http import TIMEOUT_S, TOP, WARM_UP
from bench.profiles import top_functions
from bench.scratch import scratch

AGENTS = 16
PERIOD_S = 0.2
EACH, QUICK_EACH = 150, 30


def measure(quick: bool) -> Outcome:
    each = QUICK_EACH if quick else EACH
    with scratch() as folder:
        seed = office.found(folder / "home", AGENTS, AGENTS * (each + WARM_UP))
        with daemon(seed.home) as running:
            load.run(load.Plan(running.url, seed.workers, WARM_UP, keys="w"), TIMEOUT_S)
            report = load.run(load.Plan(running.url, seed.workers, each, PERIOD_S), TIMEOUT_S)
    took = report.claims_ms
    return Outcome(
        figures={"claim_p99": quantiles(took, n=100)[98], "claim_max": max(took)},
        notes=[
            f"{len(took)} claims, {AGENTS / PERIOD_S:.0f} lifecycles/s asked, "
            f"{report.done / report.wall_s:.0f} done; median {median(took):.1f} ms"
        ],
        failures=report.empty + report.refused,
        profile=profile,
    )


def profile() -> list[str]:
    with scratch() as folder:
        seed = office.found(folder / "home", AGENTS, AGENTS * (QUICK_EACH + WARM_UP))
        found = folder / "profile"
        with daemon(seed.home, profile=found) as running:
            profile_from_now(running)
            load.run(load.Plan(running.url, seed.workers, QUICK_EACH, PERIOD_S), TIMEOUT_S)
        lines = ["functions of the daemon's event loop, by own time (cProfile):"]
        return lines + top_functions(str(found), TOP)
