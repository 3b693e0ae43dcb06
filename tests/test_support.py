"""The test support itself: a server that works, databases that do not see each other."""

import psycopg
import pytest

from tests.support.profile import Profile, chosen_profile
from tests.support.requires import requires


@pytest.mark.postgres
def test_each_test_gets_an_empty_database_on_a_real_server(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("select count(*) from pg_tables where tablename = 'mark'")
        assert row.fetchone() == (0,)
        connection.execute("create table mark (n int)")


test_no_test_sees_what_another_made = test_each_test_gets_an_empty_database_on_a_real_server


def test_the_sandbox_program_works_or_the_test_says_why_not() -> None:
    assert requires("bubblewrap").endswith("bwrap")


def test_profile_picks_the_size_of_a_run(profile: Profile) -> None:
    assert profile == chosen_profile()
    assert (Profile("ci").pick(ci=20, full=300), Profile("full").pick(ci=20, full=300)) == (20, 300)
