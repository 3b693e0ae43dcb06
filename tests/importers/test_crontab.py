"""What a line of a crontab becomes: a job, or a reason why not."""

from pathlib import Path

import pytest

from homarus.importers import crontab
from homarus.importers.cron_plan import NewJob

BACKUP = "0 1 * * * /usr/bin/backup --full"


def keys(text: str) -> list[str]:
    return [job.body["key"] for job in crontab.read(text, "ada").jobs]


def only(text: str) -> NewJob:
    (job,) = crontab.read(text, "ada").jobs
    return job


@pytest.mark.parametrize(
    "text",
    [
        f"# nightly\n\nMAILTO=me\n{BACKUP}\n",
        f"5 5 * * * /usr/bin/other\n{BACKUP}\n",
        "0  1\t* * *   /usr/bin/backup  '--full'\n",
    ],
)
def test_a_line_is_the_same_job_wherever_it_stands(text: str) -> None:
    (key,) = keys(BACKUP)
    assert key in keys(text) and key.startswith("backup-")
    assert only(BACKUP).body["work"]["capability"] == f"cron.ada.{key}"


@pytest.mark.parametrize(
    "other",
    [
        "0 2 * * * /usr/bin/backup --full", "0 1 * * * /usr/bin/backup --purge-all",
        f"CRON_TZ=Asia/Tokyo\n{BACKUP}", "0 1 * * * /opt/bin/backup --full",
    ],
)  # fmt: skip
def test_another_command_or_time_is_another_job(other: str) -> None:
    assert keys(other) != keys(BACKUP)


def test_a_macro_is_the_time_that_it_stands_for() -> None:
    assert keys("@daily /usr/bin/x") == keys("0 0 * * * /usr/bin/x")


def test_of_two_equal_lines_the_second_is_left() -> None:
    found = crontab.read(f"{BACKUP}\n# again\n{BACKUP}\n", "ada")
    assert len(found.jobs) == 1
    assert [(one.what, one.why) for one in found.left] == [("line 3", "it says the same as line 1")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 1 * * * X=1 /usr/bin/a", "its command sets a variable first, which a shell does"),
        (
            '0 1 * * * X="a b" Y= /usr/bin/a',
            "its command sets a variable first, which a shell does",
        ),
        ('0 1 * * * ""', "it has no command"),
        ("0 1 * * *", "it has no command"),
        ("@daily", "it has no command"),
        ("0 1 * * * root /usr/bin/a", "it names the user root, as the system's crontab does"),
        ("0 1 * * * cd /srv", "its command needs a shell"),
        ("0 1 * * * /usr/bin/a | /usr/bin/b", "its command needs a shell"),
        ("0 1 * * * /usr/bin/a 100%", "its command needs a shell"),
        ("0 1 * * * /usr/bin/a 'b", "its command cannot be read: No closing quotation"),
        ("@reboot /usr/bin/a", "@reboot is no time of the clock"),
        ("MAILTO=me", "variables are not passed on"),
    ],
)
def test_a_line_that_is_left(line: str, why: str) -> None:
    found = crontab.read(line, "ada")
    assert [one.why for one in found.left] == [why] and found.jobs == ()


@pytest.mark.parametrize("time", ["0 0 31 2 *", "61 1 * * *", "0 1 * * MONDAY-ISH"])
def test_a_time_that_never_comes_is_left_with_the_reason(time: str) -> None:
    found = crontab.read(f"{time} /usr/bin/a", "ada")
    assert found.jobs == () and found.left[0].why


def test_a_program_may_stand_without_its_folder() -> None:
    assert only("0 1 * * * python3 /srv/a.py").capability["argv"] == ["python3", "/srv/a.py"]  # type: ignore[index]


def test_the_systems_files_name_a_user_in_each_line() -> None:
    line = "0 1 * * * backup /usr/bin/a"
    assert crontab.read(line, "ada", users=True).left[0].why.startswith("it names the user backup")
    assert [crontab.is_systems(Path(path)) for path in (
        "/etc/crontab", "/etc/cron.d/php", "/home/mia/crontab", "/var/spool/cron/crontabs/mia",
    )] == [True, True, False, False]  # fmt: skip
