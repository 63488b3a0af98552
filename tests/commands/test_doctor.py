"""`gatekeeper doctor`, and `gatekeeper.lock`: missing programs are reported with their purpose; pinned versions count."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import Repository, command


def bare(tmp_path: Path) -> dict[str, str]:
    """A machine without the external programs."""
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}


def test_missing_requirements_of_a_repository_are_reported(repository: Repository, tmp_path: Path) -> None:
    root = repository({"kustomization.yaml": "resources: []\n"})
    code, out, _ = command("doctor", root, env=bare(tmp_path))
    assert code == 3
    assert "MISSING gatekeeper-upstream " in out
    assert "-       helm           renders charts: " in out, "nothing here needs it"
    purpose = "builds kustomizations with Helm charts: kustomize v5.8.1 is not installed; run"
    assert f"-       kustomize      {purpose}" in out, "nothing here needs it"


def test_charts_in_a_kustomization_need_the_programs(repository: Repository, tmp_path: Path) -> None:
    root = repository({"kustomization.yaml": "helmCharts: [{name: a}]\n"})
    code, out, _ = command("doctor", root, env=bare(tmp_path))
    assert code == 3 and "MISSING helm " in out and "MISSING kustomize " in out


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
