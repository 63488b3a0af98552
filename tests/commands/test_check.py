"""`gatekeeper check`: which files it checks, and where its reports are written."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import orjson

from tests.conftest import Repository, command
from tests.gate.test_pipeline import DEPLOYMENT, GOOD


def test_several_reports_in_one_run(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD})
    target = root.parent / "verdict.json"
    code, out, _ = command("check", "--format", "text", "--format", f"json={target}", root)
    assert code == 0
    assert out.endswith("accepted: nothing found\n")
    assert orjson.loads(target.read_bytes())["verdict"] == "accepted"
    assert [path.name for path in root.parent.iterdir()] == ["repository", "verdict.json"]


def test_the_repository_around_the_folder_is_checked(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD.replace("\ndata:", "\ndta:"), "sub/b.yaml": GOOD})
    code, out, _ = command("check", cwd=root / "sub")
    assert code == 1
    assert out.startswith("a.yaml:4:1: error")


def test_a_path_limits_what_is_checked(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD.replace("\ndata:", "\ndta:"), "sub/b.yaml": GOOD})
    assert command("check", root / "sub")[0] == 0


def test_more_policies_and_another_config_can_be_named(repository: Repository) -> None:
    rule = 'package team\nimport rego.v1\ndeny contains "no" if input.kind == "Deployment"\n'
    root = repository({"a.yaml": DEPLOYMENT, "other.yaml": "library: {profile: strict}\n"})
    (root.parent / "more").mkdir()
    (root.parent / "more" / "team.rego").write_text(rule)
    code, out, _ = command("check", root, "--policy", root.parent / "more", "--config", root / "other.yaml")
    assert code == 1
    assert "[team/deny]" in out and "[images/latest-tag]" in out and "[resources/memory-limit]" in out


def test_colours_and_the_caret_on_a_terminal(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD.replace("\ndata:", "\ndta:")})
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    run = [sys.executable, "-m", "gatekeeper", "check", str(root)]
    done = subprocess.run(run, stdout=theirs, stderr=theirs, env=environment, timeout=60, check=False)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 1
    assert "\033[31merror\033[0m" in shown and "^" in shown
