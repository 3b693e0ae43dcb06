"""Doing one claimed task: its inputs, its command, its artifact."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from homarus.backends.layers import SandboxLayers
from homarus.backends.local import CommandResult, SandboxedCommand, run_command
from homarus.base.errors import NotFound, Unavailable
from homarus.base.failpoint import failpoint
from homarus.client.http import Client
from homarus.kernel.argv import Template
from homarus.kernel.limits import Limits

INPUTS: Final = "inputs"
"""Folder of a workspace with what earlier tasks made; read-only for the command."""
OUTPUT: Final = "out"
"""Folder that the command writes its one file into."""
MAX_CAPABILITIES: Final = 1_000
MAX_INPUTS: Final = 500
SAID_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Done:
    """`summary` is one line for people, `output` the task's outputJson."""

    ok: bool
    summary: str
    output: dict[str, Any]


class Work:
    """The tasks of one agent, each in a workspace of its own below `workplace`."""

    def __init__(self, api: Client, workplace: Path, hidden: Path, layers: SandboxLayers) -> None:
        self._api = api
        self._workplace = workplace
        self._hidden = hidden
        self._layers = layers
        self._capabilities: dict[str, dict[str, Any]] = {}

    async def run(self, task: dict[str, Any]) -> Done:
        """Run the task's capability and store what it made. Raises `demo.*`, `sandbox.*`."""
        capability = self._capability(str(task["capability"]))
        workspace = self._workspace(task)
        self._fetch_inputs(task, workspace / INPUTS)
        template = Template.parse(capability["argv"], capability["slots"])
        command = SandboxedCommand(
            argv=tuple(template.render(task["inputJson"].get("args") or {}, workspace)),
            workspace=workspace,
            inputs=(*template.inputs, workspace / INPUTS),
            hidden=(self._hidden,),
            limits=Limits.from_json(capability.get("limits") or {}),
        )
        result = await run_command(command, self._layers, trusted=bool(capability["trusted"]))
        said = _said(result)
        output = {"summary": said, **result.facts()}
        if not result.ok:
            return Done(False, f"{result.reason}: {said}", output)
        failpoint("demo.ran")
        artifact = self._store(task, _made(workspace / OUTPUT))
        failpoint("demo.stored")
        shutil.rmtree(workspace)
        return Done(True, said, {**output, "artifactId": artifact["id"]})

    def _capability(self, name: str) -> dict[str, Any]:
        if name not in self._capabilities:
            for row in self._api.pages("/capabilities", "capabilities", limit=MAX_CAPABILITIES):
                self._capabilities[row["id"]] = row
        found = self._capabilities.get(name)
        if found is None:
            raise NotFound("demo.capability", f"no capability {name}", "Register it.")
        return found

    def _workspace(self, task: dict[str, Any]) -> Path:
        """A fresh one for each lease, so that an earlier life's leftovers are not seen."""
        path = self._workplace / f"{task['number']}-{task['leaseToken']}"
        shutil.rmtree(path, ignore_errors=True)
        for folder in (INPUTS, OUTPUT):
            (path / folder).mkdir(parents=True)
        return path

    def _fetch_inputs(self, task: dict[str, Any], into: Path) -> None:
        """What the tasks before it made, under the names they gave, checked by SHA-256."""
        for blocker in task["blockedByTaskIds"]:
            for row in self._artifacts(str(blocker)):
                target = into / Path(row["originalFilename"]).name
                with target.open("wb") as file:
                    self._api.download(f"/artifacts/{row['id']}/download", file)
                if sha256(target) != row["sha256"]:
                    raise Unavailable(
                        "demo.input", f"{target.name} did not arrive whole", "Run it again."
                    )

    def _artifacts(self, task: str) -> list[dict[str, Any]]:
        return list(self._api.pages("/artifacts", "artifacts", limit=MAX_INPUTS, taskId=task))

    def _store(self, task: dict[str, Any], file: Path) -> dict[str, Any]:
        """Upload once: an earlier life may have done it and died before it reported."""
        for row in self._artifacts(str(task["id"])):
            if row["originalFilename"] == file.name:
                return row
        fields = {
            "kind": task["taskType"],
            "artifactClass": "deliverable",
            "title": str(task["title"]),
            "taskId": str(task["id"]),
            "projectId": str(task["projectId"]),
        }
        key = f"artifact:{task['id']}:{file.name}"
        artifact: dict[str, Any] = self._api.upload("/artifacts/upload", fields, file, key=key)[
            "artifact"
        ]
        return artifact


def _made(folder: Path) -> Path:
    """The one file that the command wrote."""
    files = sorted(at for at in folder.iterdir() if at.is_file())
    if len(files) != 1:
        raise NotFound(
            "demo.no_output", f"the command made {len(files)} files, not one", "Correct its argv."
        )
    return files[0]


def _said(result: CommandResult) -> str:
    """The last line that the command wrote; of its errors when it failed."""
    text = (result.stdout if result.ok else result.stderr or result.stdout).decode(
        "utf-8", "replace"
    )
    lines = text.strip().splitlines()
    return lines[-1][:SAID_CHARS] if lines else f"exit code {result.exit_code}"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
