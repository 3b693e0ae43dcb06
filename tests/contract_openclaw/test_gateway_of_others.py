"""The package's own gateway beside ours: what comparisons start."""

from pathlib import Path

from homarus.testing.model_server import ModelServer, Say
from tests.contract_openclaw.openclaw import OpenClaw, program, real_gateway


def test_it_answers_with_a_scripted_model(tmp_path: Path) -> None:
    found = program()
    with (
        ModelServer(default=Say("Hello from the script")) as model,
        real_gateway(found, tmp_path / "theirs", model.base_url("openai")) as real,
    ):
        assert Path(f"/proc/{real.pid}").exists() or not Path("/proc").exists()
        client = OpenClaw(found, tmp_path / "client")
        client.point_at(real.url, real.token)
        done = client.run("agent", "--agent", "main", "--message", "hello")
        assert (done.code, "Hello from the script" in done.out) == (0, True), done.out
        assert model.requests
