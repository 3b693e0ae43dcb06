"""The first start: what it leaves, and how it heals after a crash at any point of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from homarus.flows import first_start
from homarus.testing.daemon import running

FOLDERS = {"run", "local-ssot", "blobs", "agents", "backups", "logs"}


async def test_a_home_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home, first=True) as daemon:
        assert {path.name for path in home.iterdir()} >= FOLDERS
        for path in (home, *(home / name for name in FOLDERS)):
            assert path.stat().st_mode & 0o077 == 0, path
        for kept in first_start.KEPT:
            file = home / "run" / kept.file
            assert file.stat().st_mode & 0o777 == 0o600
            reply = await daemon.client(file.read_text().strip()).get("/api/v1/companies")
            assert [row["slug"] for row in reply.json()["companies"]] == ["default"]
        assert (await daemon.owner.get("/api/v1/companies")).json()["companies"][0][
            "template"
        ] == "solo"


@pytest.mark.parametrize("kept", first_start.KEPT, ids=lambda kept: kept.file)
@pytest.mark.parametrize("text", [None, "", "ec_short", "ho_" + "0" * 48, "\n"])
async def test_a_lost_or_foreign_file_is_healed(
    tmp_path: Path, kept: first_start.Kept, text: str | None
) -> None:
    home = tmp_path / "home"
    async with running(home, first=True):
        pass
    file = home / "run" / kept.file
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    async with running(home, first=True) as daemon:
        secret = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600
        assert (await daemon.client(secret).get("/api/mcp/agents")).status_code == 200


async def test_a_revoked_token_is_replaced_at_the_next_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home, first=True) as daemon:
        before = daemon.company_token
        tokens = (await daemon.owner.get("/api/v1/tokens")).json()["tokens"]
        await daemon.owner.delete(f"/api/v1/tokens/{tokens[0]['id']}")
    async with running(home, first=True) as daemon:
        assert daemon.company_token != before
        assert (await daemon.company.get("/api/mcp/agents")).status_code == 200


CHILD = """
import asyncio, sys
from pathlib import Path
from homarus.testing.daemon import running

async def main():
    async with running(Path(sys.argv[1]), first=True) as daemon:
        reply = await daemon.company.get("/api/mcp/agents")
        print("TOLD", daemon.owner_token, daemon.company_token, reply.status_code)

asyncio.run(main())
"""


def start(home: Path, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOMARUS_FAILPOINT": failpoint,
    }
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(home)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(child: subprocess.CompletedProcess[str]) -> list[str]:
    """What the child printed, among its log lines."""
    line = next(line for line in child.stdout.splitlines() if line.startswith("TOLD "))
    return line.split()[1:]


@pytest.mark.crash
@pytest.mark.parametrize(
    "point", ["first_start.file:1", "first_start.file:2", "unit.before_release:2"]
)
def test_a_crash_in_the_first_start_heals(tmp_path: Path, point: str) -> None:
    home = tmp_path / "home"
    killed = start(home, point)
    assert killed.returncode == -9, killed.stderr
    left = {
        path.name: path.read_text()
        for path in (home / "run").glob("*.token")
        if path.read_text().strip()
    }
    healed = start(home)
    assert healed.returncode == 0, healed.stderr
    owner, company, status = told(healed)
    assert status == "200"
    assert left.get("owner.token", owner).strip() == owner
    assert left.get("company.token", company).strip() == company
    again = start(home)
    assert told(again) == [owner, company, status]
