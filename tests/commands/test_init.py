"""`gatekeeper init`: the gate and kustomize accept its files, and existing files are kept."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from tests.conftest import command, needs, verdict_of
from tests.gate.test_pipeline import DEPLOYMENT
from tests.workspace.test_file_selection import run_git


def files(root: Path) -> set[str]:
    return {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and ".git/" not in str(path)
    }


@needs("gatekeeper-upstream", "kustomize")
@pytest.mark.parametrize("library", ["default", "strict"])
@pytest.mark.parametrize("controller", ["flux", "argo", "none"])
def test_a_new_repository_is_accepted(tmp_path: Path, controller: str, library: str) -> None:
    root = tmp_path / "new"
    code, _, err = command("init", root, "--name", "web-shop", "--controller", controller, "--library", library)
    assert (code, err) == (0, ""), err
    code, verdict = verdict_of(root)
    told = [(one["severity"], one["rule"], one["file"]) for one in verdict["findings"]]
    assert (code, verdict["verdict"]) == (0, "accepted"), told
    assert {rule for _, rule, _ in told} <= {"images/digest"}, "a digest is the only thing that nobody can know before"
    for overlay in ("production", "staging"):
        status, built, words = run_command(
            [toolchain.DEFAULT_TOOLCHAIN.find("kustomize"), "build", root / "apps" / "web-shop" / "overlays" / overlay],
            30,
        )
        assert status == 0, words
        assert b"name: web-shop" in built and b"NAME" not in built
    assert command("policy", "test", "policy", cwd=root)[1] == "2 passed, 0 failed, with embedded\n"
    assert not [name for name in files(root) if "NAME" in name or "ENVIRONMENT" in name]


@needs("gatekeeper-upstream")
def test_new_repository_passes_its_own_rules(tmp_path: Path) -> None:
    command("init", tmp_path, "--controller", "none")
    deployment = tmp_path / "apps" / "shop" / "base" / "kustomization.yaml"
    deployment.write_text(deployment.read_text().replace("    team: platform\n", ""))
    code, verdict = verdict_of(tmp_path)
    assert code == 1 and {one["rule"] for one in verdict["findings"]} == {"main/deny"}


def test_environments_and_names_are_those_that_are_asked_for(tmp_path: Path) -> None:
    command(
        "init",
        tmp_path,
        "--environments",
        "eu, us",
        "--team",
        "sales",
        "--controller",
        "argo",
        "--repository",
        "https://x.example/r.git",
    )
    assert {"clusters/eu/apps.yaml", "clusters/us/apps.yaml", "apps/shop/overlays/eu/kustomization.yaml"} <= files(
        tmp_path
    )
    assert "repoURL: https://x.example/r.git" in (tmp_path / "clusters" / "us" / "apps.yaml").read_text()
    assert (tmp_path / "CODEOWNERS").read_text() == "* @sales\n"


@pytest.mark.parametrize(
    ("hooks", "there"), [("git", ".git/hooks/pre-commit"), ("pre-commit", ".pre-commit-config.yaml")]
)
def test_existing_repository_gets_only_the_gate(tmp_path: Path, hooks: str, there: str) -> None:
    run_git(tmp_path, "init", "-q")
    (tmp_path / "web.yaml").write_text(DEPLOYMENT)
    (tmp_path / ".gitlab-ci.yml").write_text("mine: {script: x}\n")
    code, out, _ = command("init", "--hooks", hooks, "--ci", "gitlab", cwd=tmp_path)
    assert code == 0 and "kept     .gitlab-ci.yml" in out
    assert (tmp_path / ".gitlab-ci.yml").read_text() == "mine: {script: x}\n"
    assert (tmp_path / "web.yaml").read_text() == DEPLOYMENT
    assert (tmp_path / there).exists() and not (tmp_path / "apps").exists()
    assert command("doctor", cwd=tmp_path)[1].count("ok      hook") == 1
    assert verdict_of(cwd=tmp_path)[0] == 1


def test_the_hook_that_it_writes_stops_a_bad_commit(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "-q")
    command("init", "--hooks", "git", "--controller", "none", cwd=tmp_path)
    (tmp_path / "web.yaml").write_text(DEPLOYMENT)
    run_git(tmp_path, "add", ".")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]
    done = subprocess.run(
        commit, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and "images/latest-tag" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["--name", "Big Shop"], ["--environments", "a,a"], ["--environments", ","], ["--team", "-"]]
)
def test_invalid_object_names_are_reported(tmp_path: Path, arguments: list[str]) -> None:
    code, _, err = command("init", tmp_path / "x", *arguments)
    assert code == 2 and "Traceback" not in err
    assert not (tmp_path / "x").exists()


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    command("init", tmp_path, "--ci", "github")
    before = {name: (tmp_path / name).read_text() for name in files(tmp_path)}
    code, out, _ = command("init", tmp_path, "--ci", "github")
    assert code == 0 and "0 files written" in out
    assert {name: (tmp_path / name).read_text() for name in files(tmp_path)} == before


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gatekeeper", "init", str(tmp_path / "new")],
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.write(ours, b"web\n\nmaybe\nargo\n\nnone\ngithub\n")
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0
    assert (
        "Controller that applies it to the cluster? flux/argo/none [flux]" in out
        and "Allowed: flux, argo, none." in out
    )
    assert "kind: Application" in (tmp_path / "new" / "clusters" / "staging" / "apps.yaml").read_text()
    assert (tmp_path / "new" / ".github" / "workflows" / "gatekeeper.yaml").exists()
