"""`gatekeeper doctor`, and `gatekeeper.lock`: missing programs are reported with their purpose; pinned versions count."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gatekeeper.host import toolchain
from tests.conftest import Repository, command, needs
from tests.upstream.programs import HEAD


def bare(tmp_path: Path) -> dict[str, str]:
    """A machine without the external programs."""
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}


def test_missing_requirements_of_a_repository_are_reported(repository: Repository, tmp_path: Path) -> None:
    root = repository({"kustomization.yaml": "resources: []\n"})
    code, out, _ = command("doctor", root, env={**bare(tmp_path), "GATEKEEPER_CACHE": str(tmp_path / "verdicts")})
    assert code == 3
    assert "MISSING gatekeeper-upstream " in out
    assert f"ok      cache          {tmp_path / 'verdicts'}\n" in out
    assert "-       helm           fetches charts from chart repositories: " in out, "nothing here needs it"


def test_charts_in_a_kustomization_need_no_program_besides_ours(repository: Repository, tmp_path: Path) -> None:
    root = repository({"kustomization.yaml": "helmCharts: [{name: a}]\n"})
    code, out, _ = command("doctor", root, env=bare(tmp_path))
    missing = [line.split()[1] for line in out.splitlines() if line.startswith("MISSING")]
    assert (code, missing) == (3, ["gatekeeper-upstream"])


@needs("gatekeeper-upstream")
def test_our_program_is_started_and_its_libraries_are_named(repository: Repository) -> None:
    _, out, _ = command("doctor", repository({"a.txt": ""}))
    tool = toolchain.TOOLS["gatekeeper-upstream"]
    [line] = [line for line in out.splitlines() if line.split()[1] == tool.name]
    assert line.startswith(f"ok      gatekeeper-upstream {tool.version} ")
    assert f"helm {toolchain.TOOLS['helm'].version}" in line and "kustomize/api v" in line and "apiserver v" in line


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\nexit 1\n", "cannot be used: "),
        (
            f"#!{sys.executable} -S\n{HEAD}write({{'id': read()['id'], 'error': 'it has version 0.0.9'}})\n",
            "cannot be used: gatekeeper-upstream: it has version 0.0.9",
        ),
    ],
    ids=["ends", "other version"],
)
def test_a_program_that_cannot_be_used_is_reported(
    repository: Repository, tmp_path: Path, script: str, words: str
) -> None:
    built = toolchain.get_built_path(toolchain.TOOLS["gatekeeper-upstream"])
    path = tmp_path / "cache/gatekeeper" / built.relative_to(toolchain.get_cache_folder().parent)
    path.parent.mkdir(parents=True)
    path.write_text(script)
    path.chmod(0o755)
    code, out, _ = command("doctor", repository({"a.txt": ""}), env=bare(tmp_path))
    assert code == 3
    [line] = [line for line in out.splitlines() if line.startswith("MISSING")]
    assert words in line and line.endswith("run `gatekeeper tools install gatekeeper-upstream`")


def test_complete_installation_is_accepted(repository: Repository, tmp_path: Path) -> None:
    code, out, _ = command("doctor", repository({"a.txt": ""}), env=bare(tmp_path))
    assert code == 0 and "ok      gatekeeper" in out and "MISSING" not in out


def test_invalid_config_is_reported(repository: Repository) -> None:
    code, out, _ = command("doctor", repository({"gatekeeper.yaml": "enginee: opa\n"}))
    assert code == 3 and "MISSING config" in out and "unknown setting `enginee`" in out


def test_kyverno_policies_need_kyvernos_engine(repository: Repository, tmp_path: Path) -> None:
    policy = "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {name: a}\n"
    code, out, _ = command("doctor", repository({"p.yaml": policy}), env=bare(tmp_path))
    assert code == 3 and "MISSING gatekeeper-kyverno evaluates Kyverno policies: " in out
