"""The daemon as a process part: one per home, its port, its end."""

import asyncio
import contextlib
import json
import socket
from pathlib import Path

import pytest
import structlog

from homarus.app import build
from homarus.base.errors import HomarusError
from homarus.config.read import read
from homarus.config.settings import load, source
from homarus.service import serve
from homarus.service.serve import Service
from homarus.testing.daemon import key, running
from homarus.testing.waiting import eventually

SOON_S = 20.0


async def test_a_second_daemon_on_one_home_names_the_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home) as first:
        port = int(first.url.rsplit(":", 1)[1])
        for chosen in (0, port):
            with pytest.raises(HomarusError) as caught:
                await Service(build(load(home, {}, port=chosen))).start()
            assert caught.value.code == "store.locked"
            assert caught.value.details["pid"]
        assert (await first.anybody.get("/ready")).status_code == 200


async def test_a_port_in_use_is_said_and_nothing_is_left_running(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HomarusError) as caught:
            await Service(build(load(tmp_path / "home", {}, port=port))).start()
    assert caught.value.code == "serve.address"
    async with running(tmp_path / "home") as daemon:
        assert (await daemon.anybody.get("/ready")).status_code == 200


async def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomarusError) as caught:
        build(load(tmp_path / "file" / "home", {}))
    assert caught.value.code == "home.file"


async def test_stopping_ends_long_polls_and_anchors(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home, drain_s=60.0) as daemon:
        await daemon.agent("a1")
        poll = asyncio.create_task(daemon.company.get("/api/mcp/messages/sync"))
        async with asyncio.timeout(SOON_S):
            await eventually(lambda: daemon.app.feed.waiting > 0)
            await daemon.service.stop()
            reply = await poll
    assert (reply.status_code, reply.json()["messages"]) == (200, [])
    anchors = [json.loads(line) for line in (home / "run" / "anchors.jsonl").open()]
    assert daemon.company_id in {anchor["company"] for anchor in anchors}


async def test_requests_under_way_are_finished(tmp_path: Path) -> None:
    async with running(tmp_path / "home", drain_s=10.0) as daemon:
        names = [f"a{n}" for n in range(20)]
        posts = [
            asyncio.create_task(
                daemon.company.post("/api/mcp/agents", json={"name": name}, headers=key())
            )
            for name in names
        ]
        await posts[0]
        await daemon.service.stop()
        replies = await asyncio.gather(*posts, return_exceptions=True)
    told = {r.json()["agent"]["name"] for r in replies if getattr(r, "status_code", 0) == 201}
    async with running(tmp_path / "home") as daemon:
        kept = (await daemon.company.get("/api/mcp/agents")).json()["agents"]
    assert told <= {agent["name"] for agent in kept}
    assert told


async def test_run_says_where_it_is_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ready: asyncio.Future[serve.Ready] = asyncio.get_running_loop().create_future()
    loaded = read(source(home, {}, port=0, drain_s=0.1))
    daemon = asyncio.create_task(serve.run(loaded, ready.set_result))
    async with asyncio.timeout(SOON_S):
        facts = await ready
    assert facts.token.startswith("ec_")
    told = json.loads((home / "run" / "daemon.json").read_text())
    assert told == {"url": facts.url, "pid": facts.pid}
    daemon.cancel()
    with pytest.raises(asyncio.CancelledError):
        await daemon
    assert not (home / "run" / "daemon.json").exists()
    assert '"event":"ready"' in (home / "logs" / "homarus.log").read_text()


class FailingWorker:
    """A worker with a bug that its own supervision does not catch."""

    async def run(self) -> None:
        raise RuntimeError("a bug")


async def test_a_failing_worker_is_never_passed_over(tmp_path: Path) -> None:
    service = Service(build(load(tmp_path / "home", {}, port=0, drain_s=0.1)))
    service.app.dispatcher = FailingWorker()  # type: ignore[assignment]
    await service.start()
    try:
        async with asyncio.timeout(SOON_S):
            await service.app.broken.wait()
        assert service.app.health()["failing"] == ["workers"]
    finally:
        await service.stop()


class DeafWorker:
    """A worker in which a cancellation gets lost."""

    async def run(self) -> None:
        for _ in range(2):  # the second one is that of the loop's end
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


async def test_a_worker_that_does_not_end_does_not_keep_the_daemon(tmp_path: Path) -> None:
    service = Service(build(load(tmp_path / "home", {}, port=0, drain_s=0.1)))
    service.app.dispatcher = DeafWorker()  # type: ignore[assignment]
    service.app.workers_end_s = 3.0
    await service.start()
    with structlog.testing.capture_logs() as said:
        async with asyncio.timeout(SOON_S):
            await service.stop()
    (stay,) = [line for line in said if line["event"] == "workers_stay"]
    assert "worker DeafWorker.run" in stay["who"]
    async with running(tmp_path / "home"):
        pass  # nothing holds the home any more


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX: "], ids=["line", "header"])
async def test_a_head_without_end_is_cut(tmp_path: Path, start: bytes) -> None:
    async with running(tmp_path / "home") as daemon:
        host, port = daemon.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(start)
        async with asyncio.timeout(SOON_S):
            try:
                while not reader.at_eof():
                    writer.write(b"a" * 16_384)
                    await writer.drain()
                    await asyncio.sleep(0)
                answer = await reader.read()
            except ConnectionError:
                answer = b""
        writer.close()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
        assert (await daemon.anybody.get("/health")).status_code == 200
