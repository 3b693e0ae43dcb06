"""Fixtures of every test. Hypothesis follows the run profile (tests/support/profile.py)."""

import pytest
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


@pytest.fixture(scope="session")
def profile() -> Profile:
    return chosen_profile()


def pytest_report_header() -> str:
    return f"homarus: profile {chosen_profile().name} (HOMARUS_PROFILE=ci|full)"
