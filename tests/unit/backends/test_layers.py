"""Probing the host: what is there, what is missing, what is there and does not work."""

import json
import shutil
from pathlib import Path

import pytest

from homarus.backends.layers import SANDBOX, SandboxLayers, probe


def tools(
    directory: Path, *, links: tuple[str, ...] = (), fakes: dict[str, str] | None = None
) -> str:
    """A search path with the host's tools `links` and scripts in place of `fakes`."""
    for name in links:
        real = shutil.which(name)
        if real is None:
            pytest.skip(f"{name} is not installed")
        (directory / name).symlink_to(real)
    for name, script in (fakes or {}).items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return str(directory)


def test_nothing_installed(tmp_path: Path) -> None:
    layers = probe(str(tmp_path))
    assert layers.sandbox == "none"
    assert (layers.bwrap, layers.prlimit, layers.setpriv) == (None, None, None)
    assert not [layer.name for layer in layers.layers if layer.active]
    assert "apt install bubblewrap" in layers.layers[0].remedy
    assert "trusted" in layers.layers[0].remedy


def test_bubblewrap_that_may_not_make_namespaces(tmp_path: Path) -> None:
    says = 'case "$1" in --version) echo "bubblewrap 0.9.0";; *) '
    says += 'echo "bwrap: setting up uid map: Permission denied" >&2; exit 1;; esac'
    layers = probe(tools(tmp_path, links=("prlimit",), fakes={"bwrap": says}))
    assert (layers.sandbox, layers.bwrap) == ("none", None)
    assert not any(layers.active(name) for name in SANDBOX)
    found = {layer.name: layer for layer in layers.layers}
    assert "0.9.0" in found["bubblewrap"].detail
    assert "Permission denied" in found["bubblewrap"].detail
    assert "AppArmor" in found["user-namespace"].remedy
    assert layers.active("resource-limits")


def test_an_old_bubblewrap_is_used_without_its_newer_options(tmp_path: Path) -> None:
    says = 'for at; do case "$at" in --disable-userns|--size) echo "bwrap: Unknown option $at" >&2;'
    says += " exit 1;; esac; done"
    layers = probe(tools(tmp_path, links=("prlimit",), fakes={"bwrap": says}))
    assert layers.sandbox == "bwrap"
    assert not layers.options.disable_userns
    assert not layers.options.tmp_size


def test_without_prlimit_there_is_no_sandbox(tmp_path: Path) -> None:
    layers = probe(tools(tmp_path, fakes={"bwrap": "exit 0"}))
    assert layers.bwrap is not None
    assert layers.sandbox == "none"


def test_a_tool_that_hangs_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    says = 'trap "" TERM; exec sleep 600'
    layers = probe(tools(tmp_path, fakes={"setpriv": says}), wait_s=0.2)
    found = {layer.name: layer for layer in layers.layers}
    assert not found["parent-death"].active
    assert "timed out" in found["parent-death"].detail


def test_layers_are_plain_data(tmp_path: Path) -> None:
    said = json.loads(json.dumps(probe(str(tmp_path)).as_json()))
    assert said["sandbox"] == "none"
    assert {"name", "active", "detail", "remedy"} == set(said["layers"][0])
    assert SandboxLayers(()).sandbox == "none"
