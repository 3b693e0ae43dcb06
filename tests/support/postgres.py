"""A real PostgreSQL server for tests: one per pytest process, one fresh database per test.

PostgreSQL refuses to run as root, so root drops to the user `postgres` (or `nobody`). The server
listens on a Unix socket in its own folder only; durability is off, because no test kills it.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.support.requires import requires

START_TIMEOUT_S = 60
COMMAND_TIMEOUT_S = 120
UNPRIVILEGED_USERS = ("postgres", "nobody")
SUPERUSER = "homarus_test"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `folder` holds its socket and its data."""

    programs: Path
    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={self.folder}"


def start(programs: Path) -> PostgresServer:
    """Makes a cluster in a new folder and starts it; returns when it accepts connections."""
    folder = Path(tempfile.mkdtemp(prefix="homarus-pg-"))
    if os.geteuid() == 0:
        account = unprivileged_account()
        os.chown(folder, account.pw_uid, account.pw_gid)
    server = PostgresServer(programs, folder)
    run(server, "initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C",
        f"--username={SUPERUSER}", "-D", str(folder / "data"))  # fmt: skip
    settings = [f"{name} = '{value}'" for name, value in SETTINGS.items()]
    settings.append(f"unix_socket_directories = '{folder}'")
    with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", *settings, ""]))
    run(server, "pg_ctl", "start", "-w", "-t", str(START_TIMEOUT_S),
        "-D", str(folder / "data"), "-l", str(folder / "log"))  # fmt: skip
    return server


def stop(server: PostgresServer) -> None:
    run(server, "pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(server.folder / "data"))
    shutil.rmtree(server.folder)


def run(server: PostgresServer, program: str, *arguments: str) -> None:
    argv = [str(server.programs / program), *arguments]
    if os.geteuid() == 0:
        account = unprivileged_account()
        drop = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        argv = ["setpriv", *drop, "--", *argv]
    # The server inherits these descriptors: a pipe would stay open for as long as it lives.
    output = server.folder / f"{program}.out"
    with output.open("wb") as file:
        done = subprocess.run(
            argv, stdout=file, stderr=subprocess.STDOUT, cwd="/", timeout=COMMAND_TIMEOUT_S
        )
    if done.returncode:
        log = server.folder / "log"
        detail = output.read_text("utf-8", "replace")
        detail += log.read_text("utf-8", "replace") if log.exists() else ""
        raise RuntimeError(f"{program} failed with {done.returncode}:\n{detail}")


def unprivileged_account() -> pwd.struct_passwd:
    for name in UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError(f"running as root, and none of the users {UNPRIVILEGED_USERS} exists")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this pytest process; under xdist each worker has its own."""
    server = start(Path(requires("postgresql")))
    yield server
    stop(server)


@pytest.fixture(scope="session")
def postgres_database_names() -> Iterator[str]:
    """Names of fresh databases, never repeated within a server's life."""
    return (f"homarus_{number}" for number in count(1))


@pytest.fixture
def postgres_url(
    postgres_server: PostgresServer, postgres_database_names: Iterator[str]
) -> Iterator[str]:
    """URL of an empty database that is dropped afterwards, whoever is still connected."""
    import psycopg

    name = next(postgres_database_names)
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres_server.url(name)
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
