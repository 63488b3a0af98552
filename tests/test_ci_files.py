"""The files for CI systems in the docs: valid YAML with commands that work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import gatekeeper
from gatekeeper import cli
from gatekeeper.report.formats import REPORT_FORMATS
from tests.conftest import Repository, command
from tests.gate.test_pipeline import DEPLOYMENT
from tests.workspace.test_file_selection import run_git

FOLDER = Path(gatekeeper.__file__).parent / "scaffold" / "ci"


def scripts(value: Any) -> list[str]:
    """All lines of shell in a CI file."""
    if isinstance(value, dict):
        own = [value[key] for key in ("run", "script", "before_script") if key in value]
        lines = [
            line for part in own for text in ([part] if isinstance(part, str) else part) for line in text.splitlines()
        ]
        return lines + [line for key, item in value.items() if key not in ("run", "script") for line in scripts(item)]
    return [line for item in value for line in scripts(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_every_command_exists_with_its_options(file: Path) -> None:
    lines = [
        line.strip() for line in scripts(yaml.safe_load(file.read_text())) if line.strip().startswith("gatekeeper ")
    ]
    assert len(lines) >= 3
    for line in lines:
        words = shlex.split(line.partition("||")[0])
        assert words[1] in cli.COMMANDS
        _, out, _ = command(words[1], "--help")
        assert all(word.partition("=")[0] in out for word in words if word.startswith("--")), line
        for name in re.findall(r"--format (?:json=|\"json=)?(\w+)", line):
            assert name in REPORT_FORMATS or "json" in line, line


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_the_job_installs_what_its_repository_needs(file: Path) -> None:
    lines = [line.strip() for line in scripts(yaml.safe_load(file.read_text())) if "tools install" in line]
    # Without names: the programs for Kyverno or OPA only where the repository has such policies.
    assert lines == ["gatekeeper tools install"]


def test_the_github_job_runs_as_it_is_written(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": "", "a.yaml": "", "b.yaml": DEPLOYMENT})
    run_git(root, "init", "-q", "-b", "main")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "x")
    run_git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    (root / "a.yaml").write_text(DEPLOYMENT.replace("web", "new"))
    run_git(root, "add", ".")
    steps = yaml.safe_load((FOLDER / "github.yaml").read_text())["jobs"]["check"]["steps"]
    line = next(step["run"] for step in steps if step.get("name") == "check the pull request")
    words = shlex.split(line.replace("$GITHUB_BASE_REF", "main"))
    code, out, err = command(*words[1:], cwd=root)
    assert (code, err) == (1, "")
    assert "::error file=a.yaml" in out and "b.yaml" not in out
    assert (root / "gatekeeper.sarif").exists()
