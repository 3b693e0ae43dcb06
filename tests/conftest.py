"""Fixtures of every test. Hypothesis follows the run profile (tests/support/profile.py)."""

import gc

import pytest
import structlog
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.support.profile import Profile, chosen_profile

pytest_plugins = [
    "tests.support.daemon",
    "tests.support.studio",
    "tests.support.postgres",
    "tests.support.engines",
    "tests.support.sampling",
]

EXAMPLES = {"ci": 30, "full": 2_000}

for name, examples in EXAMPLES.items():
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        derandomize=False,
        print_blob=True,
        database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    )
settings.load_profile(chosen_profile().name)

# As where nothing is configured, but for tracebacks: pretty ones cost a tenth of a second each.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("%Y-%m-%d %H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


@pytest.fixture(scope="session")
def profile() -> Profile:
    return chosen_profile()


def pytest_collection_finish() -> None:
    """What stands until the end is not looked at again by each collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return f"homarus: profile {chosen_profile().name} (HOMARUS_PROFILE=ci|full)"
