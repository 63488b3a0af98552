"""`gatekeeper doctor`, and `gatekeeper.lock`: what lacks is told with what it is for; what counts is what is pinned."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import Repository, command


def bare(tmp_path: Path) -> dict[str, str]:
    """A machine without the outside programs."""
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}


def test_what_a_repository_needs_and_lacks_is_told(repository: Repository, tmp_path: Path) -> None:
    root = repository({"kustomization.yaml": "resources: []\n"})
    code, out, _ = command("doctor", root, env=bare(tmp_path))
    assert code == 3
    assert "MISSING kustomize      builds kustomizations: kustomize v5.7.1 is not installed; run" in out
    assert "-       helm           renders charts: " in out, "nothing here needs it"


def test_where_nothing_lacks_it_is_well(repository: Repository, tmp_path: Path) -> None:
    code, out, _ = command("doctor", repository({"a.txt": ""}), env=bare(tmp_path))
    assert code == 0 and "ok      gatekeeper" in out and "MISSING" not in out


def test_a_config_that_is_wrong_is_told(repository: Repository) -> None:
    code, out, _ = command("doctor", repository({"gatekeeper.yaml": "enginee: opa\n"}))
    assert code == 3 and "MISSING config" in out and "unknown setting `enginee`" in out
