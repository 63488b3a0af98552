"""One run of the gate: by all files, by the changed ones, and compared with the base commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.gate import run, verdict_cache
from gatekeeper.gate.request import BaseComparison, CheckRequest
from gatekeeper.host import git_state
from gatekeeper.host.cache import Cache
from gatekeeper.model import Verdict
from gatekeeper.workspace import config_loader
from tests.conftest import Repository
from tests.gate.test_pipeline import DEPLOYMENT
from tests.workspace.test_file_selection import run_git


@pytest.fixture
def root(repository: Repository) -> Path:
    """A repository with a commit, whose only finding is an image with the tag `latest`."""
    root = repository({"gatekeeper.yaml": "", "web.yaml": DEPLOYMENT})
    run_git(root, "init", "-q", "-b", "main")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "first")
    return root


def check(root: Path, **fields: Any) -> Verdict:
    request = CheckRequest(root, [root], config_loader.load(root, None), lambda *_: None)._replace(**fields)
    return run.check_repository(request, verdict_cache.find_entry(request))


def list_files(verdict: Verdict, *, is_preexisting: bool = False) -> set[str]:
    return {finding.location.file for finding in verdict.findings if finding.is_preexisting is is_preexisting}


def since_head(root: Path, *changed: str) -> dict[str, Any]:
    """The fields of a request about a change since the last commit."""
    return {
        "base_commit": run_git(root, "rev-parse", "HEAD").strip(),
        "base_comparison": BaseComparison(lambda copy: config_loader.load(copy, None)),
        "changed_files": frozenset(changed),
    }


def test_the_index_is_checked_and_not_the_work_tree(root: Path) -> None:
    (root / "db.yaml").write_text(DEPLOYMENT.replace("web", "db"))
    run_git(root, "add", ".")
    (root / "db.yaml").write_text("no: resource\n")
    assert list_files(check(root, staged=git_state.read_staged(root))) == {"web.yaml", "db.yaml"}
    assert list_files(check(root)) == {"web.yaml"}


def test_findings_of_the_base_commit_are_marked_and_do_not_count(root: Path) -> None:
    (root / "web.yaml").write_text("# moved by a line\n" + DEPLOYMENT)
    (root / "db.yaml").write_text(DEPLOYMENT.replace("web", "db"))
    verdict = check(root, **since_head(root, "web.yaml", "db.yaml"))
    assert list_files(verdict) == {"db.yaml"}
    assert list_files(verdict, is_preexisting=True) == {"web.yaml"}
    assert verdict.decision == "refused"
    (root / "db.yaml").unlink()
    assert check(root, **since_head(root, "web.yaml")).decision == "accepted"


def test_the_base_commit_is_checked_by_its_own_config(root: Path) -> None:
    (root / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
    run_git(root, "commit", "-qam", "the library is off")
    (root / "gatekeeper.yaml").write_text("")
    verdict = check(root, **since_head(root, "gatekeeper.yaml", "web.yaml"))
    assert list_files(verdict) == {"web.yaml"}, "the library found nothing at the base commit"


def test_a_base_commit_that_cannot_be_read_is_an_error_and_nothing_is_old(root: Path) -> None:
    fields = since_head(root, "web.yaml")

    def refuse(copy: Path) -> config.Config:
        raise UsageError("gatekeeper.yaml: not valid")

    with pytest.raises(UsageError, match="not valid"):
        check(root, **{**fields, "base_comparison": BaseComparison(refuse)})


def test_without_a_comparison_old_findings_count(root: Path) -> None:
    assert check(root, **{**since_head(root, "web.yaml"), "base_comparison": None}).decision == "refused"


def test_a_second_run_checks_the_changed_file_alone_with_the_same_verdict(root: Path, tmp_path: Path) -> None:
    (root / "db.yaml").write_text(DEPLOYMENT.replace("web", "db"))
    run_git(root, "add", ".")
    cache = Cache(tmp_path / "cache", b"k" * 32, b"1")
    steps: list[str] = []
    check(root, verdict_cache=cache)
    (root / "db.yaml").write_text(DEPLOYMENT.replace("web", "db").replace(":latest", ":1.27"))
    verdict = check(root, verdict_cache=cache, on_progress=lambda _, step, __: steps.append(step))
    assert steps == [], "the whole repository was judged again"
    assert verdict == check(root)._replace(is_cacheable=verdict.is_cacheable)
    assert list_files(verdict) == {"web.yaml"} and verdict.coverage.file_count > 1


def test_a_shard_reports_only_its_share(root: Path) -> None:
    for number in range(6):
        (root / f"{number}.yaml").write_text(DEPLOYMENT.replace("web", f"w{number}"))
    shares = [list_files(check(root, shard=f"{position}/2")) for position in (1, 2)]
    assert shares[0] | shares[1] == list_files(check(root))
    assert shares[0] & shares[1] == set() and all(shares)


def test_policies_behind_a_symbolic_link_are_those_of_the_index(root: Path, tmp_path: Path) -> None:
    policy = 'package main\n\nimport rego.v1\n\ndeny contains "POLICY" if input.kind == "Deployment"\n'
    (root / "real" / "rules").mkdir(parents=True)
    (root / "real" / "rules" / "a.rego").write_text(policy.replace("POLICY", "of the index"))
    (root / "link").symlink_to("real")
    (root / "gatekeeper.yaml").write_text("policies: {paths: [link/rules]}\n")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "policies")
    cache = Cache(tmp_path / "cache", b"k" * 32, b"installation")
    assert "of the index" in {finding.message for finding in check(root, verdict_cache=cache).findings}
    (root / "web.yaml").write_text("# changed\n" + DEPLOYMENT)
    run_git(root, "add", ".")
    (root / "real" / "rules" / "a.rego").write_text(policy.replace("POLICY", "of the work tree"))
    staged = git_state.read_staged(root)
    messages = {finding.message for finding in check(root, staged=staged, verdict_cache=cache).findings}
    assert "of the index" in messages and "of the work tree" not in messages
